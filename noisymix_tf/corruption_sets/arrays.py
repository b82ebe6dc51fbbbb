"""The layout of CIFAR-10-C and CIFAR-10-P: `<name>.npy`, level after level.

Rows are appended in order to a hidden file, which takes its name when it is
complete. Its length says how far it is, so a killed writer goes on with the
first row that is not there.
"""

import hashlib
import io
import math
import os

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically

# Bytes of one call of a worker: small enough to keep all cores busy to the
# end, large enough to be worth its way to another process.
_CALL_BYTES = 1 << 20
_LABELS = "labels.npy"


def entries(recipe):
    """Names of what a recipe adds to the manifest."""
    return [f"{recipe.stem}.npy"]


def write_labels(job, levels):
    """Writes `labels.npy`, int64: the labels once for every level."""
    path = job.folder.path / _LABELS
    content = _labels(job.images.labels, levels)
    if not path.exists():
        write_atomically(path, content)
    elif path.read_bytes() != content:
        raise UsageError(
            f"{path} holds other labels than the dataset: name another "
            f"--output_dir."
        )


def write(job, recipe):
    """Makes what is missing of a file; yields how many images are there."""
    path = job.folder.path / f"{recipe.stem}.npy"
    item = recipe.item_shape(job.images.image_shape)
    shape = (len(recipe.levels) * len(job.images), *item)
    if not path.exists():
        partial = path.with_name(f".{path.name}.partial")
        with _Rows(partial, shape) as rows:
            calls = _calls(job, recipe, rows.count, math.prod(item))
            for made, _ in job.workers.ordered(calls):
                rows.append(made)
                yield rows.count
        os.replace(partial, path)
    known = job.folder.files.get(path.name)
    if known is None:
        job.folder.record(path.name, _entry(path, shape))
    elif known["bytes"] != path.stat().st_size:
        raise _damaged(path, "the same command makes it again")
    yield shape[0]


def _calls(job, recipe, start, item_bytes):
    """Yields calls that make the rows from `start` on."""
    batch = max(1, _CALL_BYTES // item_bytes)
    done, place = divmod(start, len(job.images))
    for level in recipe.levels[done:]:
        rest = job.images
        if place:
            rest = rest.subset(np.arange(place, len(rest)))
        for images, _ in rest.batches(batch):
            indices = job.first + place + np.arange(len(images))
            yield recipe.make, job.workers.share(images), indices, level
            place += len(images)
        place = 0


def join(folder, parts, levels):
    """Joins files of parts in their order.

    Args:
        folder: `SetFolder` of the whole.
        parts: Pairs of the path of a part and its entries.
        levels: How many levels stand one after the other in every file.
    """
    labels = [np.load(path / _LABELS) for path, _ in parts]
    labels = [each[: len(each) // levels] for each in labels]
    whole = _labels(np.concatenate(labels), levels)
    write_atomically(folder.path / _LABELS, whole)
    for name in parts[0][1]:
        stored = []
        for path, known in parts:
            if _entry(path / name, known[name]["shape"]) != known[name]:
                raise _damaged(path / name, "the part's command makes it again")
            stored.append(np.load(path / name, mmap_mode="r"))
        shape = sum(map(len, stored)), *stored[0].shape[1:]
        partial = folder.path / f".{name}.partial"
        made = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        by_level = made.reshape(levels, -1, *shape[1:])
        start = 0
        for each in stored:
            each = each.reshape(levels, -1, *shape[1:])
            end = start + each.shape[1]
            by_level[:, start:end], start = each, end
        made.flush()
        os.replace(partial, folder.path / name)
        folder.record(name, _entry(folder.path / name, shape))


def _labels(labels, levels):
    """What a file of labels holds."""
    np.save(buffer := io.BytesIO(), np.tile(labels.astype(np.int64), levels))
    return buffer.getvalue()


def _entry(path, shape):
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"shape": [*shape], "bytes": file.tell(), "sha256": digest}


def _damaged(path, advice):
    return UsageError(
        f"{path} is not what it was when it was finished: remove it, and "
        f"{advice}."
    )


class _Rows:
    """A .npy file of known shape whose rows are appended.

    Rows of nothing but zeros at the end are what a crash of the machine may
    have left there: they are no rows, black images are made once more.
    """

    def __init__(self, path, shape):
        form = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(header := io.BytesIO(), form)
        header = header.getvalue()
        self._row_bytes = math.prod(shape[1:])
        self._file = open(path, "r+b" if path.exists() else "x+b")
        self.count = 0
        if self._file.read(len(header)) == header:
            body = self._file.seek(0, os.SEEK_END) - len(header)
            there = self.count = min(body // self._row_bytes, shape[0])
            while self.count and not self._last_row(len(header)):
                self.count -= 1
            # They may begin in the middle of the row before.
            if 0 < self.count < there:
                self.count -= 1
        else:
            self._file.seek(0)
            self._file.write(header)
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
