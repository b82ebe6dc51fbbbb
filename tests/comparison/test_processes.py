"""Trainings in turn: resumed, failed, interrupted. None of them is real."""

import os
import signal
import subprocess
import sys
import threading
import types

import pytest

from noisymix_tf.comparison import processes
from noisymix_tf.comparison.trainings import Training
from noisymix_tf.errors import Preempted
from support import comparison_runs as made

EVERY = ["baseline0", "mixup0", "baseline1", "mixup1"]


def trainings(folder, **more):
    planned = []
    for name in EVERY:
        config = made.flags(name[:-1], int(name[-1]), **more)
        planned.append(Training(name[:-1], config, folder / name / "run"))
    return planned


class Launch:
    def __init__(self, status=0):
        self.started, self._status = [], status

    def __call__(self, training, jobs):
        self.started.append(training.folder.parent.name)
        assert training.flagfile.read_text() == training.text
        status = self._status if self.started[-1] == "mixup0" else 0
        if status:
            training.log.write_text("1/9 [..]\r2/9 [=.]\nerror: no such\n\n")
        elif not training.folder.exists():
            made.write(training.folder, training.config, clean=0.75)
        ended = types.SimpleNamespace(send_signal=lambda number: None)
        ended.poll = ended.wait = lambda: status
        return ended


def test_what_is_not_finished_is_trained_in_turn_and_told(tmp_path, capsys):
    def started(planned, status=0):
        failures = processes.run_all(planned, launch := Launch(status))
        return launch.started, failures, capsys.readouterr().err.splitlines()

    planned = trainings(tmp_path)
    names, failures, lines = started(planned)
    assert names == EVERY and all(own.is_finished() for own in planned)
    head = "[2/4] Mixup, seed 0:"
    assert lines[2:4] == [f"{head} started", f"{head} 0 s; Clean 75.0 %"]
    names, failures, lines = started(planned)
    assert names == [] and "there already; Clean 75.0 %" in lines[0]
    (planned[2].folder / "evaluation" / "report.json").unlink()
    assert started(planned)[0] == ["baseline1"]
    # Other measurements are asked for: the process knows what is missing.
    assert started(trainings(tmp_path, suites=("clean",)))[0] == EVERY
    # One that fails does not keep the rest; one that was told to end does.
    planned = trainings(tmp_path / "failing")
    names, failures, lines = started(planned, 2)
    log = planned[1].log
    assert failures == [f"Mixup, seed 0: status 2, see {log}: no such"]
    assert lines[3].startswith(f"{head} failed after 0 s: status 2")
    assert names == EVERY and not planned[1].is_finished()
    _, (failure,), _ = started(planned, -9)
    assert failure.startswith("Mixup, seed 0: its process was ended by SIGKILL")
    assert started(planned)[:2] == (["mixup0"], [])
    for status, error in ((75, Preempted), (130, KeyboardInterrupt)):
        launch = Launch(status)
        with pytest.raises(error, match="Mixup, seed 0 is kept"):
            processes.run_all(trainings(tmp_path / f"{status}"), launch)
        assert launch.started == EVERY[:2]
    (training, *_), launch = trainings(tmp_path / "told"), Launch()
    logs = [b"one\n\n", b"1/9 [=>..]\r2/9 [==>.]", b""]

    def poll():
        with training.log.open("ab") as log:
            log.write(logs.pop(0) if logs else b"")
        return None if logs else 0

    def begin(training, jobs):
        ended = launch(training, jobs)
        ended.poll = poll
        return ended

    assert processes.run_all([training], begin, silence=0.0) == []
    *_, first, second, _ = capsys.readouterr().err.splitlines()
    assert first.endswith("0: one") and second.endswith("0: 2/9 [==>.]")


# Counts the signals that it gets, and takes a while to end.
PATIENT = """
import signal, time
seen = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: seen.append(number))
print("ready", flush=True)
while not seen: time.sleep(0.01)
time.sleep(0.2)
print(*map(int, seen))
"""


@pytest.mark.parametrize(
    ("number", "error", "jobs"),
    [(signal.SIGTERM, Preempted, 1), (signal.SIGINT, KeyboardInterrupt, 2)],
)
def test_a_signal_is_passed_on_once(tmp_path, number, error, jobs):
    started, pipe = [], {"stdout": subprocess.PIPE, "start_new_session": True}

    def launch(training, jobs):
        process = subprocess.Popen([sys.executable, "-c", PATIENT], **pipe)
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
            processes.run_all(trainings(tmp_path), launch, jobs)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert str(caught.value).count("seed 0 is kept") == len(started) == jobs
    for process in started:
        with process.stdout:
            assert process.stdout.read() == b"%d\n" % number
        assert process.returncode == 0


def test_faults_end_the_others_and_cores_are_shared(tmp_path, monkeypatch):
    started = []

    def launch(training, jobs):
        if started:
            raise OSError("no space left on device")
        started.append(subprocess.Popen(["sleep", "60"]))
        return started[0]

    with pytest.raises(OSError, match="no space"):
        processes.run_all(trainings(tmp_path), launch, jobs=2)
    assert started[0].returncode == -signal.SIGTERM
    python, name = tmp_path / "python", "TF_NUM_INTRAOP_THREADS"
    python.write_text(f'#!/bin/sh\necho "${name}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv(name)
    (training, *_) = trainings(tmp_path / "own")
    training.prepare()
    for jobs in (1, 3, 9):
        assert processes.launch(training, jobs).wait() == 0
    monkeypatch.setenv(name, "5")
    processes.launch(training, 3).wait()
    assert training.log.read_text().split("\n") == ["", "2", "1", "5", ""]
