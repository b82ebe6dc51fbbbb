"""The main command: whole runs, kills and continuations, mistakes."""

import json
import shutil
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from noisymix_tf import command_line, data, model_card, train
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup
from support import ROOT, door_processes, tiny_network

# Less to trace: not all taps, one chain of AugMix.
FEW = ("--taps=normalize,stage1", "--augmix_width=1")
SMALL = (
    "--flagfile=flags/quickstart.flags",
    *FEW,
    "--train_examples=110",
    "--test_examples=50",
    "--batch_size=25",
    "--epochs=2",
    "--suites=clean,c",
    "--corruptions=gaussian_noise,contrast",
    "--severities=1,5",
    "--notensorboard",
)
TINY = (*SMALL, "--model=tiny", "--dropout=0.1")


def _run(*arguments):
    return door_processes.run("support.tiny_network", *TINY, *arguments)


def _weights(folder):
    return keras.models.load_model(folder / "model.keras").get_weights()


def _steps(folder):
    path = folder / "checkpoints"
    if not path.is_dir():
        return 0
    steps = [int(p.name[5:]) for p in path.glob("step-*")]
    return max(steps, default=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted run of NoisyMix with dropout."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    command = [sys.executable, tiny_network.__file__, *TINY]
    done = subprocess.run(
        [*command, f"--output_dir={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_end_of_a_run_is_short(finished):
    """The figures stood above 75 lines of tables; the page had no name."""
    folder, done = finished
    figures = done.stdout.splitlines()[2 * 2 :]  # Two epochs before.
    assert figures[0].startswith("digits, model ")
    assert figures[1].startswith("  Clean accuracy ")
    assert figures[2].startswith("  Corruption accuracy ")
    assert len(figures) <= 12
    model, page, served = done.stderr.splitlines()[-3:]
    assert model.split() == ["Model:", str(folder / "model.keras")]
    assert page.split() == ["Report:", str(folder / "evaluation/report.html")]
    assert served.split()[:2] == ["SavedModel:", str(folder / "saved_model/1")]


def test_what_will_run_is_said(finished):
    """Devices, and images that fill no batch, were not mentioned."""
    _, done = finished
    assert "; XLA off; float32; deterministic operations\n" in done.stderr
    assert "\n10 images, others each time, are left out of" in done.stderr


def test_run_leaves_everything_that_it_promises(finished):
    folder, _ = finished
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    assert "accuracy" in json.dumps(report)
    for name in ("report.html", "report.md", "report.png", "cells.jsonl"):
        assert (folder / "evaluation" / name).stat().st_size > 0
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    logs = [json.loads(line) for line in lines]
    assert [log["epoch"] for log in logs] == [1, 2]
    assert {"accuracy", "cross_entropy", "jsd", "loss"} <= set(logs[0])
    picture = tf.io.decode_png(tf.io.read_file(str(folder / "views.png")))
    assert picture.shape[0] > picture.shape[1]  # 8 images, 3 views
    cells = (folder / "evaluation" / "cells.jsonl").read_text().splitlines()
    assert len(cells) == 1 + 2 * 2


def test_the_models_carry_their_provenance(finished):
    folder, _ = finished
    card = model_card.read(folder / "model.keras")
    assert card == model_card.read(folder / "saved_model" / "1")
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    assert card["model"]["fingerprint"] == report["model"]
    figures = report["sections"]["c"]["figures"]
    corrupted = card["metrics"]["c"]
    assert corrupted["mean_accuracy"] == pytest.approx(figures["mean_accuracy"])
    assert (corrupted["n"], corrupted["source"]) == (50, "generated")
    flags = (folder / "flags.txt").read_text().splitlines()
    assert card["flags"] == flags and "--dropout=0.1" in flags
    assert card["dataset"]["name"] == "digits"
    assert card["dataset"]["train_examples"] == 110
    assert card["training"]["steps"] == 8
    assert card["training"]["hyperparameters"]["jsd_weight"] == 12.0


def test_no_test_image_is_in_the_served_model(finished):
    """The report with its pictures, and warm-up requests, held some."""
    folder, _ = finished
    split = data.load("digits", test_examples=50).test
    images, _ = next(split.batches(50))
    rows = {row.tobytes() for row in images[:, 16]}
    assert len(rows) == 50
    for file in (folder / "saved_model").rglob("*"):
        assert file.suffix not in (".html", ".png", ".jpeg")
        if file.is_file():
            content = file.read_bytes()
            assert not any(row in content for row in rows), file


def test_models_serve_without_the_package(finished):
    """A fresh process that cannot import noisymix_tf."""
    folder, _ = finished
    code = f"""
import sys
sys.modules["noisymix_tf"] = None
import keras, numpy as np, tensorflow as tf
images = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
model = keras.models.load_model({str(folder / "model.keras")!r})
logits = model(images.astype("float32"), training=False)
expected = tf.nn.softmax(logits)
served = tf.saved_model.load({str(folder / "saved_model" / "1")!r})
for name, x in (("serving_default", images), ("serving_float", 1.0 * images)):
    outputs = served.signatures[name](
        images=tf.constant(x, "uint8" if x is images else "float32")
    )
    print(float(np.abs(outputs["probabilities"] - expected).max()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    differences = [float(text) for text in done.stdout.split()]
    assert len(differences) == 2 and max(differences) < 1e-5


def test_effective_flags_repeat_the_run(finished, tmp_path):
    folder, _ = finished
    done = door_processes.run(
        "support.tiny_network",
        f"--flagfile={folder / 'flags.txt'}",
        f"--output_dir={tmp_path / 'again'}",
        "--corruption_epochs=2",
    )
    assert done.returncode == 0, done.stderr
    for a, b in zip(_weights(folder), _weights(tmp_path / "again")):
        np.testing.assert_array_equal(a, b)
    _assert_same_model(folder, tmp_path / "again")
    lines = (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()
    measured = ["val_corruption_accuracy" in json.loads(x) for x in lines]
    assert measured == [False, True]


def _assert_same_model(folder, other):
    """The same bytes; the same card but for the time and the flags."""
    models = [(path / "model.keras").read_bytes() for path in (folder, other)]
    assert models[0] == models[1]
    cards = [model_card.read(path / "model.keras") for path in (folder, other)]
    for card in cards:
        assert card.pop("created") and card.pop("flags")
    assert cards[0] == cards[1]


def test_same_command_again_changes_nothing(finished):
    folder, _ = finished
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = _run(f"--output_dir={folder}")
    assert done.returncode == 0, done.stderr
    assert "Corruption accuracy" in done.stdout
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert before == after


def test_a_run_killed_before_its_evaluation_has_a_card(finished, tmp_path):
    """Without figures, which the same command then adds."""
    folder, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "evaluation")
    for name in ("model.keras", "model.card.json"):
        (copy / name).unlink()
    arguments = [f"--output_dir={copy}"]
    code = f"""
import os
from support import tiny_network
from noisymix_tf import evaluation, train
tiny_network.register()
evaluation.evaluate = lambda *args, **kwargs: os._exit(9)
train.main(["train", *{[*TINY, *arguments]!r}])
"""
    done = door_processes.run(door_processes.SCRIPT, code)
    assert done.returncode == 9, done.stderr
    card = model_card.read(copy / "model.keras")
    assert "metrics" not in card and card["training"]["steps"] == 8
    done = _run(*arguments)
    assert done.returncode == 0, done.stderr
    _assert_same_model(folder, copy)


@pytest.mark.slow
def test_killed_runs_end_with_the_same_weights(finished, tmp_path):
    """SIGKILL, which loses the steps since the checkpoint; the same again.

    Kills at any moment are those of test_fault_campaign.py.
    """
    arguments = (f"--output_dir={tmp_path / 'killed'}",)
    command = [*TINY, *arguments, "--checkpoint_steps=3"]
    with door_processes.Process("support.tiny_network", *command) as process:
        deadline = time.monotonic() + 300
        while _steps(tmp_path / "killed") < 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert process.poll() is None, "ended before it could be killed"
    done = _run(*arguments, "--checkpoint_steps=1")
    assert done.returncode == 0, done.stderr
    assert "Continued from step" in done.stderr
    folder, _ = finished
    for a, b in zip(_weights(folder), _weights(tmp_path / "killed")):
        np.testing.assert_array_equal(a, b)
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if "second" not in k}
            for line in (path / "metrics.jsonl").read_text().splitlines()
        ]
        for path in (folder, tmp_path / "killed")
    ]
    assert logs[0] == logs[1]
    _assert_same_model(folder, tmp_path / "killed")
    left = {p.name for p in (tmp_path / "killed").iterdir()}
    assert left == {p.name for p in folder.iterdir()}


def test_another_configuration_in_the_same_directory_is_refused(finished):
    folder, _ = finished
    done = _run("--alpha=0.5", f"--output_dir={folder}")
    assert done.returncode == 2
    assert "--alpha=0.5 (was --alpha=1.0)" in _error(done)


def _error(done):
    """The one line of a refused command; no traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    lines = [
        line for line in done.stderr.splitlines() if line.startswith("error: ")
    ]
    assert len(lines) == 1, done.stderr
    return lines[0]


def _parse(*arguments):
    """A configuration in this process, with flags of its own."""
    values = flags.FlagValues()
    command_line.define_flags(values)
    return command_line.parse(["train", *SMALL, *arguments], values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=mnist"], "Unknown dataset 'mnist'. Known: digits"),
        (["--model=vgg"], "Unknown model 'vgg'. Known: preact_resnet18"),
        (["--taps=stage9"], "Unusable tap 'stage9'"),
        (["--suites=d"], "Unknown suite 'd'"),
        (["--corruptions=haze"], "'haze'"),
        (["--batch_size=111"], "batch_size=111 is more than the 110"),
        (["--train_examples=99999"], "99999"),
        (["--train_examples=5"], "some of the 10 classes of digits without"),
        (["--suites=p", "--p_dir=none"], "none does not exist"),
        (["--suites=fgsm", f"--eval_seed={2**31}"], "seed=2147483648 must"),
        (["--data_service=host:1"], "--data_service=host:1 is no address"),
        (["--dataset=folder"], "data_dir"),
        (["--output_dir=/proc/run"], "--output_dir=/proc/run cannot be"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_before_training(
    monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "run"
    config = _parse(f"--output_dir={folder}", "--nodeterministic", *arguments)
    with pytest.raises(UsageError) as error:
        train.run(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not folder.exists()


def test_what_a_device_cannot_compile_is_one_line(monkeypatch):
    """XLA on a GPU has no deterministic gradient of MaxPool."""

    def fit(*arguments):
        message = (
            "GPU MaxPool gradient ops do not yet have one\n\t [[{{node}}]]"
        )
        raise tf.errors.UnimplementedError(None, None, message)

    monkeypatch.setattr(setup, "fit", fit)
    trainer = types.SimpleNamespace(
        distribute_strategy=tf.distribute.get_strategy()
    )
    with pytest.raises(UsageError, match="MaxPool gradient ops") as e:
        train._fit(None, None, trainer, 1, None)
    assert "--jit_compile=false" in str(e.value)
    assert "\n" not in str(e.value)


def test_divergence_keeps_the_last_good_checkpoint(tmp_path):
    # One step at this rate still gives finite weights, the next does not.
    done = _run(
        f"--output_dir={tmp_path}",
        "--method=baseline",
        "--learning_rate=1e25",
        "--checkpoint_steps=1",
    )
    assert done.returncode == 2
    assert "loss became" in _error(done)
    assert not (tmp_path / "model.keras").exists()
    for state in tmp_path.glob("checkpoints/step-*/state.npz"):
        arrays = np.load(state)
        assert all(np.isfinite(arrays[key]).all() for key in arrays.files)


def _image_folder(root, sizes):
    for split in ("train", "test"):
        for label in ("a", "b"):
            for index, size in enumerate(sizes):
                path = root / split / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.full([size, size, 3], 40 * index, np.uint8)
                tf.io.write_file(str(path), tf.io.encode_png(pixels))


def test_images_of_unequal_size_and_corrupt_images_are_named(tmp_path):
    arguments = (
        "--dataset=folder",
        "--train_examples=4",
        "--test_examples=4",
        "--batch_size=2",
        f"--data_dir={tmp_path / 'images'}",
        f"--output_dir={tmp_path / 'run'}",
    )
    _image_folder(tmp_path / "images", [32, 32, 40])
    done = _run(*arguments)
    assert done.returncode == 2 and "--image_size" in _error(done)
    broken = tmp_path / "images" / "train" / "b" / "1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    done = _run(*arguments, "--image_size=32")
    assert done.returncode == 2 and str(broken) in _error(done)


@pytest.mark.slow
def test_cifar10_small_runs_on_real_images(data_dir, tmp_path):
    """The flagfile of README, cut short."""
    done = door_processes.run(
        "noisymix_tf.train",
        "--flagfile=flags/cifar10_small.flags",
        f"--data_dir={data_dir / 'tensorflow_datasets'}",
        "--train_examples=320",
        "--test_examples=100",
        "--epochs=1",
        "--width=0.125",
        *FEW,
        "--corruptions=contrast",
        "--severities=3",
        f"--output_dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stderr
    assert "cifar10" in done.stdout
    dataset = data.load(
        "cifar10",
        data_dir=data_dir / "tensorflow_datasets",
        train_examples=320,
        test_examples=100,
    )
    assert np.bincount(dataset.train.labels).tolist() == [32] * 10
