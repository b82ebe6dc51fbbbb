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
import select
import signal
import subprocess
import sys
import tempfile

SCRIPT = "-c"
ROOT = pathlib.Path(__file__).resolve().parents[1]


class Process:
    """`python -m module arguments` in the root of the repository, running.

    Like `subprocess.Popen`, but one at a time. It is killed where the `with`
    block ends before it. The module may be `SCRIPT`, its argument code.
    """

    def __init__(self, module, *arguments):
        self.args = [module, *map(str, arguments)]
        self.returncode = None
        self._folder = tempfile.TemporaryDirectory()
        self._files = [f"{self._folder.name}/{name}" for name in ("out", "err")]
        self._server = _server()
        print(json.dumps([self._files, self.args]), file=self._server.stdin)
        self.pid = int(self._server.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.poll() is None:
            self.kill()
        self._folder.cleanup()

    def poll(self):
        """Its return code, None while it runs."""
        if self.returncode is None:
            if select.select([self._server.stdout], [], [], 0)[0]:
                self._wait()
        return self.returncode

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def communicate(self):
        """Waits; returns what it wrote to stdout and stderr."""
        if self.returncode is None:
            self._wait()
        return [pathlib.Path(file).read_text() for file in self._files]

    def _wait(self):
        self.returncode = int(self._server.stdout.readline())


def run(module, *arguments):
    """Runs to the end; returns a `subprocess.CompletedProcess` with texts."""
    with Process(module, *arguments) as process:
        outputs = process.communicate()
        return subprocess.CompletedProcess(
            process.args, process.returncode, *outputs
        )


@functools.cache
def _server():
    # Threads do not survive a fork, so that there must be none.
    changes = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, __file__],
        cwd=ROOT,
        env={**os.environ, **changes},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    atexit.register(server.communicate)
    return server


def _serve():
    from noisymix_tf import doors

    doors.quiet_tensorflow()
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import noisymix_tf.callbacks
    import noisymix_tf.evaluation
    import noisymix_tf.serving
    import noisymix_tf.training.setup  # noqa: F401

    for line in sys.stdin:
        files, command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(files, command)
            return
        print(pid, flush=True)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(files, command):
    """Turns this process into `python -m command`."""
    streams = [os.open(os.devnull, os.O_RDONLY)]
    streams += [os.open(file, os.O_WRONLY | os.O_CREAT) for file in files]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    module, *arguments = sys.argv = command
    if module == SCRIPT:
        exec(arguments[0], {"__name__": "__main__"})
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
