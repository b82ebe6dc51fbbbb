"""Doors of the package in processes of their own, without their start-up.

A process needs four seconds to import TensorFlow. One does it, without starting
it, and forks itself for every command: still a process of its own, in which
nothing has run and which can be killed. But all have the seed of its hashes: to
compare two processes bit by bit, start one of them with `subprocess`.
"""

import contextlib
import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

from support import ROOT

SCRIPT = "-c"
_FORKS = multiprocessing.get_context("forkserver")
_MODULES = "callbacks", "evaluation", "serving", "fitting"
_FORKS.set_forkserver_preload([f"noisymix_tf.{name}" for name in _MODULES])


class Process(contextlib.AbstractContextManager):
    """`python -m module arguments` in a folder, by default the root, running.

    Killed where the `with` block ends before it. Modules of `tests/` are found,
    and code behind `SCRIPT`. Both outputs are appended to the file `log`.
    """

    def __init__(
        self, module, *arguments, log=None, environment=None, folder=ROOT
    ):
        self.args = [module, *map(str, arguments)]
        self._folder = tempfile.TemporaryDirectory()
        self._files = [f"{self._folder.name}/{name}" for name in ("out", "err")]
        if log is not None:
            self._files = [str(log)] * 2
        given = self.args, self._files, environment or {}, folder
        self._process = _FORKS.Process(target=_become, args=given)
        self._process.start()
        self.pid = self._process.pid

    def __exit__(self, *_):
        self.kill()
        self._folder.cleanup()

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def is_running(self):
        return self.returncode is None

    def wait(self, timeout=600):
        self._process.join(timeout)
        if self.is_running():
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.is_running():
            os.kill(self.pid, number)

    def kill(self):
        self._process.kill()
        self.wait()

    def communicate(self):
        self.wait()
        return [pathlib.Path(file).read_text() for file in self._files]


def run(module, *arguments, **options):
    """Runs to the end; returns a `subprocess.CompletedProcess` with texts."""
    with Process(module, *arguments, **options) as process:
        said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def _become(command, files, environment, folder):
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, flags), number)
    os.chdir(folder)
    paths = str(ROOT), str(ROOT / "tests")
    os.environ.update(environment, PYTHONPATH=os.pathsep.join(paths))
    sys.path[:0] = paths
    sys.argv = command
    if command[0] == SCRIPT:
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    else:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
