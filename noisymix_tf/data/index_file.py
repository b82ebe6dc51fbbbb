"""A table of contents beside the files that it is about."""

import contextlib
import os
import zipfile

import numpy as np


def remembered(path, files, make):
    """Returns what `make` finds in files, from `path` where it is known.

    The table is made anew if a file has another size or time of change than
    when it was written. Where it cannot be written, it is made every time.

    Args:
        path: The table, a `.npz` file.
        files: Names of the files that it is about.
        make: Function without arguments -> dict of NumPy arrays.

    Returns:
        Dict of NumPy arrays.
    """
    about = _about(files)
    known = _load(path, about)
    if known is not None:
        return known
    table = make()
    _save(path, {**table, "about": about})
    return table


def _about(files):
    status = [os.stat(file) for file in files]
    return np.array(
        [
            f"{os.path.basename(file)} {each.st_size} {each.st_mtime_ns}"
            for file, each in zip(files, status)
        ]
    )


def _load(path, about):
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            table = dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    if not np.array_equal(table.pop("about", None), about):
        return None
    return table


def _save(path, table):
    # A name of its own, because several processes may do this at a time.
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            np.savez(file, **table)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)
