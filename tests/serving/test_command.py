"""The export door: which model it takes, from where, and what it refuses."""

import dataclasses
import functools
import json
import re

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import model_card
from noisymix_tf.commands import export as export_door
from noisymix_tf.commands.export import ExportConfig
from noisymix_tf.config import Config
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights
from noisymix_tf.serving import arguments as lib
from noisymix_tf.serving import reload
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import tiny_network
from support.usage import assert_usage_error, parsed


def assign(model, seed):
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape).astype(np.float32))
    return [weight.numpy() for weight in model.weights]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    # Its card says --method=custom, which is no flagfile.
    config = parsed(Config, "--ema=0.5", "--test_examples=40")
    dataset = setup.dataset(config)
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
    place = folder / "model.keras"
    more = {"dataset": dataset, "temperature": {"value": 1.5}}
    card = nm.save(model, place, flags=config, **more)
    (folder / "evaluation").mkdir()
    report = json.dumps({"model": card["model"]["fingerprint"]})
    (folder / "evaluation" / "report.json").write_text(report)
    return folder, weights


@pytest.fixture(autouse=True)
def same_process(monkeypatch):
    """Reloads here: a new process takes seconds, and another test has it."""
    monkeypatch.setattr(reload, "call_in_new_process", reload.call)


FOLDER = "--dataset=folder --data_dir=run"


def door(*arguments):
    return export_door.run(parsed(ExportConfig, *arguments))


