"""The door `python -m noisymix_tf corrupt`."""

import subprocess
import sys

import numpy as np
import pytest

from noisymix_tf import corruptions, data, doors
from noisymix_tf.commands import corrupt

SMALL = ("--dataset=digits", "--test_examples=20")


def run(*arguments):
    doors.run(corrupt.main, ["corrupt", *arguments])


def test_flags_reach_what_they_name(tmp_path, capfd):
    arguments = (
        "--suite=p --difficulty=2 --table=imagenet --seed=9 "
        "--corruptions=brightness,shot_noise "
        f"--crop=28 --num_workers=2 --output_dir={tmp_path}"
    ).split()
    run(*SMALL, *arguments)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "  0 %" and lines[1].startswith("100 %  in ")
    assert lines[-1] == f"Written: {tmp_path}"
    images = data.load("digits", test_examples=20).test.images
    options = {"table": "imagenet", "difficulty": 2, "crop": 28}
    for name, file in (("brightness",) * 2, ("shot_noise", "shot_noise_2")):
        expected = corruptions.perturb(images, name, 9, **options)
        stored = np.load(tmp_path / f"{file}.npy")
        np.testing.assert_array_equal(stored, expected)
    # The second time less is left to do.
    run(*SMALL, *arguments, "--corruptions=brightness,tilt")
    assert capfd.readouterr().err.startswith(" 50 %")


def test_help_names_flags_without_tensorflow():
    options = {"capture_output": True, "text": True, "check": True}
    for name in ("stylize", "deepaugment", "corrupt"):
        command = f"-X importtime -m noisymix_tf {name} --helpfull".split()
        done = subprocess.run([sys.executable, *command], **options)
        assert " tensorflow" not in done.stderr
    for flag in "suite corruptions severities difficulty num_workers".split():
        assert f"--{flag}: " in done.stdout


def test_mistakes_are_one_line_and_status_2(tmp_path, capsys):
    for argument, words in (
        ("--severities=1,6", "--severities=1,6 must be a list of numbers"),
        ("--num_workers=-1", "--num_workers=-1 must be at least 0"),
        ("--shard=0/2", "--shard=0/2 must be i/n, part i of n, from 1/n to"),
        ("--shard=5/21", "there are no more than 20 images"),
        ("--output_dir=/dev/null/sets", "cannot be written"),
        ("--suite=p --table=tiny", "motion_blur has no constants for table=ti"),
    ):
        folder = tmp_path / "sets"
        with pytest.raises(SystemExit) as caught:
            run(f"--output_dir={folder}", *SMALL, *argument.split())
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words in line
        assert not list(folder.glob("*.npy"))
