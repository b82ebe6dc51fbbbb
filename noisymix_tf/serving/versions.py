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
    """A hidden folder in a local `path`, made if need be, to write to.

    Within the context, `publish` gives it a number. A failure removes all
    traces; that of a path that cannot be used is a `UsageError`, that of a full
    disk an `OSError`.
    """
    check_local(path=path)
    base = pathlib.Path(path)
    # A server takes folders with integer names only. Not `tempfile`, whose
    # folders none but their owner can read.
    folder, made = base / f".tmp-{uuid.uuid4().hex}", []
    try:
        try:
            made = [p for p in (base, *base.parents) if not p.exists()]
            folder.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"Cannot export to {os.fspath(path)!r} ({error.strerror}); "
                f"give a folder that can be written."
            ) from error
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        # What TensorFlow says of a full disk; else it is memory that is full.
        is_full = isinstance(error, tf.errors.ResourceExhaustedError)
        if is_full and folder.name in error.message:
            words = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, words, str(base)) from error
        raise


def publish(folder):
    """Renames a finished folder to the next free version beside it."""
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
