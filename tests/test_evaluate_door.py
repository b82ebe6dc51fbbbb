"""`python -m noisymix_tf.evaluate`: what it writes, and its mistakes."""

import csv
import dataclasses
import importlib
import json
import shutil

import keras
import numpy as np
import pytest
from absl import flags

from noisymix_tf import command_line, config, corruptions, data, model_card
from noisymix_tf.evaluation import Settings
from noisymix_tf.run_folder import RunFolder
from support import door_processes, picture_folders
from support.usage import assert_usage_error

# The name in the package may be the function.
door = importlib.import_module("noisymix_tf.evaluate")


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    """A linear classifier of the digits, trained by least squares."""
    digits = data.load("digits")
    images, labels = next(digits.train.batches(len(digits.train)))
    small = images.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4, 5)) / 255
    columns = np.c_[small.reshape(-1, 64), np.ones(len(small))]
    weights, *_ = np.linalg.lstsq(columns, np.eye(10)[labels], rcond=None)
    inputs = keras.Input([32, 32, 3])
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
    head = keras.layers.Dense(10)
    model = keras.Model(inputs, head(x))
    head.set_weights([np.repeat(weights[:-1] / 3, 3, axis=0), weights[-1]])
    path = tmp_path_factory.mktemp("model") / "linear.keras"
    model.save(path)
    return path


def parse(*words):
    values, kind = flags.FlagValues(), config.EvaluateConfig
    command_line.define_flags(values, config=kind)
    return command_line.parse(["evaluate", *map(str, words)], values, kind)


def test_flags_are_the_settings():
    """And words for corruptions are tags or names."""
    given = config.EvaluationConfig().settings()
    assert set(given) == {field.name for field in dataclasses.fields(Settings)}
    assert Settings.of(given) == Settings()
    own = parse("--corruptions=fog,extra").evaluation.settings()
    names = ("fog", *corruptions.names("extra"))
    assert Settings.of(own).corruptions == names


def test_everything_is_written_and_measured_once(model_path, tmp_path, capsys):
    words = (
        "--dataset=digits --suites=clean,c,p,fgsm,calibration --examples=30 "
        "--perturbations=shot_noise --eps=2/255,8/255 "
        "--attack_losses=cross_entropy "
        f"--output_dir={tmp_path} --robustbench_json={tmp_path}/Linear"
    ).split()
    line = parse(f"--model={model_path}", *words)
    results = door.run(line)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == 2
    sections = report["sections"]
    mean = results.figures["c/mean_accuracy"]
    assert mean == sections["c"]["figures"]["mean_accuracy"]
    assert {s["n"] for n, s in sections.items() if n != "cost"} == {30}
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert (tmp_path / "report.md").read_text().startswith("# digits")
    lines = (tmp_path / "cells.jsonl").read_bytes()
    assert len(lines.splitlines()) == 1 + 75 + 1 + 2
    # A larger radius is a stronger attack.
    weak, strong = sections["fgsm"]["figures"].values()
    assert weak > strong
    entry = json.loads((tmp_path / "Linear.json").read_text())
    found = float(entry["corruptions_acc"])
    assert found == pytest.approx(100 * mean, abs=0.0051)
    rows = list(csv.reader((tmp_path / "Linear.csv").open()))
    assert rows[2][0] == "Linear" and len(rows[2]) == 76
    assert np.mean([float(v) for v in rows[2][1:]]) == pytest.approx(mean)
    capsys.readouterr()
    again = door.run(line)
    assert again.computed == 0 and again.figures == results.figures
    assert (tmp_path / "cells.jsonl").read_bytes() == lines
    # The result was buried in 140 lines, the page had no name.
    said = capsys.readouterr()
    assert "Corruption accuracy" in said.out and "FGSM accuracy" in said.out
    assert len((said.out + said.err).splitlines()) <= 15
    assert said.err.endswith(f"Report: {tmp_path / 'report.html'}\n")


@pytest.fixture
def run_of_photos(tmp_path, monkeypatch):
    """A run as `train` leaves it: flags, and a model with its card."""
    monkeypatch.chdir(tmp_path)
    photos = picture_folders.make(tmp_path / "photos", 2, 2, (20, 24)).name
    size = dict(preprocess="resize16-crop16", test_examples=2)
    own = config.Config(
        data=config.DataConfig(dataset="folder", data_dir=photos, **size),
        run=config.RunConfig(output_dir="run"),
    )
    inputs = keras.Input([None, None, 3])
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    with RunFolder(own) as folder:
        model_card.save(model, folder.model, flags=own)
    return model


@pytest.mark.parametrize("model", ["run", "run/model.keras"])
def test_a_run_is_measured_on_its_own_data(run_of_photos, model, capsys):
    """Without --dataset everything was measured on digits, silently."""
    line = [f"--model={model}", "--suites=clean"]
    ((cell, sums),) = door.run(parse(*line)).records.items()
    assert (cell.dataset, cell.n, sums["available"]) == ("folder", 2, 2)
    assert cell.preprocess == "resize16-crop16"
    assert capsys.readouterr().err.splitlines()[0] == (
        f"Measuring {model} on the data of its run, folder in photos: 2 test "
        "images of 2 classes"
    )
    # Given flags override those of the run.
    shutil.move("photos", "moved")
    line += ["--image_size=12", "--test_examples=3"]
    (cell,) = door.run(parse(*line, "--data_dir=moved")).records
    assert (cell.n, cell.preprocess) == (3, "resize12-crop12")


def test_a_run_that_does_not_say_its_data(model_path, run_of_photos, tmp_path):
    model_card.save(run_of_photos, "alone.keras", dataset="folder")

    def refused(model, *words):
        assert_usage_error(lambda: door.run(parse(f"--model={model}")), *words)

    assert_usage_error(lambda: door.run(parse()), "--model is missing")
    for model in (model_path, "alone.keras"):
        refused(model, "--dataset is missing", model)
    for content in (b"\x80\x81", b"--dataset=folder\n--image_size=6x\n"):
        (tmp_path / "run" / "flags.txt").write_bytes(content)
        refused("run", "flags")


def test_the_imported_door_is_the_function(model_path):
    code = (
        "import noisymix_tf.evaluate as door, noisymix_tf as nm;"
        "digits = nm.data.load('digits', test_examples=20);"
        f"model = nm.evaluation.load_classifier({str(model_path)!r});"
        "assert nm.evaluate is door;"
        "results = nm.evaluate(model, digits, suites=['clean'], progress=None);"
        "print(results.figures['clean/accuracy'])"
    )
    done = door_processes.run(door_processes.SCRIPT, code)
    assert 0.7 < float(done.stdout) <= 1.0, done.stderr
    # By itself it is a command; a mistake is one line.
    done = door_processes.run("noisymix_tf.evaluate", "--model=nowhere")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: There is no model at 'nowhere'")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--suites=r", "shift_dir"),
        ("--c_dir=nowhere", "nowhere does not exist"),
        ("--reference=nowhere.json", "'nowhere.json' cannot be read"),
        ("--dataset=cifar10 --data_dir=nowhere", "nowhere"),
        ("--robustbench_json=x --corruptions=fog", "15 corruptions"),
        ("--robustbench_json=nowhere/x", "folder 'nowhere'"),
        ("--strategy=tpu", "strategy"),
        ("--preprocess=big", "preprocess"),
    ],
)
def test_bad_input(model_path, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    line = [f"--model={model_path}", "--dataset=digits", *words.split()]
    assert_usage_error(lambda: door.run(parse(*line)), message)
    assert not list(tmp_path.iterdir())
