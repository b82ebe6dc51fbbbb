"""Doors of the package in processes of their own, without their start-up.

A process needs four seconds to import TensorFlow. One does it, without starting
it, and forks itself for every command: still a process of its own, in which
nothing has run and which can be killed. But all have the seed of its hashes: to
compare two processes bit by bit, start one of them with `subprocess`.
"""

import atexit
import functools
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time

from support import ROOT

SCRIPT = "-c"
# One question at a time.
_LOCK = threading.Lock()


class Process:
    """`python -m module arguments` in the root of the repository, running.

    Like `subprocess.Popen`, and killed where the `with` block ends before it.
    The module may be any of `tests/`, or `SCRIPT`, its argument code. Both
    outputs are appended to the file `log`, or kept for `communicate`;
    `environment` has variables that differ.
    """

    def __init__(self, module, *arguments, log=None, environment=None):
        self.args = [module, *map(str, arguments)]
        self.returncode = None
        self._folder = tempfile.TemporaryDirectory()
        self._files = [f"{self._folder.name}/{name}" for name in ("out", "err")]
        if log is not None:
            self._files = [str(log)] * 2
        self.pid = _ask("start", self.args, self._files, environment or {})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._folder.cleanup()

    def poll(self):
        """Its return code, None while it runs."""
        if self.returncode is None:
            self.returncode = _ask("poll", self.pid)
        return self.returncode

    def is_running(self):
        """Whether it has not ended yet; keeps its process id."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(") ")[2][0] != "Z"

    def wait(self, timeout=600):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)
        self.wait()

    def communicate(self):
        """Waits; returns what it wrote to stdout and stderr."""
        self.wait()
        return [pathlib.Path(file).read_text() for file in self._files]


def run(module, *arguments):
    """Runs to the end; returns a `subprocess.CompletedProcess` with texts."""
    with Process(module, *arguments) as process:
        said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def _ask(*request):
    with _LOCK:
        server = _server()
        print(json.dumps(request), file=server.stdin)
        return json.loads(server.stdout.readline())


@functools.cache
def _server():
    # Threads do not survive a fork, so that there must be none.
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT}/tests", "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "support.door_processes"],
        cwd=ROOT,
        env={**os.environ, **paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    atexit.register(server.communicate)
    return server


def _serve():
    import noisymix_tf.callbacks
    import noisymix_tf.evaluation
    import noisymix_tf.serving
    import noisymix_tf.training.setup  # noqa: F401

    for line in sys.stdin:
        action, *request = json.loads(line)
        if action == "poll":
            pid, status = os.waitpid(request[0], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                return _become(*request)
        print(json.dumps(answer), flush=True)


def _become(command, files, environment):
    """Turns this process into `python -m command`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, flags), number)
    os.environ.update(environment)
    sys.argv = command
    if command[0] == SCRIPT:
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    else:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
