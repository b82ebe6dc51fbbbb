"""The one way to write: whole files, into a folder that one process holds."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator

from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_writable, unwritable
from noisymix_tf.progress import warn

# Begins the names of folders that take their own when they are whole.
UNFINISHED = ".noisymix-unfinished-"
_LOCK = ".lock"
_TEMPORARY = ".partial"
# What file systems without locks answer.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_UNSUPPORTED |= {errno.EINVAL}


@contextlib.contextmanager
def claimed(
    path: str | os.PathLike,
    what: str,
    mark: str | None = None,
    check: Callable | None = None,
) -> Iterator[pathlib.Path]:
    """A folder for one work, made and held: no other process writes there.

    It is locked with `flock` on its file `.lock`, which the system undoes
    however the process ends: no lock is ever left over. The file goes with the
    lock; after a kill it stays, which does no harm. Partial files of processes
    that were killed are removed.

    Args:
        path: The `--output_dir`.
        what: What such a folder holds, for messages.
        mark: Name of a file that is in each folder of this kind of work; what
            holds others than hidden files must have it. None for any folder.
        check: Function of the folder, called where the mark is there; it
            raises a `UsageError` if the work is another one.

    Raises:
        UsageError: It cannot be written, is of something else, or is in use.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp, claimed(tmp, "run") as path:
    ...     write_atomically(path / "flags.txt", "--seed=0")
    """
    folder = check_claim(path, what, mark, check)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(folder / _LOCK)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        check_claim(path, what, mark, check)
        if mark is not None:
            # In a folder that is not ours yet, a file of such a name may not be
            # a leftover.
            is_ours = (folder / mark).exists()
            remove_leftovers(folder, "" if is_ours else mark)
        yield folder
    finally:
        with contextlib.suppress(OSError):  # It does no harm there.
            # Still locked, so that this is not another's new file.
            (folder / _LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It may never have been locked.
            # Not left to `close`: a forked process has the descriptor, too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def check_claim(path, what, mark=None, check=None) -> pathlib.Path:
    """Raises what `claimed` would, as far as reading can tell."""
    check_writable(path, what)
    folder = pathlib.Path(path)
    if mark is None or not folder.is_dir():
        return folder
    names = sorted(p.name for p in folder.iterdir() if p.name[0] != ".")
    if mark in names:
        if check is not None:
            check(folder)
    elif names:
        raise UsageError(
            f"--output_dir={folder} is not empty and holds no {what}, but "
            f"{names[0]}; name a new or empty directory."
        )
    return folder


def _locked(path):
    """The descriptor of a lock file, locked and signed."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path.parent)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    _sign(descriptor)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The one who held it removed the file in the meantime.
        os.close(descriptor)


def _lock(descriptor, folder):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        owner = f" ({owner})" * bool(owner and owner.isprintable())
        raise UsageError(
            f"--output_dir={folder} is being written by another process"
            f"{owner}: wait for it, or name another directory."
        ) from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        warn(
            f"note: --output_dir={folder} is on a file system without locks "
            f"({error.strerror}): let no other process write there."
        )


def _sign(descriptor):
    with contextlib.suppress(OSError):  # Of a full disk.
        os.ftruncate(descriptor, 0)
        name = f"{os.getpid()} on {socket.gethostname()}"
        os.pwrite(descriptor, name.encode(), 0)


def write_atomically(path: str | os.PathLike, content: str | bytes) -> None:
    """Replaces a file in one step.

    The content goes to a temporary file in the same folder, which then takes
    the name, so a reader or a kill at any moment finds a whole file.
    """
    path = pathlib.Path(path)
    content = content.encode() if isinstance(content, str) else content
    name = f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}"
    temporary = path.parent / name
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            flush(file)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json(path: str | os.PathLike, value) -> None:
    """Replaces a file by a value as JSON, in one step."""
    write_atomically(path, json.dumps(value, indent=1) + "\n")


def read_json(path: str | os.PathLike, advice: str) -> dict:
    """What `write_json` wrote of a dict; else a `UsageError` of advice."""
    try:
        return dict(json.loads(pathlib.Path(path).read_text()))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged: {advice}") from error


def read_text(path: str | os.PathLike, name: str, advice: str) -> str:
    """The text of a UTF-8 file called `name`; else a `UsageError` of advice."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(
            f"{name} cannot be read ({reason}): {advice}"
        ) from error


def remove_leftovers(folder: str | os.PathLike, name: str = "") -> None:
    """Removes the temporary files that killed processes left in a folder.

    For the one process that writes there. With a name only those of this file.
    """
    for leftover in pathlib.Path(folder).glob(f".{name}*{_TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Removes the folders `UNFINISHED*` that killed processes left in one."""
    for leftover in pathlib.Path(folder).glob(f"{UNFINISHED}*/"):
        shutil.rmtree(leftover)


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(file) -> None:
    """Returns when what was written to an open file has reached the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(path: str | os.PathLike) -> None:
    """Returns when the names of a folder's files have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
