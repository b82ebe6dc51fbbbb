"""The layout of CIFAR-10-C and CIFAR-10-P: `<name>.npy`, level after level."""

import io
import math
import os

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest, flush, write_atomically
from noisymix_tf.sets.writer import Part

# Bytes of one call of a worker: all cores are busy to the end, and it is worth
# its way to another process.
_CALL_BYTES = 1 << 20
_LABELS = "labels.npy"


class LabelPart(Part):
    """`labels.npy`, int64: the labels once for every level."""

    def __init__(self, labels, levels):
        self._content = _labels(labels, levels)

    def write(self, folder, workers):
        path = folder.path / _LABELS
        if not path.exists():
            write_atomically(path, self._content)
        elif path.read_bytes() != self._content:
            raise UsageError(
                f"{path} holds other labels than the dataset: name another "
                f"--output_dir."
            )
        return ()


class ArrayPart(Part):
    """One file of one `Recipe`, for a split whose first image is at `first`."""

    def __init__(self, recipe, split, first):
        self._recipe, self._split, self._first = recipe, split, first
        item = recipe.item_shape(split.image_shape)
        self._shape = len(recipe.levels) * len(split), *item
        self.name, self.total = recipe.stem, self._shape[0]
        self.entries = [f"{self.name}.npy"]

    def write(self, folder, workers):
        path = folder.path / f"{self.name}.npy"
        if not path.exists():
            # Its length says how far it is; it gets its name at the end.
            # Not `.partial`, which is removed: this one is gone on with.
            partial = path.with_name(f".{path.name}.begun")
            file, count = _opened(partial, self._shape)
            with file:
                for made, _ in workers.ordered(self._calls(count, workers)):
                    file.write(np.ascontiguousarray(made).data)
                    count += len(made)
                    yield count
                flush(file)
            os.replace(partial, path)
        known = folder.files.get(path.name)
        if known is None:
            folder.record(path.name, _entry(path, self._shape))
        elif known["bytes"] != path.stat().st_size:
            raise _damaged(path, "the same")
        yield self.total

    def _calls(self, start, workers):
        """Yields calls that make the rows from `start` on."""
        batch = max(1, _CALL_BYTES // math.prod(self._shape[1:]))
        done, place = divmod(start, len(self._split))
        for level in self._recipe.levels[done:]:
            rest = np.arange(place, len(self._split))
            rest = self._split.subset(rest) if place else self._split
            for images, _ in rest.batches(batch):
                indices = self._first + place + np.arange(len(images))
                yield self._recipe.make, workers.share(images), indices, level
                place += len(images)
            place = 0


def join(folder, parts, levels):
    """Joins files of parts, `(path, entries)`, in order, level by level."""
    labels = [np.load(path / _LABELS) for path, _ in parts]
    labels = [each[: len(each) // levels] for each in labels]
    whole = _labels(np.concatenate(labels), levels)
    write_atomically(folder.path / _LABELS, whole)
    for name in parts[0][1]:
        stored = []
        for path, known in parts:
            if _entry(path / name, known[name]["shape"]) != known[name]:
                raise _damaged(path / name, "the part's")
            rows = np.load(path / name, mmap_mode="r")
            stored.append(rows.reshape(levels, -1, *rows.shape[1:]))
        number = sum(rows.shape[1] for rows in stored)
        shape = levels * number, *stored[0].shape[2:]
        partial, start = folder.path / f".{name}.begun", 0
        made = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        by_level = made.reshape(levels, number, *shape[1:])
        for rows in stored:
            end = start + rows.shape[1]
            by_level[:, start:end], start = rows, end
        made.flush()
        os.replace(partial, folder.path / name)
        folder.record(name, _entry(folder.path / name, shape))


def _labels(labels, levels):
    """What a file of labels holds."""
    np.save(buffer := io.BytesIO(), np.tile(labels.astype(np.int64), levels))
    return buffer.getvalue()


def _entry(path, shape):
    size, digest = path.stat().st_size, file_digest(path)
    return {"shape": [*shape], "bytes": size, "sha256": digest}


def _damaged(path, whose):
    return UsageError(
        f"{path} is not what it was when it was finished: remove it, and "
        f"{whose} command makes it again."
    )


def _opened(path, shape):
    """A hidden file of uint8 rows, which are appended, and how many it has.

    Rows of nothing but zeros at the end are what a crash of the machine may
    have left there: they are no rows, black images are made once more.
    """
    form = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(header := io.BytesIO(), form)
    header = header.getvalue()
    row, count = math.prod(shape[1:]), 0
    file = open(path, "r+b" if path.exists() else "x+b")
    if file.read(len(header)) == header:
        body = file.seek(0, os.SEEK_END) - len(header)
        there = count = min(body // row, shape[0])
        while count:
            file.seek(len(header) + (count - 1) * row)
            if any(file.read(row)):
                break
            count -= 1
        # They may begin in the middle of the row before.
        if 0 < count < there:
            count -= 1
    else:
        file.seek(0)
        file.write(header)
    # Half a row at the end is no row.
    file.truncate(file.seek(len(header) + count * row))
    return file, count
