"""The one way to write: whole files, into a folder that one process holds."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import socket
import sys
import tempfile

from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_writable

LOCK = ".lock"
_TEMPORARY = ".partial"
# What file systems without locks answer.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_UNSUPPORTED += (errno.EINVAL,)


@contextlib.contextmanager
def claimed(path, what, mark=None, check=None):
    """A folder for one work, made and held: no other process writes there.

    Args:
        path: The `--output_dir`.
        what: What such a folder holds, for messages.
        mark: Name of a file that is in each folder of this kind of work; what
            holds others than hidden files must have it. None for any folder.
        check: Function of the folder, called where the mark is there; it
            raises a `UsageError` if the work is another one.

    Yields:
        `pathlib.Path`, without the partial files of processes that were killed.

    Raises:
        UsageError: It cannot be written, is of something else, or is in use.

    Example:

    >>> with claimed("runs/a", "run", "flags.txt") as folder:
    ...     write_atomically(folder / "flags.txt", "--seed=0")
    """
    folder = check_claim(path, what, mark, check)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    with Lock(folder):
        check_claim(path, what, mark, check)
        if mark is not None:
            # In a folder that is not ours yet, a file of such a name may not be
            # a leftover.
            is_ours = (folder / mark).exists()
            remove_leftovers(folder, "" if is_ours else mark)
        yield folder


def check_claim(path, what, mark=None, check=None):
    """Raises what `claimed` would, as far as reading can tell."""
    check_writable(path, what)
    folder = pathlib.Path(path)
    if mark is None or not folder.is_dir():
        return folder
    if (folder / mark).exists():
        if check is not None:
            check(folder)
        return folder
    names = sorted(p.name for p in folder.iterdir() if p.name[0] != ".")
    if names:
        raise UsageError(
            f"--output_dir={folder} is not empty and holds no {what}, but "
            f"{names[0]}; name a new or empty directory."
        )
    return folder


class Lock(contextlib.AbstractContextManager):
    """Keeps other processes from writing to a folder.

    The lock is `flock` on the file `.lock` there: the system frees it when the
    process ends, however it ends, so that none is ever left over. The file
    goes with the lock; after a kill it stays, which does no harm. On a file
    system without locks a line on the standard error says so, and the work
    goes on.

    Args:
        folder: A directory that exists.

    Raises:
        UsageError: Another process holds the lock, or the directory cannot be
            written.
    """

    def __init__(self, folder):
        self._path = pathlib.Path(folder) / LOCK
        try:
            self._descriptor = self._acquire()
        except OSError as error:
            raise _unwritable(folder, error) from error

    def __exit__(self, *error):
        self.release()

    def release(self):
        """Lets others write; does nothing when called again."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # It does no harm there.
            # Still locked, so that this is not another's new file.
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It may never have been locked.
            # Not left to `close`: a forked process has the descriptor, too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None

    def _acquire(self):
        """The descriptor of the lock file, locked and signed."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._lock(descriptor)
                if self._is_at(descriptor):
                    with contextlib.suppress(OSError):  # Of a full disk.
                        name = f"{os.getpid()} on {socket.gethostname()}"
                        os.ftruncate(descriptor, 0)
                        os.pwrite(descriptor, name.encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # The one who held it removed the file in the meantime.
            os.close(descriptor)

    def _lock(self, descriptor):
        folder = self._path.parent
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"--output_dir={folder} is being written by another process"
                f"{_owner(descriptor)}: wait for it, or name another directory."
            ) from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            print(
                f"note: --output_dir={folder} is on a file system without "
                f"locks ({error.strerror}): let no other process write there.",
                file=sys.stderr,
            )

    def _is_at(self, descriptor):
        """Whether the path still leads to an open file."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def write_atomically(path, content):
    """Replaces a file by `content` (str or bytes) in one step.

    The content goes to a temporary file in the same folder, which then takes
    the name, so a reader or a kill at any moment finds a whole file.
    """
    path = pathlib.Path(path)
    if isinstance(content, str):
        content = content.encode()
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            flush(file)
        # `mkstemp` makes private files; give what `open` would have given.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def remove_leftovers(folder, name=""):
    """Removes the temporary files that killed processes left in a folder.

    For the one process that writes there. With a name only those of this file.
    """
    for leftover in pathlib.Path(folder).glob(f".{name}*{_TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def file_digest(path):
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(file):
    """Returns when what was written to an open file has reached the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(path):
    """Returns when the names of a folder's files have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder, error):
    return UsageError(
        f"--output_dir={folder} cannot be written ({error.strerror}); name a "
        f"writable directory."
    )


def _owner(descriptor):
    """`" (4711 on host)"`, or nothing where that is not known."""
    try:
        text = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    except OSError:
        return ""
    return f" ({text})" if text.isprintable() and text else ""
