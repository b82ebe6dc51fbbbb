"""The layout of CIFAR-10-C and CIFAR-10-P: one array for each name."""

import hashlib
import io
import math
import os

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.files import write_atomically

# Bytes of one call of a worker: small enough to keep all cores busy to the
# end, large enough to be worth its way to another process.
_CALL_BYTES = 1 << 20


class Arrays:
    """Writes `<name>.npy`, uint8, the levels one after the other.

    Rows are appended in order to a hidden file, which takes its name when it
    is complete. Its length says how far it is, so a killed writer goes on with
    the first row that is not there.

    Args:
        folder: `SetFolder`.
        dataset: Whose test images are taken.
        workers: `Workers`.
    """

    def __init__(self, folder, dataset, workers):
        self._folder = folder
        self._split = dataset.test
        self._workers = workers

    def labels(self, levels):
        """Writes `labels.npy`, int64: the labels once for every level."""
        path = self._folder.path / "labels.npy"
        buffer = io.BytesIO()
        np.save(buffer, np.tile(self._split.labels.astype(np.int64), levels))
        if path.exists():
            if path.read_bytes() != buffer.getvalue():
                raise UsageError(
                    f"{path} holds other labels than the dataset: name another "
                    f"--output_dir."
                )
            return
        write_atomically(path, buffer.getvalue())

    def total(self, recipe):
        """Number of images that a recipe makes."""
        return len(recipe.levels) * len(self._split)

    def write(self, recipe, advance):
        """Makes what is missing of a recipe's file.

        Args:
            recipe: `Corrupted` or `Perturbed`.
            advance: Called with the number of images that are there.
        """
        path = self._folder.path / f"{recipe.stem}.npy"
        item = recipe.item_shape(self._split.image_shape)
        shape = (self.total(recipe), *item)
        if not path.exists():
            partial = path.with_name(f".{path.name}.partial")
            with _Rows(partial, shape) as rows:
                advance(rows.count)
                calls = self._calls(recipe.levels, rows.count, math.prod(item))
                for made in self._workers.ordered(recipe.make, calls):
                    rows.append(made)
                    advance(rows.count)
            os.replace(partial, path)
        self._record(path, shape)
        advance(shape[0])

    def _calls(self, levels, start, item_bytes):
        """Yields `(images, places, level)` from row `start` on."""
        batch = max(1, _CALL_BYTES // item_bytes)
        first, place = divmod(start, len(self._split))
        for level in levels[first:]:
            rest = self._split
            if place:
                rest = rest.subset(np.arange(place, len(self._split)))
            for images, _ in rest.batches(batch):
                yield images, np.arange(place, place + len(images)), level
                place += len(images)
            place = 0

    def _record(self, path, shape):
        """Enters a file in the manifest, or compares it with its entry."""
        known = self._folder.files.get(path.name)
        size = path.stat().st_size
        if known is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            entry = {"shape": list(shape), "bytes": size, "sha256": digest}
            self._folder.record(path.name, entry)
        elif known["bytes"] != size:
            raise UsageError(
                f"{path} has {size} bytes, but had {known['bytes']} when it "
                f"was finished: remove it, and the same command makes it again."
            )


class _Rows:
    """A .npy file of known shape whose rows are appended.

    Rows of nothing but zeros at the end are what a crash of the machine may
    have left there: they are no rows, black images are made once more.
    """

    def __init__(self, path, shape):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header,
            {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)},
        )
        header = header.getvalue()
        self._row_bytes = math.prod(shape[1:])
        self._file = open(path, "r+b" if path.exists() else "x+b")
        if self._file.read(len(header)) == header:
            body = self._file.seek(0, os.SEEK_END) - len(header)
            self.count = min(body // self._row_bytes, shape[0])
            there = self.count
            while self.count and not self._last_row(len(header)):
                self.count -= 1
            # They may begin in the middle of the row before.
            if 0 < self.count < there:
                self.count -= 1
        else:
            self._file.seek(0)
            self._file.write(header)
            self.count = 0
        # Half a row at the end is no row.
        end = len(header) + self.count * self._row_bytes
        self._file.truncate(end)
        self._file.seek(end)

    def _last_row(self, header):
        """Whether there is anything in the last row that is counted."""
        self._file.seek(header + (self.count - 1) * self._row_bytes)
        return any(self._file.read(self._row_bytes))

    def append(self, rows):
        self._file.write(np.ascontiguousarray(rows).data)
        self.count += len(rows)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.flush()
        if error == (None, None, None):
            os.fsync(self._file.fileno())
        self._file.close()
