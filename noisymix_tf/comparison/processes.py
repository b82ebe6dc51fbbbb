"""Trainings in processes of their own, one or some at a time."""

import collections
import os
import signal
import subprocess
import sys
import time

from noisymix_tf.comparison import runs
from noisymix_tf.errors import Preempted, UsageError

_MODULE = "noisymix_tf.train"
_INTERRUPTED = 130
# What TensorFlow and its libraries read the number of threads from.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
# Seconds between two looks at processes.
_PATIENCE = 0.05


def launch(training, jobs=1):
    """Starts a training; its outputs are appended to its log.

    In a session of its own, so that a Ctrl-C at the terminal reaches it once
    only: by `_stop`.

    Args:
        training: `trainings.Training`.
        jobs: Trainings that share the machine.

    Returns:
        `subprocess.Popen`.
    """
    with training.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, f"--flagfile={training.flagfile}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(jobs),
            start_new_session=True,
        )


def _environment(jobs):
    """This process's, in which a training has its share of the cores."""
    if jobs == 1:
        return None
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    return {**dict.fromkeys(_THREADS, share), **os.environ}


def run_all(trainings, launch, jobs=1):
    """Carries out trainings in turn; what is finished is left as it is.

    Args:
        trainings: `trainings.Training`s.
        launch: Function of a `Training` and `jobs` that starts its process,
            like a `subprocess.Popen`; see `launch` of this module.
        jobs: How many are carried out beside each other.

    Returns:
        List of str, one for each training that failed.

    Raises:
        Preempted, KeyboardInterrupt: This process, or a training's, was told
            to end. The trainings have saved where they stand.
    """
    failures, running = [], []
    width = len(str(len(trainings)))
    waiting = collections.deque(
        _Job(f"[{n:>{width}}/{len(trainings)}] {training.title}: ", training)
        for n, training in enumerate(trainings, 1)
    )
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                job = waiting.popleft()
                if job.training.is_finished():
                    _say(f"{job.head}there already; {_summary(job.training)}")
                    continue
                _say(job.head, "" if jobs == 1 else "started\n")
                job.begin(launch, jobs)
                running.append(job)
            if running:
                job = _first_to_end(running)
                words, failure = job.end()
                _say(words if jobs == 1 else job.head + words)
                failures += [failure] if failure else []
                running.remove(job)
    except KeyboardInterrupt:
        _stop(running, signal.SIGINT)
        raise KeyboardInterrupt(_left(running)) from None
    except Preempted:
        _stop(running, signal.SIGTERM)
        raise Preempted(_left(running)) from None
    except Exception:
        _stop(running, signal.SIGTERM)
        raise
    return failures


class _Job:
    """A training and, once it has begun, its process.

    Args:
        head: Beginning of the lines on it.
        training: `trainings.Training`.
    """

    def __init__(self, head, training):
        self.head, self.training = head, training
        self.process = self._start = None

    def begin(self, launch, jobs):
        self._start = time.monotonic()
        self.training.prepare()
        self.process = launch(self.training, jobs)

    def end(self):
        """Once the process has ended: words on it, and why it failed or None.

        Raises:
            Preempted, KeyboardInterrupt: It was told to end.
        """
        status = self.process.wait()
        if status == Preempted.STATUS:
            raise Preempted(self.training.title)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        elapsed = f"{time.monotonic() - self._start:.0f} s"
        if status == 0:
            self.training.mark_finished()
            return f"{elapsed}; {_summary(self.training)}", None
        reason = _reason(self.training, status)
        return (
            f"failed after {elapsed}: {reason}",
            f"{self.training.title}: {reason}",
        )


def _first_to_end(running):
    while True:
        for job in running:
            if job.process.poll() is not None:
                return job
        time.sleep(_PATIENCE)


def _stop(running, number):
    """Passes a signal on, and every Ctrl-C after it, until all have ended."""
    while True:
        try:
            for job in running:
                job.process.send_signal(number)
            for job in running:
                job.process.wait()
            _say("ended early")
            return
        except KeyboardInterrupt:
            number = signal.SIGINT


def _left(running):
    return "; ".join(
        f"{job.training.title} is kept as far as it is, see {job.training.log}"
        for job in running
    )


def _reason(training, status):
    """Why a training failed: the last line of its log."""
    if status < 0:
        name = signal.Signals(-status).name
        return f"its process was ended by {name}, see {training.log}"
    lines = training.log.read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    words = last.strip().removeprefix("error: ")
    return f"status {status}, see {training.log}: {words}"


def _summary(training):
    """The first figures of a finished training, for the line on it."""
    try:
        run = runs.read(training.folder)
    except UsageError as error:
        return str(error)
    figures = (
        ("clean", run.figure("clean", "accuracy")),
        ("C", run.figure("c", "mean_accuracy")),
    )
    words = [f"{n} {100 * v:.1f} %" for n, v in figures if v is not None]
    return ", ".join(words) or "measured"


def _say(text, end="\n"):
    print(text, end=end, file=sys.stderr, flush=True)
