"""Trainings in turn: resumed, failed, interrupted. None of them is real."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from noisymix_tf.comparison import processes
from noisymix_tf.comparison.trainings import Training
from noisymix_tf.errors import Preempted
from support import comparison_runs


class Done:
    """A process that has ended."""

    def __init__(self, status):
        self._status = status

    def poll(self):
        return self._status

    wait = poll

    def send_signal(self, number):
        pass


def _trainings(folder, **more):
    return [
        Training(
            method,
            comparison_runs.with_flags(
                comparison_runs.flags(method, seed), "evaluation", **more
            ),
            folder / method / f"seed{seed}",
        )
        for seed in (0, 1)
        for method in ("baseline", "mixup")
    ]


class Launch:
    """Writes the results that a training would; some of them fail."""

    def __init__(self, failing=(), status=2):
        self.started = []
        self._failing, self._status = failing, status

    def __call__(self, training, jobs):
        name = f"{training.name}{training.config.run.seed}"
        self.started.append(name)
        assert training.flagfile.read_text() == training.text
        if name in self._failing:
            training.log.write_text("some words\nerror: no such thing\n\n")
            return Done(self._status)
        if not training.folder.exists():
            comparison_runs.write(training.folder, training.config, clean=0.75)
        return Done(0)


EVERY = ["baseline0", "mixup0", "baseline1", "mixup1"]


def test_what_is_not_finished_is_trained_in_turn(tmp_path, capsys):
    """Finished: with these very flags, and its results are there."""
    trainings = _trainings(tmp_path)

    def started(trainings):
        launch = Launch()
        assert processes.run_all(trainings, launch) == []
        assert all(training.is_finished() for training in trainings)
        return launch.started, capsys.readouterr().err.splitlines()

    assert not any(training.is_finished() for training in trainings)
    names, lines = started(trainings)
    assert names == EVERY and len(lines) == 4
    assert lines[1] == "[2/4] Mixup, seed 0: 0 s; clean 75.0 %"
    names, lines = started(trainings)
    assert names == []
    assert lines[0] == "[1/4] Baseline, seed 0: there already; clean 75.0 %"
    (trainings[2].folder / "evaluation" / "report.json").unlink()
    # It is not written again here: the folder is there.
    again = Launch()
    processes.run_all(trainings, again)
    assert again.started == ["baseline1"]
    # Other measurements are asked for: the process knows what is missing.
    more = Launch()
    processes.run_all(_trainings(tmp_path, suites=("clean",)), more)
    assert more.started == EVERY


def test_one_that_fails_does_not_keep_the_rest(tmp_path, capsys):
    trainings = _trainings(tmp_path)
    launch = Launch(failing=("mixup0",))
    (failure,) = processes.run_all(trainings, launch)
    assert launch.started == EVERY
    log = trainings[1].log
    assert failure == f"Mixup, seed 0: status 2, see {log}: no such thing"
    assert "failed after 0 s: status 2" in capsys.readouterr().err
    assert not trainings[1].is_finished()
    (failure,) = processes.run_all(trainings, Launch(("mixup0",), -9))
    assert failure.startswith("Mixup, seed 0: its process was ended by SIGKILL")
    again = Launch()
    assert processes.run_all(trainings, again) == []
    assert again.started == ["mixup0"]


@pytest.mark.parametrize(
    ("status", "error"), [(75, Preempted), (130, KeyboardInterrupt)]
)
def test_a_training_that_was_told_to_end_ends_all(tmp_path, status, error):
    launch = Launch(failing=("mixup0",), status=status)
    with pytest.raises(error, match="Mixup, seed 0 is kept"):
        processes.run_all(_trainings(tmp_path), launch)
    assert launch.started == EVERY[:2]


# Counts the signals that it gets, and takes a while to end.
PATIENT = """
import json, signal, sys, time
seen = []
def note(number, frame):
    seen.append(number)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, note)
print("ready", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.2)
open(sys.argv[1], "w").write(json.dumps(seen))
"""


@pytest.mark.parametrize(
    ("number", "error", "jobs"),
    [(signal.SIGTERM, Preempted, 1), (signal.SIGINT, KeyboardInterrupt, 2)],
)
def test_a_signal_is_passed_on_once_and_waited_for(
    tmp_path, number, error, jobs
):
    started = []

    def launch(training, jobs):
        process = subprocess.Popen(
            [sys.executable, "-c", PATIENT, tmp_path / f"{len(started)}.json"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout.readline() == b"ready\n"
        started.append(process)
        if len(started) == jobs:
            threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        return process

    def end(number, frame):
        raise Preempted("as a door does")

    previous = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(error, match="Baseline, seed 0 is kept") as caught:
            processes.run_all(_trainings(tmp_path), launch, jobs)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert ("Mixup, seed 0 is kept" in str(caught.value)) == (jobs == 2)
    assert len(started) == jobs
    for place, process in enumerate(started):
        seen = (tmp_path / f"{place}.json").read_text()
        assert json.loads(seen) == [number]
        process.stdout.close()
        assert process.returncode == 0


# Ends when the other one of a pair has come, too.
SOCIABLE = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
end = time.monotonic() + 60
while not other.exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""


def test_two_at_a_time(tmp_path, capsys):
    number = 0

    def launch(training, jobs):
        nonlocal number
        pair = [tmp_path / str(number), tmp_path / str(number ^ 1)]
        number += 1
        comparison_runs.write(training.folder, training.config, clean=0.75)
        return subprocess.Popen([sys.executable, "-c", SOCIABLE, *pair])

    trainings = _trainings(tmp_path)
    assert processes.run_all(trainings, launch, jobs=2) == []
    assert all(training.is_finished() for training in trainings)
    lines = capsys.readouterr().err.splitlines()
    heads = ["[1/4] Baseline, seed 0: started", "[2/4] Mixup, seed 0: started"]
    assert lines[:2] == heads
    assert len([x for x in lines if x.endswith(" s; clean 75.0 %")]) == 4


def test_what_goes_wrong_here_ends_the_others(tmp_path):
    """No training is left without the one who waits for it."""
    started = []

    def launch(training, jobs):
        if started:
            raise OSError("no space left on device")
        started.append(subprocess.Popen(["sleep", "60"]))
        return started[0]

    with pytest.raises(OSError, match="no space"):
        processes.run_all(_trainings(tmp_path), launch, jobs=2)
    assert started[0].returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("jobs", "own", "threads"),
    [(1, None, ""), (3, None, "2"), (9, None, "1"), (3, "5", "5")],
)
def test_each_has_its_share_of_the_cores(
    tmp_path, monkeypatch, jobs, own, threads
):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$TF_NUM_INTRAOP_THREADS"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    if own:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", own)
    training = _trainings(tmp_path)[0]
    training.prepare()
    assert processes.launch(training, jobs).wait() == 0
    assert training.log.read_text() == f"{threads}\n"
