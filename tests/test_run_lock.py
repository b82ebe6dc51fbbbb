"""One writer for a directory, whatever becomes of it."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from noisymix_tf import run_lock
from noisymix_tf.errors import UsageError
from noisymix_tf.run_lock import RunLock

_HOLDER = """
import sys, time
from noisymix_tf.run_lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_writes_there(tmp_path, holder):
    with pytest.raises(UsageError) as error:
        RunLock(tmp_path)
    message = str(error.value)
    assert f"--output_dir={tmp_path} is being written" in message
    assert f"({holder.pid} on " in message and "\n" not in message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_death_frees_it(tmp_path, holder, number):
    holder.send_signal(number)
    holder.wait()
    assert (tmp_path / run_lock.NAME).exists()
    with RunLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_comes_and_goes_with_its_file(tmp_path):
    lock = RunLock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with pytest.raises(UsageError, match="another process"):
        RunLock(tmp_path)
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
    with pytest.raises(UsageError, match="another process"):
        RunLock(tmp_path)
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


@pytest.mark.parametrize("number", run_lock._UNSUPPORTED)
def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(tmp_path):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "without locks" in lines[0]
    assert str(tmp_path) in lines[0]


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    opened = os.open

    def read_only(path, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(UsageError, match=r"written \(Read-only"):
        RunLock(tmp_path)


def test_other_errors_of_the_lock_are_not_hidden(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UsageError, match="Input/output error"):
        RunLock(tmp_path)
