"""Files that are either the old one or the new one, never half of either."""

import hashlib
import os
import pathlib
import tempfile

_TEMPORARY = ".partial"


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


def remove_leftovers(folder):
    """Removes the temporary files that killed processes left in a folder.

    For the one process that writes there.
    """
    for leftover in pathlib.Path(folder).glob(f".*{_TEMPORARY}"):
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
