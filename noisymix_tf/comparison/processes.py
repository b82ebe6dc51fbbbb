"""Trainings in processes of their own, one after the other."""

import os
import signal
import subprocess
import sys
import time

from noisymix_tf.comparison import runs
from noisymix_tf.errors import Preempted, UsageError

_MODULE = "noisymix_tf.train"
_INTERRUPTED = 130


def launch(training):
    """Starts a training; its outputs are appended to its log.

    In a session of its own, so that a Ctrl-C at the terminal reaches it once
    only: by `_stop`.

    Args:
        training: `trainings.Training`.

    Returns:
        `subprocess.Popen`.
    """
    with training.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, f"--flagfile={training.flagfile}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run_all(trainings, launch):
    """Carries out trainings in turn; what is finished is left as it is.

    Args:
        trainings: `trainings.Training`s.
        launch: Function of a `Training` that starts its process, an object
            with `pid` and `wait()`; see `launch` of this module.

    Returns:
        List of str, one for each training that failed.

    Raises:
        Preempted, KeyboardInterrupt: This process, or a training's, was told
            to end. The training has saved where it stands.
    """
    failures = []
    width = len(str(len(trainings)))
    for number, training in enumerate(trainings, 1):
        _say(f"[{number:>{width}}/{len(trainings)}] {training.title}: ", "")
        if training.is_finished():
            _say(f"there already; {_summary(training)}")
            continue
        start = time.monotonic()
        try:
            status = _run(training, launch)
        except (KeyboardInterrupt, Preempted):
            _say("ended early")
            raise
        elapsed = f"{time.monotonic() - start:.0f} s"
        if status == 0:
            training.mark_finished()
            _say(f"{elapsed}; {_summary(training)}")
        else:
            reason = _reason(training, status)
            _say(f"failed after {elapsed}: {reason}")
            failures.append(f"{training.title}: {reason}")
    return failures


def _run(training, launch):
    """The status of a training's process; passes on what ended it early."""
    training.prepare()
    process = launch(training)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        _stop(process, signal.SIGINT)
        raise KeyboardInterrupt(_left(training)) from None
    except Preempted:
        _stop(process, signal.SIGTERM)
        raise Preempted(_left(training)) from None
    if status == Preempted.STATUS:
        raise Preempted(_left(training))
    if status == _INTERRUPTED:
        raise KeyboardInterrupt(_left(training))
    return status


def _stop(process, number):
    """Passes a signal on, and every Ctrl-C after it, until the process ends."""
    while True:
        try:
            os.kill(process.pid, number)
            process.wait()
            return
        except KeyboardInterrupt:
            number = signal.SIGINT
        except ProcessLookupError:
            return


def _left(training):
    return f"{training.title} is kept as far as it is, see {training.log}"


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
