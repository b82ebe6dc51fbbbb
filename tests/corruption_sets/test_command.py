"""The door `python -m noisymix_tf.corruptions`."""

import io
import subprocess
import sys

import numpy as np
import pytest

from noisymix_tf import corruptions, data, doors
from noisymix_tf.corruption_sets.progress import Progress
from noisymix_tf.corruptions import __main__ as door


def run(*arguments):
    doors.run(door.main, ["corruptions", *arguments])


def test_flags_reach_what_they_name(tmp_path, capfd):
    """Twice: the second time nothing is left to do."""
    arguments = [
        "--dataset=digits",
        "--test_examples=20",
        "--suite=p",
        "--corruptions=brightness,shot_noise",
        "--difficulty=2",
        "--crop=28",
        "--table=imagenet",
        "--seed=9",
        "--processes=2",
        f"--output_dir={tmp_path}",
    ]
    run(*arguments)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("[1/2] shot_noise_2         20 images in")
    assert lines[-1] == f"Written: {tmp_path}"
    images = data.load("digits", test_examples=20).test.images
    for name, file in (("brightness",) * 2, ("shot_noise", "shot_noise_2")):
        expected = corruptions.perturb(
            images, name, 9, table="imagenet", difficulty=2, crop=28
        )
        stored = np.load(tmp_path / f"{file}.npy")
        np.testing.assert_array_equal(stored, expected)
        assert (tmp_path / "sheets" / f"{file}.png").exists()
    run(*arguments)
    assert "[2/2] brightness           there already" in capfd.readouterr().err


def test_help_names_every_flag_without_tensorflow():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "noisymix_tf.corruptions"]
        + ["--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert " tensorflow" not in done.stderr
    for flag in (
        "dataset data_dir image_size test_examples output_dir suite "
        "corruptions severities difficulty crop seed table frost_folder layout "
        "format processes"
    ).split():
        assert f"--{flag}: " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--severities=1,6", "Severity 6 does not exist: choose 1, 2, 3, 4"),
        ("--severities=one", "--severities=one must be a list of numbers"),
        ("--dataset=mnist", "Unknown dataset 'mnist'. Known: digits"),
        ("--seed=x", "seed"),
        ("--processes=-1", "processes=-1 must be at least 1"),
        ("--epochs=3", "Unknown command line flag 'epochs'"),
        ("digits", "Unexpected argument 'digits'"),
        ("--flagfile=/nowhere", "/nowhere"),
        ("--output_dir=/dev/null/sets", "cannot be written"),
        ("--output_dir=/usr", "is not empty"),
        ("--output_dir=", "--output_dir is missing"),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path, capsys, argument, words):
    folder = tmp_path / "sets"
    with pytest.raises(SystemExit) as caught:
        run(f"--output_dir={folder}", "--test_examples=20", argument)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert not list(folder.glob("*.npy"))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_a_bar_on_a_terminal_and_lines(monkeypatch, is_terminal):
    stream, clock = io.StringIO(), map(float, range(100))
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("time.monotonic", clock.__next__)
    bar = Progress(total=200, sets=2)
    for name in ("fog", "snow"):
        bar.begin(name)
        for done in (0, 50, 100):
            bar.advance(done)
        bar.end()
    text = stream.getvalue()
    line = "[2/2] snow                 100 images in 4.0 s\n"
    assert text.endswith(line) and text.count("\n") == 2
    if is_terminal:
        assert "\r[============            ]  50 % fog" in text
        assert "images/s, 0:" in text
        assert "\r[========================] 100 % snow" in text
    else:
        assert text == line.replace("2/2", "1/2").replace("snow", "fog ") + line
