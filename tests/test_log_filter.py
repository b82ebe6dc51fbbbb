"""TensorFlow's log is kept out of what commands say, and nothing else is."""

import os
import subprocess
import sys

import pytest

from support import ROOT

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
from noisymix_tf.errors import UsageError

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
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("BODY", body)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("body", "status", "last"),
    [
        ("raise UsageError('--a=1 is wrong')", 2, "error: --a=1 is wrong"),
        ("raise RuntimeError('ours')", 1, "RuntimeError: ours"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, KEPT.split("\n")[1]),
        ("os.kill(os.getpid(), signal.SIGTERM)", 75, "preempted"),
        ("subprocess.run(['sh', '-c', 'echo W >&2'])", 0, "W"),
    ],
)
def test_the_log_is_gone_and_all_else_is_there(body, status, last):
    """Six to eight lines came first, whatever TF_CPP_MIN_LOG_LEVEL said."""
    returned, said = _run(body)
    assert returned == status, said
    lines = said.splitlines()
    assert lines[0] == "begins" and lines[-1].startswith(last)
    assert KEPT in said
    assert not any(line in said for line in LOG.splitlines())


def test_who_asks_for_the_log_gets_it_and_none_else(tmp_path):
    """A command that a command starts has not its parent's level."""
    assert _run("", TF_CPP_MIN_LOG_LEVEL="2") == (0, f"begins\n{LOG}{KEPT}")
    script = tmp_path / "inner.py"
    script.write_text(SCRIPT.replace("BODY", "pass"))
    log = tmp_path / "log"
    status, _ = _run(
        f"subprocess.run([sys.executable, {str(script)!r}], "
        f"stderr=open({str(log)!r}, 'w'))"
    )
    assert (status, log.read_text()) == (0, f"begins\n{KEPT}")
