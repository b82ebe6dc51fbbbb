"""The files of checkpoints: whole or not there, and never quietly damaged.

A checkpoint is a folder `step-00000123` with `state.npz`, arrays by name, and
`manifest.json`, its step and the SHA-256 of the arrays' file. It is written
under another name, flushed to disk, and renamed; it is renamed again before it
is removed. So a folder of the final name has been written to its end, and what
a killed process leaves behind is known by its name.

Every byte counts when it is read: the manifest must be the very text that its
folder's name and the bytes of the arrays call for.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import zipfile

import numpy as np

_NAME = re.compile(r"step-(\d{8,})")
_PARTIAL = ".partial-"
_STATE = "state.npz"
_MANIFEST = "manifest.json"


class DamagedCheckpoint(Exception):
    """A checkpoint is not what was once written."""


def folder_of(path, step):
    """The folder of a step's checkpoint."""
    return pathlib.Path(path) / f"step-{step:08d}"


def steps(path):
    """Steps of the checkpoints in a folder, ascending."""
    path = pathlib.Path(path)
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    return sorted(int(m[1]) for m in map(_NAME.fullmatch, names) if m)


def write(path, step, arrays):
    """Writes a checkpoint; it has reached the disk on return.

    Args:
        path: Folder of the checkpoints; made if it does not exist.
        step: Step of the checkpoint; one of the same step is replaced.
        arrays: Dict of NumPy arrays.

    Raises:
        OSError: The disk is full, or the folder cannot be written. Nothing is
            left behind, and what was there is there still.
    """
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    partial = path / f"{_PARTIAL}{step}"
    try:
        partial.mkdir()
        with open(partial / _STATE, "wb") as file:
            np.savez(file, **arrays)
            flush(file)
        with open(partial / _MANIFEST, "wb") as file:
            file.write(_manifest(step, file_digest(partial / _STATE)))
            flush(file)
        flush_folder(partial)
        final = folder_of(path, step)
        if final.exists():
            os.rename(final, path / f"{_PARTIAL}old-{step}")
        os.rename(partial, final)
        flush_folder(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    remove_leftovers(path)


def read(path, step):
    """Reads the arrays of a checkpoint.

    Args:
        path: Folder of the checkpoints.
        step: Step of the checkpoint.

    Returns:
        Dict of NumPy arrays.

    Raises:
        DamagedCheckpoint: A file is missing or has another byte than written.
    """
    folder = folder_of(path, step)
    try:
        manifest = (folder / _MANIFEST).read_bytes()
        if manifest != _manifest(step, file_digest(folder / _STATE)):
            raise DamagedCheckpoint("its bytes do not match its checksum")
        with np.load(folder / _STATE) as state:
            return {key: state[key] for key in state.files}
    except FileNotFoundError as error:
        missing = pathlib.Path(error.filename).name
        raise DamagedCheckpoint(f"{missing} is missing") from error
    except OSError as error:
        raise DamagedCheckpoint(error.strerror or str(error)) from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise DamagedCheckpoint(str(error)) from error


def remove(path, step):
    """Removes a checkpoint; a kill meanwhile leaves no half of it."""
    old = pathlib.Path(path) / f"{_PARTIAL}old-{step}"
    os.rename(folder_of(path, step), old)
    shutil.rmtree(old)


def remove_leftovers(path):
    """Removes what killed processes had not finished writing or removing."""
    for leftover in pathlib.Path(path).glob(f"{_PARTIAL}*"):
        shutil.rmtree(leftover)


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


def _manifest(step, digest):
    return json.dumps({"step": int(step), "sha256": digest}).encode()
