"""Corrupted sets: killed at any moment, continued, never overwritten."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from noisymix_tf import UsageError, corruption_sets, corruptions
from noisymix_tf.corruption_sets.workers import Workers
from noisymix_tf.data import ArraySplit, Dataset
from support import ROOT

# Run in a process of its own as well, to be killed.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    from corruption_sets import test_resume as test
    test.write_many(sys.argv[2], sys.argv[3], processes=2)
"""
MANY = 600


def dataset(number, change=0):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)
    images[-1] += np.uint8(change)
    split = ArraySplit(images, np.arange(number) % 2)
    return Dataset(
        name="noise",
        train=split,
        test=split,
        class_names=("a", "b"),
        image_shape=split.image_shape,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        flip=True,
    )


def write(folder, number=40, change=0, **arguments):
    arguments = {"names": ["shot_noise"], **arguments}
    return corruption_sets.write(
        dataset(number, change), folder, progress=False, **arguments
    )


def write_many(folder, layout, processes=None):
    return write(
        folder,
        MANY,
        names=["elastic_transform", "brightness"],
        layout=layout,
        image_format="png",
        processes=processes,
    )


def contents(folder):
    """All that a set is made of, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def written(folder, layout):
    """Share of the first set that is there."""
    if layout == "tree":
        return len(list(folder.glob("elastic*/*/*/*.png"))) / (5 * MANY)
    partial = folder / ".elastic_transform.npy.partial"
    size = partial.stat().st_size if partial.exists() else 0
    return size / (5 * MANY * 32 * 32 * 3)


def children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        pytest.skip("no /proc here to watch processes in")
    return [int(child) for child in text.split()]


def runs(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("layout", ["arrays", "tree"])
def test_killed_in_the_middle_and_continued_it_is_the_same(tmp_path, layout):
    folder = tmp_path / "killed"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    here = ROOT / "tests"
    process = subprocess.Popen(
        [sys.executable, script, here, folder, layout],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while written(folder, layout) < 0.05 and process.poll() is None:
        time.sleep(0.005)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, output
    assert 0.05 <= written(folder, layout) < 1
    assert not (folder / "elastic_transform.npy").exists()
    # The workers do not outlive it.
    assert len(workers) >= 2
    deadline = time.monotonic() + 20
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, workers))

    write_many(folder, layout)
    whole = write_many(tmp_path / "whole", layout)
    assert contents(folder).keys() == contents(whole).keys()
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize("rows", [0, 1, 57, 199, 200])
def test_rows_that_are_there_are_not_made_again(tmp_path, rows):
    write(tmp_path)
    file = tmp_path / "shot_noise.npy"
    expected = np.load(file)
    content = file.read_bytes()
    row = 32 * 32 * 3
    header = len(content) - expected.size
    # As it is when killed while a row was written, with recognisable rows.
    half = b"" if rows == 200 else b"\7" * (row // 2)
    partial = tmp_path / ".shot_noise.npy.partial"
    partial.write_bytes(content[:header] + b"\7" * rows * row + half)
    file.unlink()
    write(tmp_path)
    resumed = np.load(file)
    assert (resumed[:rows] == 7).all()
    np.testing.assert_array_equal(resumed[rows:], expected[rows:])
    assert not partial.exists()


def test_rows_that_a_crash_of_the_machine_left_empty_are_made_again(tmp_path):
    """The file has its length before its contents; zeros counted as done."""
    whole = write(tmp_path / "whole") / "shot_noise.npy"
    content = whole.read_bytes()
    row = 32 * 32 * 3
    header = len(content) - 200 * row
    crashed = write(tmp_path / "crashed") / "shot_noise.npy"
    crashed.unlink()
    partial = crashed.with_name(".shot_noise.npy.partial")
    partial.write_bytes(content[: header + 50 * row] + bytes(70 * row))
    write(tmp_path / "crashed")
    assert crashed.read_bytes() == content


def test_a_damaged_beginning_is_made_again(tmp_path):
    write(tmp_path)
    file = tmp_path / "shot_noise.npy"
    content = file.read_bytes()
    file.unlink()
    (tmp_path / ".shot_noise.npy.partial").write_bytes(content[:50])
    write(tmp_path)
    assert file.read_bytes() == content


def test_finished_files_are_left_alone_and_missing_ones_made(tmp_path):
    folder = write(tmp_path, layout="tree", severities=[1, 2])
    lost = folder / "shot_noise/2/a/10.png"
    lost = lost.with_suffix(".JPEG")
    empty = folder / "shot_noise/1/b/11.JPEG"
    whole = contents(folder)
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*.JPEG")}
    lost.unlink()
    empty.write_bytes(b"")
    write(tmp_path, layout="tree", severities=[1, 2])
    assert contents(folder) == whole
    changed = {p for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert changed == {lost, empty}


def test_more_names_and_severities_may_be_added(tmp_path):
    write(tmp_path)
    before = (tmp_path / "shot_noise.npy").stat().st_mtime_ns
    write(tmp_path, names=["fog", "shot_noise"])
    assert (tmp_path / "shot_noise.npy").stat().st_mtime_ns == before
    assert np.load(tmp_path / "fog.npy").shape[0] == 200
    tree = tmp_path / "tree"
    write(tree, layout="tree", severities=[1])
    write(tree, layout="tree", severities=[4])
    assert len(list(tree.glob("shot_noise/*/*/*.JPEG"))) == 80


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"seed": 1}, "seed 1 (was 0)"),
        ({"severities": [1, 2]}, "severities [1, 2] (was [1, 2, 3, 4, 5])"),
        ({"table": "imagenet"}, "table imagenet (was cifar)"),
        ({"number": 30}, "images 30 (was 40)"),
        # The last image is another one; only the first was looked at.
        ({"change": 1}, "data "),
        ({"layout": "tree"}, "layout tree (was arrays); severities None (was"),
        ({"suite": "p"}, "suite p (was c)"),
    ],
)
def test_other_settings_are_refused(tmp_path, arguments, words):
    write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UsageError) as caught:
        write(tmp_path, **arguments)
    message = str(caught.value)
    assert (
        "holds corrupted sets of other settings" in message
        and "\n" not in message
    )
    # The order of the settings is that of the manifest.
    assert all(part in message for part in words.split("; "))
    assert contents(tmp_path) == before


def test_another_generator_is_refused(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(corruptions, "version", lambda folder=None: "0")
    with pytest.raises(UsageError, match=r"generator 0 \(was "):
        write(tmp_path)


def test_directories_that_cannot_be_used(tmp_path):
    with pytest.raises(UsageError, match="--output_dir is missing"):
        write("")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "file" / "c")
    with pytest.raises(UsageError, match="is not empty and holds no corrupted"):
        write(tmp_path)
    used = tmp_path / "used"
    used.mkdir()
    with open(used / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="by another process"):
            write(used)
    write(used)
    (used / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match=r"manifest\.json is damaged"):
        write(used)


def test_a_changed_file_is_not_taken_for_finished(tmp_path):
    write(tmp_path)
    file = tmp_path / "shot_noise.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match="remove it, and the same command"):
        write(tmp_path)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(self, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("noisymix_tf.corruption_sets.arrays._Rows.append", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write(tmp_path)
    monkeypatch.undo()
    write(tmp_path)
    assert np.load(tmp_path / "shot_noise.npy").shape[0] == 200


@pytest.mark.parametrize("processes", [None, 2])
def test_workers_keep_the_order_and_do_not_run_far_ahead(processes):
    pulled = []

    def calls():
        for number in range(50):
            pulled.append(number)
            yield (-number,)

    with Workers(processes) as workers:
        for place, result in enumerate(workers.ordered(abs, calls())):
            assert result == place
            assert len(pulled) - place <= 2 * workers.count + 1


def test_a_worker_that_dies_is_one_line():
    with Workers(1) as workers:
        with pytest.raises(UsageError, match="worker process was killed"):
            list(workers.ordered(os._exit, [(3,)]))
