"""Keeps TensorFlow's log out of what a command says.

The lines come from C++ and go to file descriptor 2, some of them whatever
TF_CPP_MIN_LOG_LEVEL says. So the descriptor is made to lead to a process of its
own, this file as a script, that passes on all other lines: a thread would die
with the process whose last words it holds. `sys.stderr` goes past it, straight
to where descriptor 2 led before.

Limits: what other libraries log in the same form is lost, too. What C++ writes
without the end of a line waits for it. What it says comes a moment later than
what Python says, and its last words a moment after the death.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Tells processes that a command starts that the level is not the user's.
_OURS = "NOISYMIX_TF_LOG_LEVEL"
# Information, warnings and errors; not what is fatal.
_LOG = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IWE]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ [^ ]+:\d+\] "
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] [^ ]+:\d+\] "
)
# A line that asks for an answer: all before it has been passed on.
_ASK = b"\0noisymix: is all said?\n"
_PATIENCE = 1.0


@contextlib.contextmanager
def kept_out() -> Iterator[None]:
    """TensorFlow's log does not appear; enter it before it is imported.

    It does where the user has set TF_CPP_MIN_LOG_LEVEL, and where the standard
    error is somebody else's (a notebook, a test). At the end all that was
    written meanwhile has been passed on.
    """
    filtering = None
    if os.environ.get(_LEVEL) == os.environ.get(_OURS):
        # It silences most of the log at its source.
        os.environ[_LEVEL] = os.environ[_OURS] = "2"
        if sys.stderr is not None and sys.stderr is sys.__stderr__:
            filtering = _start()
    try:
        yield
    finally:
        if filtering is not None:
            with contextlib.suppress(OSError):
                os.write(2, _ASK)
                select.select([filtering.stdout], [], [], _PATIENCE)


def _start():
    """The process that filters descriptor 2; None where there can be none."""
    try:
        past = os.dup(2)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=past,
            # Ctrl-C is for the command alone.
            start_new_session=True,
        )
    except OSError:
        return None
    of = {"encoding": sys.stderr.encoding, "errors": sys.stderr.errors}
    sys.stderr = open(past, "w", buffering=1, **of)
    os.dup2(process.stdin.fileno(), 2)
    process.stdin.close()
    return process


def _pass_on():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if line == _ASK:
            os.write(1, b"\n")
        elif not _LOG.match(line):
            os.write(2, line)


if __name__ == "__main__":
    _pass_on()
