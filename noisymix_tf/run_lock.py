"""One writer for a directory: a lock that no death of a process leaves."""

import errno
import fcntl
import os
import pathlib
import socket
import sys

from noisymix_tf.errors import UsageError

NAME = ".lock"

# What file systems without locks answer.
_UNSUPPORTED = (
    errno.ENOLCK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EINVAL,
)


class RunLock:
    """Keeps other processes from writing to a directory.

    The lock is `flock` on the file `.lock` there: the system frees it when the
    process ends, however it ends, so that none is ever left over. The file
    goes with the lock; after a kill it stays, which does no harm. On a file
    system without locks a line on the standard error says so, and the work
    goes on.

    Args:
        folder: A directory that exists.
        name: What an error calls it.

    Raises:
        UsageError: Another process holds the lock, or the directory cannot be
            written.

    Example:

    >>> with RunLock("runs/a"):
    ...     write_results()
    """

    def __init__(self, folder, name="--output_dir"):
        self._path = pathlib.Path(folder) / NAME
        self._label = f"{name}={folder}"
        try:
            self._descriptor = self._acquire()
        except OSError as error:
            raise UsageError(
                f"{self._label} cannot be written ({error.strerror}); name a "
                f"writable directory."
            ) from error

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.release()

    def release(self):
        """Lets others write; does nothing when called again."""
        if self._descriptor is None:
            return
        try:
            # Still locked, so that this is not another's new file.
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # It does no harm there.
        # Not left to `close`: a forked process has the descriptor, too.
        _unlock(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

    def _acquire(self):
        """The descriptor of the lock file, locked."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._lock(descriptor)
                if _is_at(self._path, descriptor):
                    _sign(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # The one who held it removed the file in the meantime.
            os.close(descriptor)

    def _lock(self, descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{self._label} is being written by another process"
                f"{_owner(descriptor)}: wait for it, or name another directory."
            ) from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            print(
                f"note: {self._label} is on a file system without locks "
                f"({error.strerror}): let no other process write there.",
                file=sys.stderr,
            )


def _unlock(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        pass  # It never was locked.


def _is_at(path, descriptor):
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor):
    """Says in the lock file who holds it, for the error of the others."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, f"{os.getpid()} on {socket.gethostname()}".encode(), 0
        )
    except OSError:
        pass  # A full disk is no reason to refuse the lock.


def _owner(descriptor):
    """`" (4711 on host)"`, or nothing where that is not known."""
    try:
        text = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    except OSError:
        return ""
    return f" ({text})" if text.isprintable() and text else ""
