"""Corrupted sets: continued wherever they ended, never overwritten."""

import fcntl

import numpy as np
import pytest

from noisymix_tf import corruptions, data, sets
from support.released_sets import contents
from support.usage import assert_usage_error

ROW = 32 * 32 * 3


def write(folder, number=40, **arguments):
    digits = data.load("digits", test_examples=number)
    usual = {"names": ["shot_noise"], "num_workers": 0, "progress": False}
    return sets.write(digits, folder, **{**usual, **arguments})


@pytest.mark.parametrize("rows", [0, 57, 200, "zeros", "header"])
def test_rows_that_are_there_are_not_made_again(tmp_path, rows):
    file = write(tmp_path) / "shot_noise.npy"
    content = file.read_bytes()
    file.unlink()
    if rows == "header":  # Damaged.
        left = content[:50]
    elif rows == "zeros":
        # A file had its length before its contents when the machine stopped.
        left = content[: 50 * ROW] + bytes(70 * ROW)
    else:
        # As it is when killed while a row was written; recognisable rows.
        header, end = (len(content) - n * ROW for n in (200, 200 - rows))
        content = content[:header] + b"\7" * rows * ROW + content[end:]
        left = content[: end + ROW // 2]
    partial = tmp_path / ".shot_noise.npy.begun"
    partial.write_bytes(left)
    write(tmp_path)
    assert file.read_bytes() == content and not partial.exists()


def test_finished_files_are_left_alone_and_missing_ones_made(tmp_path):
    write(tmp_path, layout="tree", severities=[1, 2])
    whole = contents(tmp_path)
    times = {p: p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*.JPEG"))}
    lost, empty = (list(times)[place] for place in (7, 70))
    lost.unlink()
    empty.write_bytes(b"")
    write(tmp_path, layout="tree", severities=[1, 2])
    assert contents(tmp_path) == whole
    changed = {p for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert changed == {lost, empty}
    write(tmp_path, layout="tree", severities=[4])  # Is added.
    assert len(list(tmp_path.glob("shot_noise/*/*/*.JPEG"))) == 120


def test_more_names_are_added_and_other_settings_refused(tmp_path, monkeypatch):
    before = (write(tmp_path) / "shot_noise.npy").stat()
    write(tmp_path, names=["fog", "shot_noise"])
    assert (tmp_path / "shot_noise.npy").stat().st_mtime == before.st_mtime
    assert np.load(tmp_path / "fog.npy").shape[0] == 200
    whole = contents(tmp_path)
    for arguments, *words in (
        ({"seed": 1}, "seed 1 (was 0)"),
        ({"severities": [1, 2]}, "severities [1, 2] (was [1, 2, 3, 4, 5])"),
        ({"table": "imagenet"}, "table imagenet (was cifar)"),
        ({"layout": "tree"}, "layout tree (was arrays)", "severities None"),
        ({"suite": "p", "names": ["tilt"]}, "suite p (was c)"),
    ):
        words.append("holds corrupted sets of other settings")
        assert_usage_error(write, *words, folder=tmp_path, **arguments)
    monkeypatch.setattr(corruptions, "version", lambda folder=None: "0")
    assert_usage_error(lambda: write(tmp_path), "generator 0 (was ")
    assert contents(tmp_path) == whole


def test_unusable_directories_and_full_disks_are_told(tmp_path, monkeypatch):
    def refused(folder, words):
        assert_usage_error(write, words, folder=folder)

    refused("", "--output_dir is missing")
    used = tmp_path / "used"
    used.mkdir()
    refused(tmp_path, "is not empty and holds no corrupted")
    with open(used / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(used, "by another process")
    write(used)
    for name, cut, added, words in (
        ("labels.npy", -1, b"\1", "holds other labels than the dataset"),
        ("shot_noise.npy", -1, b"", "remove it, and the same command"),
        ("manifest.json", 1, b"", "manifest.json is damaged"),
    ):
        content = (used / name).read_bytes()
        (used / name).write_bytes(content[:cut] + added)
        refused(used, words)
        (used / name).write_bytes(content)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    # Private: where rows are written.
    monkeypatch.setattr("noisymix_tf.sets.layouts._opened", full)
    refused(tmp_path / "full", "No space left on device")
