"""One writer for a directory, whatever becomes of it."""

import errno
import fcntl
import os
import subprocess
import sys

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
    command = [sys.executable, "-c", _HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert_usage_error(
            lambda: RunLock(tmp_path),
            f"--output_dir={tmp_path} is being written",
            f"({holder.pid} on ",
        )
        holder.kill()
    assert (tmp_path / ".lock").exists()
    lock = RunLock(tmp_path)
    assert_usage_error(lambda: RunLock(tmp_path), f"({os.getpid()} on ")
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_owner_removes_meanwhile_is_no_lock(
    tmp_path, monkeypatch
):
    """Opened before, locked after the release of the one who had it."""
    first, flock = RunLock(tmp_path), fcntl.flock

    def late(descriptor, operation):
        if operation & fcntl.LOCK_EX:
            first.release()
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = RunLock(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / ".lock").exists()
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


def _raise(number):
    raise OSError(number, os.strerror(number))


def test_file_systems_without_locks_and_other_errors(
    tmp_path, monkeypatch, capsys
):
    for number in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL):
        monkeypatch.setattr(fcntl, "flock", lambda *_, n=number: _raise(n))
        with RunLock(tmp_path):
            pass
        [line] = capsys.readouterr().err.splitlines()
        assert "without locks" in line and str(tmp_path) in line
    monkeypatch.setattr(fcntl, "flock", lambda *_: _raise(errno.EIO))
    assert_usage_error(lambda: RunLock(tmp_path), "Input/output error")
    monkeypatch.setattr(os, "open", lambda *_: _raise(errno.EROFS))
    assert_usage_error(lambda: RunLock(tmp_path), "written (Read-only")
