"""Numbered folders that appear whole or not at all."""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid

import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local


@contextlib.contextmanager
def new_version(path):
    """A hidden folder in `path` to write to; a failure removes all traces.

    Args:
        path: Local folder of the served model; made if it does not exist.

    Yields:
        `pathlib.Path` of the folder. Within the context, `publish` gives it a
        number; without that it stays hidden.

    Raises:
        UsageError: If the path is remote or the folder cannot be made.
        OSError: If the disk is full.
    """
    check_local(path=path)
    path = os.fspath(path)
    base = pathlib.Path(path)
    # A server takes folders with integer names only. Not `tempfile`, whose
    # folders none but their owner can read.
    folder = base / f".tmp-{uuid.uuid4().hex}"
    made = []
    try:
        made = [p for p in (base, *base.parents) if not p.exists()]
        _make(folder, path)
        with _disk_errors_of(folder):
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _make(folder, path):
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"Cannot export to {path!r} ({error.strerror or error}); "
            "give a folder that can be written."
        ) from error


@contextlib.contextmanager
def _disk_errors_of(folder):
    """Turns what TensorFlow says of a full disk into what Python says."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        # Else it is the memory that is exhausted.
        if folder.name not in error.message:
            raise
        number = errno.ENOSPC
        raise OSError(
            number, os.strerror(number), str(folder.parent)
        ) from error


def publish(folder):
    """Renames a finished folder to the next free version beside it.

    Returns:
        `pathlib.Path` of the version.
    """
    while True:
        names = [p.name for p in folder.parent.iterdir()]
        versions = [int(n) for n in names if n.isascii() and n.isdigit()]
        target = folder.parent / str(max(versions, default=0) + 1)
        try:
            return folder.rename(target)
        except OSError:
            # Another export took the number in the meantime.
            if not target.exists():
                raise
