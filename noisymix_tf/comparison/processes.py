"""Trainings in processes of their own, one or some at a time."""

import collections
import os
import re
import signal
import subprocess
import sys
import time

from noisymix_tf.comparison import runs
from noisymix_tf.errors import Preempted, UsageError

_INTERRUPTED = 130
# What TensorFlow and its libraries read the number of threads from.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
# Seconds between two looks at processes.
_PATIENCE = 0.05


def launch(training, jobs=1):
    """Starts a `Training`, in a session of its own, with its share of cores.

    So a Ctrl-C at the terminal reaches it once only: by `_stop`.
    """
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    threads = dict.fromkeys(_THREADS, share) if jobs > 1 else {}
    flagfile = f"--flagfile={training.flagfile}"
    with training.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "noisymix_tf.train", flagfile],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**threads, **os.environ},
            start_new_session=True,
        )


def run_all(trainings, launch, jobs=1, silence=30.0):
    """Carries out what is not finished; a line for each training that failed.

    Every `silence` seconds the last lines of the logs are shown. `Preempted` or
    `KeyboardInterrupt` if this process, or a training's, is told to end:
    trainings have then saved where they stand.
    """
    failures, running = [], []
    waiting = collections.deque(
        _Job(f"[{n}/{len(trainings)}] {training.title}: ", training)
        for n, training in enumerate(trainings, 1)
    )
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                job = waiting.popleft()
                if job.training.is_finished():
                    job.say(f"there already; {_summary(job.training)}")
                    continue
                job.say("started")
                job.training.prepare()
                job.start = time.monotonic()
                job.process = launch(job.training, jobs)
                running.append(job)
            if running:
                job = _first_to_end(running, silence)
                failures += job.end()
                running.remove(job)
    except BaseException as error:
        is_key = isinstance(error, KeyboardInterrupt)
        _stop(running, signal.SIGINT if is_key else signal.SIGTERM)
        if not is_key and not isinstance(error, Preempted):
            raise
        kept = "{0.title} is kept as far as it is, see {0.log}"
        left = "; ".join(kept.format(job.training) for job in running)
        raise type(error)(left) from None
    return failures


class _Job:
    """A training, the beginning of the lines on it, and its process."""

    def __init__(self, head, training):
        self.head, self.training = head, training
        self.process = self.start = None

    def say(self, text):
        print(self.head + text, file=sys.stderr, flush=True)

    def end(self):
        """Once the process has ended: why it failed, if it did, in a list."""
        status, log = self.process.wait(), self.training.log
        if status == Preempted.STATUS:
            raise Preempted(self.training.title)
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        elapsed = f"{time.monotonic() - self.start:.0f} s"
        if status == 0:
            self.training.mark_finished()
            self.say(f"{elapsed}; {_summary(self.training)}")
            return []
        reason = f"status {status}, see {log}: {self.last()}"
        if status < 0:
            name = signal.Signals(-status).name
            reason = f"its process was ended by {name}, see {log}"
        self.say(f"failed after {elapsed}: {reason}")
        return [f"{self.training.title}: {reason}"]

    def last(self):
        """The last line of its log; of a bar what was drawn last."""
        text = self.training.log.read_text(errors="replace")
        lines = [line.strip() for line in re.split(r"[\r\n\b]+", text)]
        return next(filter(None, reversed(lines)), "").removeprefix("error: ")


def _first_to_end(running, silence):
    said = time.monotonic()
    while all(job.process.poll() is None for job in running):
        if time.monotonic() - said >= silence:
            said = time.monotonic()
            for job in running:
                job.say(job.last()[:120])
        time.sleep(_PATIENCE)
    return next(job for job in running if job.process.poll() is not None)


def _stop(running, number):
    """Passes a signal on, and every Ctrl-C after it, until all have ended."""
    while True:
        try:
            for job in running:
                job.process.send_signal(number)
            for job in running:
                job.process.wait()
                job.say("ended early")
            return
        except KeyboardInterrupt:
            number = signal.SIGINT


def _summary(training):
    """The first figures of a finished training, for the line on it."""
    try:
        sections = runs.read(training.folder).sections.values()
    except UsageError as error:
        return str(error)
    firsts = [(s, *next(iter(s["figures"].items()))) for s in sections]
    own = [(s["label"], v) for s, k, v in firsts if s["kinds"][k] == "percent"]
    return ", ".join(f"{label} {100 * value:.1f} %" for label, value in own[:2])