def test_each_kind_of_weights_of_a_run(run, tmp_path):
    folder, weights = run
    for which, wanted in weights.items():
        model, card, config = lib.load(folder, which)
        with evaluation_weights(model):
            found = classifier_of(model).get_weights()
        for pair in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(*pair)
        assert card["dataset"]["class_names"] == list("0123456789")
        assert config.ema == 0.5
    # And those that another does not have.
    for name in ("model.keras", "model.card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    load = functools.partial(lib.load, tmp_path)
    assert_usage_error(lambda: load("best"), "no best.keras")
    assert_usage_error(lambda: load("last"), "no checkpoint")
    # A kill between two renames; then the card of another file.
    card = tmp_path / "model.card.json"
    card.rename(tmp_path / ".model.partial.card.json")
    assert load("saved")[1] == model_card.read(tmp_path / "model.keras")
    (tmp_path / ".model.partial.card.json").unlink()
    card.write_bytes((folder / "best.card.json").read_bytes())
    assert load("saved")[1] is None
    assert_usage_error(lambda: load("last"), "known flags")


def test_from_a_run_to_versions(run, tmp_path, capsys):
    """A report, which shows test images, goes along only if asked for."""
    folder, weights = run
    served = tmp_path / "served"
    common = (f"--model={folder}", f"--output_dir={served}")
    first = door(*common, "--quantize")
    printed = capsys.readouterr()
    assert "Comparing on 40 test images of digits" in printed.err
    assert printed.out.startswith("Reloaded")
    assert f"SavedModel: {served / '1'} (0." in printed.out
    words = r"h 8-bit weights: \d+ of 40 right, \d+ without \(accuracy on 40 te"
    assert re.search(words, printed.out)
    card = model_card.read(folder / "model.keras")
    assert model_card.read(first.path) == card
    line = "--weights=ema --weights_dtype=float16 --batch_sizes=2,1"
    second = door(*common, *line.split(), "--outputs=logits")
    third = door(*common, f"--report={folder / 'evaluation'}")
    assert "Comparing on 16 test images of digits" in capsys.readouterr().err
    assert [done.version for done in (first, second, third)] == [1, 2, 3]
    report = "assets.extra/robustness/report.json"
    assert not (first.path / report).parent.exists()
    assert (third.path / report).is_file()
    assert 0 < second.max_abs_difference <= 1e-2
    loaded = tf.saved_model.load(str(second.path))
    kernels = [v for v in loaded.variables_of_model if v.shape.rank > 1]
    assert {v.dtype for v in kernels} == {tf.float16}
    averages = [w for w in weights["ema"] if w.ndim > 1]
    for kernel, wanted in zip(kernels, averages):
        np.testing.assert_array_equal(kernel, wanted.astype(np.float16))
    for path in (first.path, served):
        assert_usage_error(lambda p=path: lib.load(p), "is a SavedModel alr")


def test_what_a_card_tells_of_data_that_is_gone():
    """ImageNet's two cranes; and images came to another size than they had."""
    told = {"class_names": ["crane", "crane"], "preprocess": "resize40-crop32"}
    given = (None, {"dataset": told}, None), ExportConfig()
    assert export_door._checks(*given, None, False) == (told, "noise")
    mine, _ = export_door._checks(*given, "crop32", False)
    assert mine == told | {"preprocess": "crop32"}
    # Of digits, which are ten classes, a model of three takes the images.
    model = tiny_network.build((32, 32, 3), 3, 0.5, 0.5, 1.0, seed=0)
    digits = nm.data.load("digits", test_examples=10)
    found = export_door._test_images(digits, model, False)
    assert found.keys() == {"check_images", "preprocess"}
    # Classes in another order gave their names to the model, silently.
    model = tiny_network.build((32, 32, 3), 10, 0.5, 0.5, 1.0, seed=0)
    for names, said in (("abcdefghij", "10 test i"), ("1234567890", "noise (")):
        card, data = {"dataset": {"class_names": [*names]}}, Config()
        source = model, card, dataclasses.replace(data, test_examples=10)
        found, origin = export_door._checks(source, ExportConfig(), None, False)
        assert found["class_names"] == [*names] and origin.startswith(said)
    assert "Class 0 of digits is '0', of the model '1': give" in origin


def test_from_a_file_without_a_card(tmp_path, capsys):
    model = tiny_network.build((16, 16, 3), 3, 0.5, 0.5, 1.0, seed=0)
    assign(model, 1)
    model.save(tmp_path / "m.keras")
    (tmp_path / "names.txt").write_text("á\nb\nc d\n", "utf-8-sig")
    line = "--weights_dtype=bfloat16 --preprocess=resize20-crop16 --quantize"
    line += f" --model={tmp_path}/m.keras --output_dir={tmp_path}/m"
    done = door(*line.split(), f"--labels={tmp_path}/names.txt")
    printed = capsys.readouterr()
    assert "Comparing on noise" in printed.err
    # Of other images than the model's there is no accuracy.
    assert "without for 32 of 32 (agreement on noise)" in printed.out
    loaded = tf.saved_model.load(str(done.path))
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    found = loaded.signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(found["logits"], model(images), atol=0.1)
    names = np.array([n.encode() for n in ("á", "b", "c d")], object)
    np.testing.assert_array_equal(found["labels"], names[found["classes"]])
    place = done.path / "assets.extra" / "preprocessing.json"
    constants = json.loads(place.read_text())
    assert constants["encoded_images"]["preprocess"] == "resize20-crop16"
    assert constants["weights"] == "bfloat16"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--output_dir=m", "--model is missing"),
        ("--model=none --output_dir=m", "no model at 'none'"),
        ("--model=run/best.keras --output_dir=m --weights=ema", "a finished"),
        ("--labels=bytes.txt", "no UTF-8"),
        ("--report=run", "is no report"),
        ("--weights=last --report=run/evaluation", "is about the model"),
        ("--dataset=digitz", "Unknown dataset 'digitz'"),
        ("--model=run/best.keras --output_dir=m --image_size=8", "is of a d"),
        ("--batch_sizes=0", "from 1 on"),
        ("--weights=best --temperature", "to --weights=saved, not to --wei"),
        (f"{FOLDER} --image_size=99 --preprocess=resize32", "leave one of the"),
        ("--weights_dtype=float16 --tolerance=1e-9", "tolerance is 1e-09"),
    ],
)
def test_mistakes_leave_nothing(run, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(run[0])
    (tmp_path / "bytes.txt").write_bytes(b"\xff\n")
    before = sorted(tmp_path.iterdir())
    if "--model" not in arguments and "--output_dir" not in arguments:
        arguments = f"--model=run --output_dir=m {arguments}"
    assert_usage_error(lambda: door(*arguments.split()), words)
    assert sorted(tmp_path.iterdir()) == before
