"""How a command ends: its status, and one line."""

import errno
import os
import signal

import pytest

from noisymix_tf import doors
from noisymix_tf.errors import UsageError
from support import door_processes

_DOOR = """
import contextlib, os, signal, sys, time
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
TWICE = """with contextlib.suppress(BaseException):
            os.kill(os.getpid(), 15); time.sleep(9)
        os.kill(os.getpid(), 15); time.sleep(9)"""


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
        # A second SIGTERM ends it at once.
        (TWICE, -15, ""),
    ],
)
def test_how_a_door_ends(body, status, line):
    code = _DOOR.format(body=body)
    done = door_processes.run(door_processes.SCRIPT, code)
    assert done.returncode == status, done.stderr
    outputs = ["ready", "tidied up"] if line else ["ready"]
    assert done.stdout.splitlines() == outputs
    assert line in done.stderr and done.stderr.count("\n") == bool(line)


@pytest.mark.parametrize(
    ("number", "is_cause", "status"),
    [
        (errno.ENOSPC, True, 74),
        (errno.EROFS, False, 74),
        (errno.EACCES, False, 2),
    ],
)
def test_a_full_disk_is_no_mistake_of_the_users(
    number, is_cause, status, capsys
):
    """It was status 2 wherever the `OSError` had been put into words."""

    def main(argv):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            # Keras' `fit` takes the cause.
            raise UsageError("make room") from (error if is_cause else None)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        doors.run(main, [])
    assert end.value.code == status
    assert capsys.readouterr().err == "error: make room\n"
    with pytest.raises(FileNotFoundError):  # Others are not hidden.
        doors.run(lambda argv: open("/none"), [])
    assert signal.getsignal(signal.SIGTERM) == handler
