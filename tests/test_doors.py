"""How a command ends, with one line; and what it leaves out before."""

import errno
import os
import signal
import subprocess
import sys
from unittest import mock

import pytest

from noisymix_tf import doors
from noisymix_tf.errors import UsageError
from support import ROOT, door_processes

_DOOR = """
import contextlib, os, signal, sys, time
from noisymix_tf import doors
from noisymix_tf.errors import UsageError
def end(number):
    os.kill(os.getpid(), number); time.sleep(9)
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
SAVED = "interrupted: saved at step 3; the same command goes on from there"
# A second SIGTERM ends it at once.
TWICE = "with contextlib.suppress(BaseException): end(15)\n        end(15)"


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("end(15)", 75, f"preempted; {LEFT}"),
        ("end(2)", 130, f"interrupted; {LEFT}"),
        ("raise KeyboardInterrupt('saved at step 3')", 130, SAVED),
        ("raise UsageError('--a=1 is wrong')", 2, "error: --a=1 is wrong"),
        ("open('/dev/full', 'w', 1).write('x\\n')", 74, "No space left on"),
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


def test_a_full_disk_is_no_mistake_of_the_users(capsys):
    """It was status 2 wherever the `OSError` had been put into words."""
    handler = signal.getsignal(signal.SIGTERM)
    for number, link, status in (
        (errno.ENOSPC, "__cause__", 74),
        # Keras' `fit` takes the cause.
        (errno.EROFS, "__context__", 74),
        (errno.EACCES, "__cause__", 2),
    ):
        error = UsageError("make room")
        setattr(error, link, OSError(number, os.strerror(number)))
        with pytest.raises(SystemExit) as end:
            doors.run(mock.Mock(side_effect=error), [])
        assert end.value.code == status
        assert capsys.readouterr().err == "error: make room\n"
    with pytest.raises(FileNotFoundError):  # Others are not hidden.
        doors.run(lambda argv: open("/none"), [])
    assert signal.getsignal(signal.SIGTERM) == handler


# TensorFlow's log, and what only looks like it.
LOG = """\
WARNING: All log messages before absl::InitializeLog() is called are written
I0000 00:00:1795827133.517543   19146 port.cc:153] oneDNN operations are on.
W0000 00:00:1795827133.517543   19146 x.cc:1] perhaps
E0000 00:00:1795827135.819228   19146 cuda_platform.cc:52] failed call: (303)
2025-11-28 00:39:00.123456: E external/xla/x.cc:9467] Unable to register
"""
KEPT = """\
F0000 00:00:1795827135.819228   19146 x.cc:1] Check failed: a < b
Fatal Python error: Segmentation fault
"""
SCRIPT = f"""
import os, signal, subprocess, sys
from noisymix_tf import doors
def main(argv):
    print("begins", file=sys.stderr)
    os.write(2, {LOG + KEPT!r}.encode())
    BODY
doors.run(main)
"""


def _run(body, **environment):
    """A command; returns its status and its standard error."""
    levels = ("TF_CPP_MIN_LOG_LEVEL", "NOISYMIX_TF_LOG_LEVEL")
    inherited = {k: v for k, v in os.environ.items() if k not in levels}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", SCRIPT.replace("BODY", body)]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE)
    return done.returncode, done.stderr.decode()


def test_the_log_is_gone_and_all_else_is_there():
    """Last words of a process, of one that it starts, and of a traceback."""
    other = "subprocess.run(['sh', '-c', 'echo W >&2'])"
    status, said = _run(f"{other}; raise RuntimeError('ours')")
    assert status == 1 and said.startswith(f"begins\n{KEPT}W\nTraceback")
    assert said.endswith("\nRuntimeError: ours\n")
    assert not any(line in said for line in LOG.splitlines())
    killed = _run("os.kill(os.getpid(), signal.SIGKILL)")
    assert killed == (-9, f"begins\n{KEPT}")


def test_who_asks_for_the_log_gets_it_and_none_else(tmp_path):
    """A command that a command starts has not its parent's level."""
    assert _run("", TF_CPP_MIN_LOG_LEVEL="2") == (0, f"begins\n{LOG}{KEPT}")
    code, log = SCRIPT.replace("BODY", "pass"), tmp_path / "log"
    inner = f"[sys.executable, '-c', {code!r}], stderr=open({str(log)!r}, 'w')"
    assert _run(f"subprocess.run({inner})")[0] == 0
    assert log.read_text() == f"begins\n{KEPT}"
