"""Reading runs: what is one, and the one line for what is none."""

import json

import pytest

from noisymix_tf.comparison import runs
from support import comparison_runs
from support.usage import assert_usage_error


def test_a_run_is_its_flags_and_its_report(tmp_path):
    """Flags that an older version lacked have their defaults."""
    config = comparison_runs.flags("augmix", 3)
    folder = comparison_runs.write(tmp_path / "run", config, clean=0.75)
    file = folder / "flags.txt"
    lines = [x for x in file.read_text().split("\n") if "clip_norm" not in x]
    file.write_text("\n".join(lines))
    run = runs.read(folder)
    assert (run.method, run.seed, run.path) == ("augmix", 3, folder)
    assert run.figure("clean", "accuracy") == pytest.approx(0.75)
    assert run.figure("p", "mfp") is run.value("image_size") is None
    names = ("epochs", "nesterov", "augmix_all_ops", "clip_norm")
    assert [run.value(n) for n in names] == ["3", "true", "false", "0.0"]


def test_runs_are_found_below_a_directory(tmp_path):
    below = [tmp_path / "b" / "seed0", tmp_path / "a" / "seed1"]
    for folder in below:
        comparison_runs.write(folder)
    assert runs.find(tmp_path) == sorted(below)
    assert runs.find(tmp_path / "a") == [below[1]]
    # What lies in a run is no run of its own.
    comparison_runs.write(below[0] / "inner")
    assert runs.find(below[0]) == [below[0]]


REPORT, FLAGS = "evaluation/report.json", "flags.txt"
NO_REPORT = ["no report of schema 2"]


def changed(section, key, value):
    def change(text):
        content = json.loads(text)
        content["sections"][section][key] = value
        return json.dumps(content).encode()

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (REPORT, lambda text: text[:-20], ["cannot be read ", "remove it"]),
        (REPORT, lambda text: b'{"schema": 1}', NO_REPORT),
        (REPORT, changed("clean", "figures", {"accuracy": "high"}), NO_REPORT),
        (REPORT, changed("clean", "n", None), NO_REPORT),
        (REPORT, changed("clean", "cells", {"clean": 1}), NO_REPORT),
        (REPORT, changed("c", "cells", {"fog": {"1": {}}}), NO_REPORT),
        (REPORT, changed("p", "cells", {"tilt": {}}), NO_REPORT),
        (FLAGS, lambda text: b"--schemes=a\n", ["no run of python -m noisymi"]),
        (FLAGS, lambda text: text.replace(b"seed=0", b"seed=o"), ["damaged"]),
        (FLAGS, lambda text: b"\xff\xfe", ["cannot be read", "no text"]),
    ],
)
def test_what_is_damaged_is_told_in_one_line(tmp_path, name, change, words):
    folder = comparison_runs.write(
        tmp_path / "run", c={"fog": {1: 0.5}}, p={"tilt": 0.1}
    )
    file = folder / name
    file.write_bytes(change(file.read_bytes()))
    assert_usage_error(lambda: runs.read(folder), folder, *words)
