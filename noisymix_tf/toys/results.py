"""Trainings that are done once: one file for each."""

import dataclasses
import io
import json
import pathlib
import zipfile

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.toys.measures import Measures


class Results:
    """Figures of trainings, kept in a folder.

    Args:
        folder: Where the files lie; made if it is not there.

    Example:

    >>> results = Results("runs/toy/trainings")
    >>> measures, field = results.get("noisymix-0", lambda: train_it(0))
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._folder.mkdir(exist_ok=True)

    def __contains__(self, name):
        return self._path(name).exists()

    def get(self, name, make):
        """What `make()` returns, from the file where there is one.

        Args:
            name: Of the training, a word.
            make: Function that returns `(Measures, map)`, the second float32
                `[G, G]` with values in [0, 1].

        Raises:
            UsageError: The file is there and is not one of these.
        """
        if name not in self:
            measures, field = make()
            write_atomically(self._path(name), _pack(measures, field))
        # Also of what was just made: a result is the same either way.
        return self._read(name)

    def _read(self, name):
        path = self._path(name)
        try:
            with np.load(path) as file:
                measures = Measures(**json.loads(str(file["measures"])))
                return measures, file["map"].astype(np.float32)
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"{path} is damaged ({error}): remove it, and give the same "
                f"command again."
            ) from error

    def _path(self, name):
        return self._folder / f"{name}.npz"


def _pack(measures, field):
    """The bytes of a file; sixteen bits are enough for a picture."""
    file = io.BytesIO()
    np.savez_compressed(
        file,
        measures=json.dumps(dataclasses.asdict(measures)),
        map=field.astype(np.float16),
    )
    return file.getvalue()
