"""`python -m noisymix_tf evaluate`: what it writes, and its mistakes."""

import dataclasses
import functools
import json
import pathlib
import shutil

import keras
import pytest

from noisymix_tf import config, model_card
from noisymix_tf.commands import evaluate as door
from noisymix_tf.evaluation import Settings
from noisymix_tf.run_folder import opened
from support import picture_folders, tiny_network
from support.usage import assert_usage_error, parsed

parse = functools.partial(parsed, door.EvaluateConfig)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_network.build((32, 32, 3), 10, 0.5, 0.5, 1.0, seed=0).save(path)
    return path


def test_flags_are_settings_and_dry_runs_list(model_path, tmp_path, capsys):
    given = config.EvaluationConfig().settings()
    assert set(given) == {field.name for field in dataclasses.fields(Settings)}
    assert Settings.of(given) == Settings()
    line = f"--model={model_path} --dataset=digits --examples=8 --severities=3"
    plan = door.run(parse(*line.split(), "--dry_run"))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 + len(plan.cells) + 1 == 1 + 16 + 1
    assert said[-1].startswith("16 cells, about 0.")
    words = f"{line} --shard=2/2 --output_dir={tmp_path} --num_workers=1"
    assert door.run(parse(*words.split())).report is None
    assert "Part 2/2 is in" in capsys.readouterr().err


def test_everything_is_written_and_measured_once(model_path, tmp_path, capsys):
    words = "--dataset=digits --suites=clean,c,p,fgsm,calibration --examples=30"
    words += " --perturbations=shot_noise --attack_losses=cross_entropy"
    words += f" --output_dir={tmp_path} --robustbench_json={tmp_path}/Linear"
    words += " --eps=8/255"
    line = parse(f"--model={model_path}", *words.split())
    results = door.run(line)
    sections = json.loads((tmp_path / "report.json").read_text())["sections"]
    mean = results.figures["c/mean_accuracy"]
    assert mean == sections["c"]["figures"]["mean_accuracy"]
    assert {s["n"] for n, s in sections.items() if n != "cost"} == {30}
    lines = (tmp_path / "cells.jsonl").read_bytes()
    assert lines.count(b"\n") == 1 + 75 + 1 + 1
    entry = json.loads((tmp_path / "Linear.json").read_text())
    wanted = pytest.approx(100 * mean, abs=0.0051)
    assert float(entry["corruptions_acc"]) == wanted
    capsys.readouterr()
    again = door.run(line)
    assert again.computed == 0 and again.figures == results.figures
    assert (tmp_path / "cells.jsonl").read_bytes() == lines
    said = capsys.readouterr()
    assert "Corruption accuracy" in said.out and said.out.count("\n") < 15
    assert said.err.endswith(f"Report: {tmp_path / 'report.html'}\n")


@pytest.fixture
def run_of_photos(tmp_path, monkeypatch):
    """A run as `train` leaves it: flags, and a model with its card."""
    monkeypatch.chdir(tmp_path)
    photos = picture_folders.make(tmp_path / "photos", 2, 2, (20, 24)).name
    size = dict(preprocess="resize16-crop16", test_examples=2)
    size |= {"dataset": "folder", "data_dir": photos}
    own = config.Config(output_dir="run", **size)
    layers = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)
    model = keras.Sequential([keras.Input([None, None, 3]), *layers])
    with opened(own) as folder:
        known = {"class_names": picture_folders.CLASSES}
        model_card.save(model, folder.model, flags=own, dataset=known)
    return model


@pytest.mark.parametrize("model", ["run", "run/model.keras"])
def test_a_run_is_measured_on_its_own_data(run_of_photos, model, capsys):
    """Without --dataset everything was measured on digits, silently."""
    line = [f"--model={model}", "--suites=clean"]
    (cell,) = door.run(parse(*line)).scores
    assert (cell.dataset, cell.n, cell.available) == ("photos", 2, 2)
    assert cell.preprocess == "resize16-crop16"
    told = f"Measuring {model} on the data of its run, photos in photos: 2 test"
    assert capsys.readouterr().err.startswith(told)
    # Given flags override those of the run.
    shutil.move("photos", "moved")
    line += ["--image_size=12", "--test_examples=3"]
    (cell,) = door.run(parse(*line, "--data_dir=moved")).scores
    assert (cell.n, cell.preprocess) == (3, "resize12-crop12")
    # All of a tree, among the classes of the card, or of a file; and at the
    # size of the run, whose number of images is that of its own data.
    picture_folders.make(pathlib.Path("odd"), 5, 0, (30, 20), ("dog",))
    pathlib.Path("names.txt").write_text("dog\ncat")
    line, images = [*line[:2], "--test_dir=odd/train"], []
    for more in ("--class_names=names.txt", "--image_size=16"):
        (cell,) = door.run(parse(*line, more)).scores
        assert (cell.dataset, cell.n) == ("odd train", 5)
        assert cell.preprocess == "resize16-crop16"
        images.append(cell.data)
    said = capsys.readouterr().err
    assert f"Measuring {model} on odd train in odd/train: 5 test images" in said
    # The label is another one.
    assert images[0] != images[1]


def test_bad_input(model_path, run_of_photos, tmp_path):
    def refused(words, *said):
        assert_usage_error(lambda: door.run(parse(*words.split())), *said)

    model_card.save(run_of_photos, "alone.keras", dataset="folder")
    before, known = set(tmp_path.iterdir()), f"--model={model_path} --dataset="
    refused("", "--model is missing")
    refused("--model=nowhere", "There is no model at 'nowhere'")
    refused("--model=alone.keras", "--dataset is missing", "alone.keras")
    refused(f"{known}digits --suites=r", "shift_dir")
    refused(f"{known}digits --test_dir=x", "--dataset=digits does nothing")
    tree = f"--model={model_path} --test_dir=photos/val"
    refused(f"{tree} --data_dir=x", "--data_dir=x does nothing where", "photos")
    refused(f"{known}digits --class_names=x", "=x does nothing without --te")
    refused(f"{tree} --read=sequential", "--read=sequential does nothing whe")
    refused(f"{tree} --class_names=run/model.keras", "=run/model.keras: ")
    entry = f"{known}digits --robustbench_json="
    refused(f"{entry}x --corruptions=fog", "15 corruptions")
    refused(f"{entry}x --shard=1/2", "needs all parts")
    assert set(tmp_path.iterdir()) == before
    for part in ("train", "val"):
        (tmp_path / f"photos/{part}/dog").rename(f"photos/{part}/ant")
    refused("--model=run", "Class 0 of photos is 'ant', of the model 'cat'")
    for content in (b"\x80\x81", b"--dataset=folder\n--image_size=6x\n"):
        (tmp_path / "run" / "flags.txt").write_bytes(content)
        refused("--model=run", "flags")
