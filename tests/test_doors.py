"""How a command ends: its status, and one line."""

import errno
import os
import signal

import pytest

from noisymix_tf import doors
from noisymix_tf.errors import UsageError
from support import door_processes

_DOOR = """
import os, signal, sys, time
from noisymix_tf import doors
from noisymix_tf.errors import UsageError

def main(argv):
    print("ready", flush=True)
    try:
        {body}
    finally:
        print("tidied up", flush=True)

doors.run(main)
"""
# What only the signal said.
LEFT = "the same command does what is left"
TWICE = """import contextlib
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), 15); time.sleep(9)
        os.kill(os.getpid(), 15); time.sleep(9)"""


def _door(body):
    code = _DOOR.format(body=body)
    return door_processes.run(door_processes.SCRIPT, code)


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("os.kill(os.getpid(), 15); time.sleep(9)", 75, f"preempted; {LEFT}"),
        ("os.kill(os.getpid(), 2); time.sleep(9)", 130, f"interrupted; {LEFT}"),
        (
            "raise KeyboardInterrupt('saved at step 3')",
            130,
            "interrupted: saved at step 3; the same command goes on from there",
        ),
        ("raise UsageError('--a=1 is wrong')", 2, "error: --a=1 is wrong"),
        ("open('/dev/full', 'w', 1).write('x\\n')", 74, "No space left on"),
    ],
)
def test_how_a_door_ends(body, status, line):
    done = _door(body)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines() == ["ready", "tidied up"]
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and line in lines[0]


def test_a_second_sigterm_ends_a_door_at_once():
    done = _door(TWICE)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout.splitlines() == ["ready"]


@pytest.mark.parametrize(
    ("number", "keeps_cause", "status"),
    [
        (errno.ENOSPC, True, 74),
        (errno.EROFS, False, 74),
        (errno.EACCES, False, 2),
    ],
)
def test_a_full_disk_is_no_mistake_of_the_users(
    number, keeps_cause, status, capsys
):
    """It was status 2 wherever the `OSError` had been put into words."""

    def main(argv):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            # Keras' `fit` does the second.
            raise UsageError("cannot be written: make room") from (
                error if keeps_cause else None
            )

    with pytest.raises(SystemExit) as end:
        doors.run(main, [])
    assert end.value.code == status
    assert capsys.readouterr().err == "error: cannot be written: make room\n"


def test_sigterm_is_given_back_and_other_errors_are_not_hidden():
    def main(argv):
        raise FileNotFoundError(2, "No such file", "x")

    handler = signal.getsignal(signal.SIGTERM)
    doors.run(lambda argv: None, [])
    with pytest.raises(FileNotFoundError):
        doors.run(main, [])
    assert signal.getsignal(signal.SIGTERM) == handler
