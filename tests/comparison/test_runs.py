"""Reading runs: what is one, and the one line for what is none."""

import json

import pytest

from noisymix_tf.comparison import runs
from noisymix_tf.errors import UsageError
from support import comparison_runs


def test_a_run_is_its_flags_and_its_report(tmp_path):
    config = comparison_runs.flags("augmix", 3)
    folder = comparison_runs.write(tmp_path / "run", config, clean=0.75)
    run = runs.read(folder)
    assert (run.method, run.seed, run.path) == ("augmix", 3, folder)
    assert run.figure("clean", "accuracy") == pytest.approx(0.75)
    assert run.figure("p", "mfp") is None
    assert run.value("epochs") == "3" and run.value("nesterov") == "true"
    assert run.value("augmix_all_ops") == "false"
    assert run.value("image_size") is None


def test_flags_that_an_older_version_lacked_have_their_defaults(tmp_path):
    folder = comparison_runs.write(tmp_path / "run")
    file = folder / "flags.txt"
    lines = [x for x in file.read_text().split("\n") if "clip_norm" not in x]
    file.write_text("\n".join(lines))
    assert runs.read(folder).value("clip_norm") == "0.0"


def test_runs_are_found_below_a_directory(tmp_path):
    below = [tmp_path / "b" / "seed0", tmp_path / "a" / "seed1"]
    for folder in below:
        comparison_runs.write(folder)
    assert runs.find(tmp_path) == sorted(below)
    assert runs.find(tmp_path / "a") == [below[1]]
    assert runs.find(below[0]) == [below[0]]
    # What lies in a run is no run of its own.
    comparison_runs.write(below[0] / "inner")
    assert runs.find(below[0]) == [below[0]]


def _without_report(folder):
    (folder / "evaluation" / "report.json").unlink()


def _torn(folder):
    file = folder / "evaluation" / "report.json"
    file.write_text(file.read_text()[:-20])


def _changed(key, value):
    def change(folder):
        file = folder / "evaluation" / "report.json"
        content = json.loads(file.read_text())
        content["sections"]["clean"][key] = value
        file.write_text(json.dumps(content))

    return change


def _old_schema(folder):
    (folder / "evaluation" / "report.json").write_text('{"schema": 1}')


def _other_flags(folder):
    (folder / "flags.txt").write_text("--schemes=baseline\n")


def _no_seed(folder):
    file = folder / "flags.txt"
    file.write_text(file.read_text().replace("--seed=0", "--seed=zero"))


def _binary(folder):
    (folder / "flags.txt").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_without_report, "was not evaluated yet"),
        (_torn, "cannot be read .*remove it"),
        (_old_schema, "no report of schema 2"),
        (_changed("figures", {"accuracy": "high"}), "no report of schema 2"),
        (_changed("n", None), "no report of schema 2"),
        (_changed("cells", {"clean": 1}), "no report of schema 2"),
        (_other_flags, "no run of python -m noisymix_tf.train"),
        (_no_seed, "damaged"),
        (_binary, "cannot be read"),
    ],
)
def test_what_is_damaged_is_told_in_one_line(tmp_path, damage, words):
    folder = comparison_runs.write(tmp_path / "run")
    damage(folder)
    with pytest.raises(UsageError, match=words) as error:
        runs.read(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("section", ["c", "p"])
def test_cells_without_their_measures_are_damage(tmp_path, section):
    folder = comparison_runs.write(
        tmp_path / "run", c={"fog": {1: 0.5}}, p={"tilt": 0.1}
    )
    file = folder / "evaluation" / "report.json"
    content = json.loads(file.read_text())
    content["sections"][section]["cells"] = {"fog": {"1": {}}}
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="no report of schema 2"):
        runs.read(folder)


@pytest.mark.parametrize(
    ("name", "words"), [("empty", "holds no run"), ("none", "is no directory")]
)
def test_what_is_no_run_is_told(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        runs.find(tmp_path / name)
