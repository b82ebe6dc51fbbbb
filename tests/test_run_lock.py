"""One writer for a directory, whatever becomes of it."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

from noisymix_tf import run_lock
from noisymix_tf.run_lock import RunLock
from support.usage import assert_usage_error

_HOLDER = """
import sys, time
from noisymix_tf.run_lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert_usage_error(
            lambda: RunLock(tmp_path),
            f"--output_dir={tmp_path} is being written",
            f"({holder.pid} on ",
        )
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / run_lock.NAME).exists()
    with RunLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_comes_and_goes_with_its_file(tmp_path):
    lock = RunLock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert_usage_error(lambda: RunLock(tmp_path), "another process")
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    RunLock(tmp_path).release()


def test_a_file_that_its_owner_removes_meanwhile_is_no_lock(
    tmp_path, monkeypatch
):
    """Opened before, locked after the release of the one who had it."""
    first = RunLock(tmp_path)
    flock = fcntl.flock

    def late(descriptor, operation):
        if operation & fcntl.LOCK_EX:
            first.release()
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = RunLock(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / run_lock.NAME).exists()
    assert_usage_error(lambda: RunLock(tmp_path), "another process")
    second.release()


def test_a_forked_child_does_not_keep_it(tmp_path):
    lock = RunLock(tmp_path)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    lock.release()
    try:
        RunLock(tmp_path).release()
    finally:
        os.close(writer)
        os.waitpid(pid, 0)
        os.close(reader)


def _failing(monkeypatch, function, number):
    original = getattr(*function)

    def fail(target, operation, *more):
        if function[0] is fcntl or operation & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return original(target, operation, *more)

    monkeypatch.setattr(*function, fail)


def test_file_systems_without_locks_and_other_errors(
    tmp_path, monkeypatch, capsys
):
    for number in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL):
        with monkeypatch.context() as patch:
            _failing(patch, (fcntl, "flock"), number)
            with RunLock(tmp_path):
                pass
        [line] = capsys.readouterr().err.splitlines()
        assert "without locks" in line and str(tmp_path) in line
    for function, number, words in (
        ((fcntl, "flock"), errno.EIO, "Input/output error"),
        ((os, "open"), errno.EROFS, "written (Read-only"),
    ):
        with monkeypatch.context() as patch:
            _failing(patch, function, number)
            assert_usage_error(lambda: RunLock(tmp_path), words)
