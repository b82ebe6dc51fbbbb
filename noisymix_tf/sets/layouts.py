"""Released layouts: arrays as of CIFAR-10-C and -P, trees as of ImageNet-C."""

import collections
import io
import math
import os
import pathlib
import shutil

import numpy as np

from noisymix_tf.data.classes import folder_names
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest, flush, write_atomically
from noisymix_tf.lazy import Image
from noisymix_tf.sets.writer import Part

_LABELS = "labels.npy"
# The released ImageNet-C are JPEGs of this quality.
_JPEG = {"format": "jpeg", "quality": 85, "optimize": True}
SUFFIXES = {"jpeg": ".JPEG", "png": ".png"}
# What settings say of them.
FORMATS = {"jpeg": "jpeg 85", "png": "png"}
# Bytes of one call of a worker: all cores are busy to the end, and it is worth
# its way to another process.
_CALL_BYTES = 1 << 20
# Images of one call; of a tree each is written at every severity.
_CALL_IMAGES = 4


class LabelPart(Part):
    """`labels.npy`, int64: the labels once for every level."""

    def __init__(self, labels, levels):
        labels = np.tile(labels.astype(np.int64), levels)
        np.save(buffer := io.BytesIO(), labels)
        self._content, self._shape = buffer.getvalue(), labels.shape

    def write(self, folder, workers):
        path = folder.path / _LABELS
        if not path.exists():
            write_atomically(path, self._content)
        elif path.read_bytes() != self._content:
            raise UsageError(
                f"{path} holds other labels than the dataset: name another "
                "--output_dir."
            )
        folder.record(_LABELS, _array_entry(path, self._shape))
        return ()


class _RecipePart(Part):
    """What a `Recipe` makes of a split whose first image is at `first`."""

    def __init__(self, recipe, split, first):
        self.name, self.total = recipe.stem, len(recipe.levels) * len(split)
        self._recipe, self._split, self._first = recipe, split, first


class ArrayPart(_RecipePart):
    """`<name>.npy`: uint8, the images level after level."""

    def __init__(self, recipe, split, first):
        super().__init__(recipe, split, first)
        self._shape = self.total, *recipe.item_shape(split.image_shape)
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
            folder.record(path.name, _array_entry(path, self._shape))
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


class TreePart(_RecipePart):
    """`<name>/<level>/<class>/<image>`; what is there is not made again.

    `files` are `class/image` of the images.
    """

    def __init__(self, recipe, split, first, files):
        super().__init__(recipe, split, first)
        self._files = files
        self.entries = [f"{self.name}/{level}" for level in recipe.levels]

    def write(self, folder, workers):
        root, missing = folder.path / self.name, {}
        for level in self._recipe.levels:
            known = there(root / str(level))
            for place, name in enumerate(self._files):
                if name not in known:
                    missing.setdefault(place, []).append(level)
        done = self.total - sum(map(len, missing.values()))
        for made, _ in workers.ordered(self._calls(root, missing, workers)):
            done += made
            yield done
        for entry in self.entries:
            folder.record(entry, {"files": len(self._files)})
        yield done

    def _calls(self, root, missing, workers):
        """Yields calls that make files, by level for each image."""
        if not missing:
            return
        places = np.array(sorted(missing))
        whole = len(places) == len(self._split)
        split = self._split if whole else self._split.subset(places)
        for images, _ in split.batches(_CALL_IMAGES):
            here, places = np.split(places, [len(images)])
            files = [
                {n: root / str(n) / self._files[p] for n in missing[p]}
                for p in here
            ]
            given = workers.share(images), self._first + here, files
            yield self._recipe.save, *given


def _array_entry(path, shape):
    """What the manifest notes of a finished array."""
    size, digest = path.stat().st_size, file_digest(path)
    return {"shape": [*shape], "bytes": size, "sha256": digest}


def _unchanged(path, noted):
    """The path of a part's array, if it is as it was noted, if it was."""
    is_good = path.exists() and (
        noted is None or noted == _array_entry(path, noted["shape"])
    )
    if not is_good:
        raise _damaged(path, "the part's")
    return path


def _damaged(path, whose):
    """The `UsageError` of an array that was changed."""
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


def join_arrays(folder, parts, levels) -> None:
    """Joins arrays of parts, `(path, entries)`, in order, level by level."""
    files = (
        (path / _LABELS, known.pop(_LABELS, None)) for path, known in parts
    )
    labels = [np.load(_unchanged(*file)) for file in files]
    labels = np.concatenate([each[: len(each) // levels] for each in labels])
    LabelPart(labels, levels).write(folder, None)
    for name in parts[0][1]:
        stored = []
        for path, known in parts:
            rows = np.load(_unchanged(path / name, known[name]), mmap_mode="r")
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
        folder.record(name, _array_entry(folder.path / name, shape))


def save(image, path):
    """Writes uint8 `[H, W, C]`; the file takes its name when it is complete.

    The ending of the `pathlib.Path`, whose folder is made, says the format.
    """
    of = {"format": "png"} if path.suffix == SUFFIXES["png"] else _JPEG
    Image.fromarray(image).save(buffer := io.BytesIO(), **of)
    # Not waited for until it is on the disk, as `write_atomically` does: with
    # millions of small files this would take hours.
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)


def image_names(split, class_names, suffix):
    """`class/name` for each image, no two the same: a file's, or a number."""
    names = folder_names(class_names)
    width = len(str(len(split) - 1))
    numbers = [f"{place:0{width}}" for place in range(len(split))]
    files = [pathlib.Path(p) for p in getattr(split, "paths", numbers)]
    files = [(names[k], file) for k, file in zip(split.labels, files)]
    often = collections.Counter((name, file.stem) for name, file in files)
    # `cat.jpg` and `cat.png` of one class keep what tells them apart; beside a
    # `cat.jpg.png` all do.
    short = [f.stem if often[n, f.stem] == 1 else f.name for n, f in files]
    for own in (short, [f.name for _, f in files], numbers):
        made = [f"{n}/{name}{suffix}" for (n, _), name in zip(files, own)]
        if len({*made}) == len(made):
            break
    return made


def there(root):
    """Finished files below a folder of classes, `{"class/name": path}`."""
    found = {}
    for folder in os.scandir(root) if root.is_dir() else ():
        for file in os.scandir(folder.path) if folder.is_dir() else ():
            # What a crash of the machine left empty is not finished; what is
            # hidden has not got its name yet.
            if file.stat().st_size and file.name[0] != ".":
                found[f"{folder.name}/{file.name}"] = file.path
    return found


def join_trees(folder, parts) -> None:
    """Links, or else copies, files of parts, `(path, entries)`, into a tree."""
    for name in parts[0][1]:
        number = 0
        for path, known in parts:
            files, wanted = there(path / name), known[name]["files"]
            if len(files) != wanted:
                raise UsageError(
                    f"{path / name} has {len(files)} files, but had {wanted} "
                    "when it was finished: the part's command makes them again."
                )
            number += wanted
            for key, source in files.items():
                _take(source, folder.path / name / key)
        folder.record(name, {"files": number})


def _take(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(source, target)
