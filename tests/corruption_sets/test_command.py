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


def test_digits_from_the_command_line(tmp_path, capsys):
    folder = tmp_path / "sets"
    arguments = [
        "--dataset=digits",
        "--test_examples=100",
        "--corruptions=fog,gaussian_noise",
        "--seed=4",
        "--processes=2",
        f"--output_dir={folder}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "noisymix_tf.corruptions", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "[1/2] gaussian_noise       500 images in" in done.stderr
    test = data.load("digits", test_examples=100).test
    for name in ("fog", "gaussian_noise"):
        expected = [
            corruptions.corrupt(test.images, name, severity, seed=4)
            for severity in corruptions.SEVERITIES
        ]
        np.testing.assert_array_equal(
            np.load(folder / f"{name}.npy"), np.concatenate(expected)
        )
        assert (folder / "sheets" / f"{name}.png").exists()
    run(*arguments)
    assert "[2/2] fog                  there already" in capsys.readouterr().err


def test_flags_reach_what_they_name(tmp_path):
    run(
        "--test_examples=20",
        "--suite=p",
        "--corruptions=brightness,shot_noise",
        "--difficulty=2",
        "--crop=28",
        "--table=imagenet",
        "--seed=9",
        "--processes=1",
        f"--output_dir={tmp_path}",
    )
    images = data.load("digits", test_examples=20).test.images
    for file, name in (
        ("brightness", "brightness"),
        ("shot_noise_2", "shot_noise"),
    ):
        expected = corruptions.perturb(
            images, name, 9, table="imagenet", difficulty=2, crop=28
        )
        np.testing.assert_array_equal(
            np.load(tmp_path / f"{file}.npy"), expected
        )


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
    "arguments, words",
    [
        (["--corruptions=fogg"], "Unknown corruption 'fogg'. Known: gaussian_"),
        (["--severities=0"], "Severity 0 does not exist: choose 1, 2, 3, 4"),
        (["--severities=1,6"], "Severity 6 does not exist"),
        (["--severities=one"], "--severities=one must be a list of numbers"),
        (["--dataset=mnist"], "Unknown dataset 'mnist'. Known: digits"),
        (["--seed=x"], "seed"),
        (["--layout=film"], "auto|arrays|tree"),
        (["--processes=-1"], "processes=-1 must be at least 1"),
        (["--epochs=3"], "Unknown command line flag 'epochs'"),
        (["digits"], "Unexpected argument 'digits'"),
        (["--flagfile=/nowhere"], "/nowhere"),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path, capsys, arguments, words):
    folder = tmp_path / "sets"
    with pytest.raises(SystemExit) as caught:
        run(f"--output_dir={folder}", "--test_examples=20", *arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert not list(folder.glob("*.npy"))


def test_directories_are_checked(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for flag, words in (
        (f"--output_dir={tmp_path / 'file' / 'sets'}", "cannot be written"),
        (f"--output_dir={tmp_path}", "is not empty"),
        ("--output_dir=", "--output_dir is missing"),
    ):
        with pytest.raises(SystemExit) as caught:
            run(flag, "--test_examples=20")
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words in line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch):
    def report(stream):
        clock = iter(range(100))
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
        bar = Progress(total=200, sets=2)
        for name in ("fog", "snow"):
            bar.begin(name)
            for done in (0, 50, 100):
                bar.advance(done)
            bar.end()
        return stream.getvalue()

    lines = report(io.StringIO())
    assert lines.splitlines() == [
        "[1/2] fog                  100 images in 4.0 s",
        "[2/2] snow                 100 images in 4.0 s",
    ]
    drawn = report(Terminal())
    assert "\r[============            ]  50 % fog" in drawn
    assert "images/s, 0:" in drawn
    assert "\r[========================] 100 % snow" in drawn
