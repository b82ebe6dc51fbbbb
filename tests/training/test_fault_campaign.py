"""Runs that are killed again and again end as if they had not been.

Processes are forked from one that has imported TensorFlow (`door_processes`).
The uninterrupted run has a process of its own: that the others end with the
same bytes also shows that a forked run is a run like any other.
"""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from support import door_processes, tiny_network

STEPS = 160
RUN = (
    "--flagfile=flags/data/digits.flags",
    "--flagfile=flags/method/nfm.flags",
    "--ramps=additive_noise:0.1:0.2:0.8,alpha:0.5:0:1",
    "--model=tiny",
    "--taps=normalize",
    "--train_examples=100",
    "--test_examples=50",
    "--batch_size=25",
    f"--epochs={STEPS // 4}",
    "--checkpoint_steps=1",
    "--suites=clean",
    "--notensorboard",
    "--noexport",
)
# Kills of each of the two campaigns, by the phase of the run that they hit.
PHASES = (*["writing", "training"] * 4, "start", "ending", "ending")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        [
            sys.executable,
            tiny_network.__file__,
            *RUN,
            f"--output_dir={folder}",
        ],
        cwd=door_processes.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def _start(folder, log):
    return door_processes.Process(
        "support.tiny_network", *RUN, f"--output_dir={folder}", log=log
    )


def _steps(folder):
    checkpoints = (folder / "checkpoints").glob("step-*")
    return max((int(path.name[5:]) for path in checkpoints), default=0)


def _wait_for_step(folder, step, process):
    deadline = time.monotonic() + 300
    while _steps(folder) < step and process.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _is_writing(folder):
    return any((folder / "checkpoints").glob(".partial-*"))


def _wait_for_writing(folder, process):
    while not _is_writing(folder) and process.is_running():
        pass


def _campaign(folder, log, seed):
    """Kills at seeded moments, then lets the run end.

    Returns:
        How many kills there were, and how many of them left a checkpoint that
        was being written or removed.
    """
    rng = np.random.default_rng(seed)
    kills = torn = 0
    for phase in PHASES:
        with _start(folder, log) as process:
            if phase == "start":
                time.sleep(rng.uniform(0, 2))
            elif phase == "training":
                _wait_for_step(folder, _steps(folder) + 1, process)
                time.sleep(rng.uniform(0, 0.05))
            elif phase == "writing":
                _wait_for_step(folder, _steps(folder) + 1, process)
                _wait_for_writing(folder, process)
                time.sleep(rng.uniform(0, 0.003))
            else:
                _wait_for_step(folder, STEPS, process)
                time.sleep(rng.uniform(0, 0.2))
            process.kill()
            kills += process.returncode == -signal.SIGKILL
            torn += _is_writing(folder)
    with _start(folder, log) as process:
        assert process.wait() == 0, log.read_text()
    return kills, torn


def _log(folder):
    return [
        {k: v for k, v in json.loads(line).items() if "second" not in k}
        for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def _files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def _assert_same(folder, whole):
    """The same model and state to the last bit, no epoch twice, no litter."""
    for name in (
        "model.keras",
        "views.png",
        f"checkpoints/step-{STEPS:08d}/state.npz",
        f"checkpoints/step-{STEPS - 1:08d}/state.npz",
    ):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert _log(folder) == _log(whole)
    assert [line["epoch"] for line in _log(folder)] == [*range(1, 41)]
    assert _files(folder) == _files(whole)


def test_twenty_kills_leave_no_trace(whole, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        counts = pool.map(
            lambda k: _campaign(folders[k], tmp_path / f"{k}.log", seed=k),
            range(2),
        )
    kills, torn = map(sum, zip(*counts))
    print(f"{kills} kills, {torn} of them within the writing of a checkpoint")
    assert kills >= 20 and torn >= 3
    for folder in folders:
        _assert_same(folder, whole)


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def test_damaged_checkpoints_are_passed_over_and_said_so(whole, tmp_path):
    folder = tmp_path / "run"
    newest = folder / "checkpoints" / f"step-{STEPS:08d}"
    before = folder / "checkpoints" / f"step-{STEPS - 1:08d}"
    log = tmp_path / "log"
    for damage, name in (
        (_truncate, "state.npz"),
        (_flip_a_bit, "manifest.json"),
    ):
        shutil.copytree(whole, folder)
        damage(newest / name)
        log.unlink(missing_ok=True)
        with _start(folder, log) as process:
            assert process.wait() == 0, log.read_text()
        lines = log.read_text().splitlines()
        assert (
            f"Skipped checkpoint {newest}: its bytes do not match its "
            f"checksum." in lines
        )
        assert f"Used the one before: {before}." in lines
        assert f"Continued from step {STEPS - 1}." in lines
        _assert_same(folder, whole)
        shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    _truncate(newest / "state.npz")
    _truncate(before / "state.npz")
    log.unlink()
    with _start(folder, log) as process:
        assert process.wait() == 2
    assert "error: No checkpoint in" in log.read_text()


def test_one_writer_and_a_good_end_at_sigterm(whole, tmp_path):
    """A second process is refused; the first saves, ends, and is continued."""
    folder = tmp_path / "run"
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with _start(folder, logs[0]) as first:
        _wait_for_step(folder, 1, first)
        os.kill(first.pid, signal.SIGSTOP)  # It is not to end in the meantime.
        with _start(folder, logs[1]) as second:
            assert second.wait() == 2
        assert (
            f"--output_dir={folder} is being written by another process "
            f"({first.pid} on " in logs[1].read_text()
        )
        os.kill(first.pid, signal.SIGTERM)
        os.kill(first.pid, signal.SIGCONT)
        assert first.wait() == 75
    step = _steps(folder)
    assert f"preempted: saved at step {step};" in logs[0].read_text()
    with _start(folder, logs[0]) as first:
        assert first.wait() == 0
    assert f"Continued from step {step}." in logs[0].read_text()
    _assert_same(folder, whole)
