"""The export door: which model it takes, from where, and what it refuses."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
import noisymix_tf.export as export_door
from noisymix_tf import model_card
from noisymix_tf.config import Config
from noisymix_tf.config.export import ExportConfig
from noisymix_tf.serving import reload, served_alone, sources
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.unwrap import classifier_of, evaluation_weights
from support import tiny_network
from support.parsing import parsed
from support.usage import assert_usage_error

FLAGS = ("--method=baseline", "--ema=0.5", "--test_examples=40")


def assign(model, seed):
    """Random weights, which spread the outputs."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape).astype(np.float32))
    return [weight.numpy() for weight in model.weights]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run, and its weights by the word that asks for them.

    No weights of one kind are those of another.
    """
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    config = parsed(Config, *FLAGS)
    dataset = setup.dataset(config.data)
    model = tiny_network.build((32, 32, 3), 10, 0.5, 0.5, 1.0, seed=0)
    trainer = setup.trainer(config, model, steps_per_epoch=4)
    weights = {"last": assign(model, 1)}
    trainer.step.assign(4)
    CheckpointFolder(folder / "checkpoints").save(trainer, 4)
    with trainer.evaluation_weights():
        weights["ema"] = [weight.numpy() for weight in model.weights]
    weights["best"] = assign(model, 2)
    nm.save(model, folder / "best.keras")
    weights["saved"] = assign(model, 3)
    path = folder / "model.keras"
    card = nm.save(model, path, flags=config, dataset=dataset)
    (folder / "evaluation").mkdir()
    report = json.dumps({"model": card["model"]["fingerprint"]})
    (folder / "evaluation" / "report.json").write_text(report)
    return folder, weights


@pytest.fixture(autouse=True)
def same_process(monkeypatch):
    """Reloads here: a new process takes seconds, and another test has it."""
    monkeypatch.setattr(reload, "_call_in_new_process", served_alone.call)


def door(*arguments):
    return export_door.run(parsed(ExportConfig, *arguments))


@pytest.mark.parametrize("which", ["saved", "last", "ema", "best"])
def test_each_kind_of_weights_of_a_run(run, which):
    folder, weights = run
    source = sources.load(folder, which)
    with evaluation_weights(source.model):
        found = classifier_of(source.model).get_weights()
    for value, wanted in zip(found, weights[which]):
        np.testing.assert_array_equal(value, wanted)
    assert source.class_names == [str(digit) for digit in range(10)]
    assert source.config.optimizer.ema == 0.5


def test_from_a_run_to_versions(run, tmp_path, capsys):
    folder, weights = run
    served = tmp_path / "served"
    first = door(f"--model={folder}", f"--output_dir={served}")
    printed = capsys.readouterr()
    assert "Comparing on 16 test images of digits" in printed.err
    assert printed.out.splitlines()[0].startswith("Reloaded")
    assert f"SavedModel: {served / '1'} (0." in printed.out
    card = model_card.read(folder / "model.keras")
    assert model_card.read(first.path) == card
    second = door(
        *(f"--model={folder}", f"--output_dir={served}", "--weights=ema"),
        *("--weights_dtype=float16", "--batch_sizes=2,1"),
        "--outputs=logits",
    )
    assert [first.version, second.version] == [1, 2]
    assert first.max_abs_difference <= 1e-5
    assert 0 < second.max_abs_difference <= 1e-2
    loaded = tf.saved_model.load(str(second.path))
    kernels = [v for v in loaded.variables_of_model if v.shape.rank > 1]
    assert {v.dtype for v in kernels} == {tf.float16}
    averages = [w for w in weights["ema"] if w.ndim > 1]
    for kernel, wanted in zip(kernels, averages):
        np.testing.assert_array_equal(kernel, wanted.astype(np.float16))
    for path in (first.path, served):
        assert_usage_error(
            lambda path=path: sources.load(path), "is a SavedModel already"
        )


def test_from_a_file_without_a_card(tmp_path, capsys):
    model = tiny_network.build((16, 16, 3), 3, 0.5, 0.5, 1.0, seed=0)
    assign(model, 1)
    model.save(tmp_path / "m.keras")
    (tmp_path / "names.txt").write_text("á\nb\nc d\n", encoding="utf-8")
    done = door(
        *(f"--model={tmp_path / 'm.keras'}", f"--output_dir={tmp_path / 'm'}"),
        *(f"--labels={tmp_path / 'names.txt'}", "--weights_dtype=bfloat16"),
        *("--preprocess=resize20-crop16", "--quantize"),
    )
    printed = capsys.readouterr()
    assert "Comparing on 364 enlarged digits" in printed.err
    # Of other images than the model's there is no accuracy.
    assert "without for 364 of 364 (agreement on 364 enlarged" in printed.out
    loaded = tf.saved_model.load(str(done.path))
    # Every weight once, kernels in half the size.
    sizes = {v.shape.rank > 1: v.dtype for v in loaded.variables_of_model}
    assert sizes == {True: tf.bfloat16, False: tf.float32}
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    found = loaded.signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(found["logits"], model(images), atol=0.1)
    names = np.array(["á", "b", "c d"])[found["classes"]]
    assert [[n.decode() for n in row] for row in found["labels"].numpy()] == (
        names.tolist()
    )
    constants = json.loads(
        (done.path / "assets.extra" / "preprocessing.json").read_text()
    )
    assert constants["encoded_images"]["preprocess"] == "resize20-crop16"
    assert constants["weights"] == "bfloat16"


def test_a_report_is_in_an_export_only_if_it_is_asked_for(
    run, tmp_path, capsys
):
    """Its page shows test images, which would leave the machine unasked.

    And of eight bits, a share was told without what it is a share of.
    """
    folder, _ = run
    arguments = (f"--model={folder}", f"--output_dir={tmp_path / 'm'}")
    done = door(*arguments, "--quantize")
    assert not (done.path / "assets.extra" / "robustness").exists()
    assert re.search(
        r"With 8-bit weights: \d+ of 40 right, \d+ without "
        r"\(accuracy on 40 test images of digits\)\n",
        capsys.readouterr().out,
    )
    done = door(*arguments, f"--report={folder / 'evaluation'}")
    extra = done.path / "assets.extra"
    assert (extra / "robustness" / "report.json").is_file()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--output_dir=m", "--model is missing"),
        ("--model=run", "--output_dir is missing"),
        ("--model=none --output_dir=m", "no model at 'none'"),
        (
            "--model=run/best.keras --output_dir=m --weights=ema",
            "of a finished",
        ),
        ("--labels=none.txt", "No such file"),
        ("--labels=bytes.txt", "no UTF-8"),
        ("--labels=few.txt", "2 names but the model 10"),
        ("--report=run", "is no report"),
        ("--weights=last --report=run/evaluation", "is about the model"),
        ("--dataset=digitz", "Unknown dataset 'digitz'"),
        ("--outputs=probabilities", "this model gives logits"),
        ("--preprocess=resize64-crop64", "takes 32 x 32"),
        ("--batch_sizes=0", "from 1 on"),
        ("--tolerance=0", "greater than 0"),
        ("--weights_dtype=float16 --tolerance=1e-9", "tolerance is 1e-09"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(
    run, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(run[0])
    (tmp_path / "bytes.txt").write_bytes(b"\xff\n")
    (tmp_path / "few.txt").write_text("a\nb\n")
    before = sorted(tmp_path.iterdir())
    if "--model" not in arguments and "--output_dir" not in arguments:
        arguments = f"--model=run --output_dir=m {arguments}"
    assert_usage_error(lambda: door(*arguments.split()), words)
    assert sorted(tmp_path.iterdir()) == before


def test_weights_that_a_run_does_not_have(run, tmp_path):
    folder, _ = run
    for name in ("model.keras", "model.card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for which, words in (("best", "no best.keras"), ("last", "no checkpoint")):
        assert_usage_error(lambda w=which: sources.load(tmp_path, w), words)
    (tmp_path / "model.card.json").unlink()
    assert_usage_error(
        lambda: sources.load(tmp_path, "last"), "flags of the run", "not known"
    )
