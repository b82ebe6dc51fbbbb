"""Released sets of `.npy` files: mapped into memory, and never trusted."""

import os

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.data import folder, identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

_REMEDY = "Download it again if cut short; pickled Python objects are refused"
_CHANNELS_FIRST = "the channels come first: numpy.moveaxis(images, -3, -1)"


def named(root, names):
    """`{name: path}` of the files `<name>.npy` that are there."""
    _, files = folder.list_folder(root)
    return {n: f"{root}/{n}.npy" for n in names if f"{n}.npy" in files}


def corrupted(root, paths, dataset, preprocess, manifest):
    """The layout of CIFAR-10-C: an array for each corruption."""
    levels, preprocess = corruptions.SEVERITIES, preprocess or Preprocess()
    if manifest is not None:
        levels = tuple(manifest["settings"].get("severities", ()))
    labels = _labels(f"{root}/labels.npy")
    last, classes = labels.max(), dataset.num_classes
    # With ten images of each class, one without any is no coincidence.
    enough = len(labels) >= 10 * classes * len(levels)
    if last >= classes or (last < classes - 1 and enough):
        raise UsageError(
            f"The {len(labels)} labels in {root}/labels.npy end at {last}, but "
            f"{dataset.name} has {classes} classes (0 to {classes - 1}): give "
            "the dataset that the images belong to."
        )

    def open_cell(name, path):
        images = _images(path, rank=4)
        number, rest = divmod(len(images), len(levels))
        rest = rest or len(labels) % max(1, number)
        tiles = () if rest else labels.reshape(-1, number)
        own = labels[:number]
        if len(tiles) not in (1, len(levels)) or (tiles != own).any():
            raise UsageError(
                f"{path} holds {len(images)} images for the {len(labels)} "
                f"labels of {root}/labels.npy: expected {len(levels)} "
                "severities of the same images and labels; download both again."
            )
        start = levels.index(int(name.partition("/")[2])) * number
        return StoredImages(images, own, np.arange(number) + start, preprocess)

    places = {f"{n}/{s}": path for n, path in paths.items() for s in levels}
    return "arrays", "released arrays", preprocess, places, open_cell


def perturbed(root, paths, preprocess):
    """The layout of CIFAR-10-P: an array for each perturbation."""
    known = f"{root}/labels.npy"  # That only this package writes.
    labels = _labels(known) if os.path.exists(known) else ()

    def open_cell(_, path):
        films = _images(path, rank=5)
        if films.shape[1] < 2:
            raise UsageError(
                f"{path} has sequences of {films.shape[1]} frame: predictions "
                "are compared along at least 2; download it again."
            )
        own = labels if len(labels) == len(films) else None
        return StoredSequences(films, own, np.arange(len(films)), preprocess)

    return "arrays", "released arrays", preprocess, paths, open_cell


def _images(path, rank):
    """A mapped array, uint8 `[N, H, W, 3]` (rank 4) or `[N, T, H, W, 3]`."""
    array, form = _mapped(path), f"[N,{' T,' * (rank - 4)} H, W, 3]"
    is_ranked = array.ndim == rank
    is_rgb = is_ranked and array.shape[-1] == 3 and array.size
    for wrong, remedy in (
        (array.ndim == 9 - rank, f"give it to suite {'pc'[rank - 4]}"),
        (array.dtype != np.uint8, "download it again, or convert it to 0..255"),
        (not is_rgb and is_ranked and array.shape[-3] == 3, _CHANNELS_FIRST),
        (not is_rgb, "give RGB images"),
    ):
        if wrong:
            raise UsageError(
                f"{path} is {array.dtype} {list(array.shape)}, expected uint8 "
                f"{form}: {remedy}."
            )
    return array


def _labels(path):
    """Class numbers, NumPy int64 `[N]`."""
    labels = _mapped(path)
    are = np.issubdtype(labels.dtype, np.integer) and labels.ndim == 1
    if not are or not labels.size or labels.min() < 0:
        what = f"{labels.dtype} {list(labels.shape)}"
        what += f" from {labels.min()}" if are and labels.size else ""
        raise UsageError(f"{path} is {what}, expected integers [N] from 0.")
    return np.array(labels, np.int64)


def _mapped(path):
    """An array in a file, of which nothing is executed."""
    with folder.must(f"read the array {path}", _REMEDY):
        return np.lib.format.open_memmap(path, mode="r")


class StoredImages:
    """Rows of an array on disk as test images; memory holds one batch.

    Has what the evaluation uses of a `noisymix_tf.data.Split`.

    Args:
        array: uint8 `[R, ..., h, w, 3]`, a mapped one or `folders.Videos`.
        labels: ints `[N]`; of sequences None where none are known.
        rows: ints `[N]`, the rows that the labels belong to.
        preprocess: `Preprocess`.
    """

    def __init__(self, array, labels, rows, preprocess):
        self._array = array
        self._rows = np.asarray(rows)
        self.labels = None if labels is None else np.asarray(labels, np.int32)
        self.preprocess = preprocess

    def __len__(self):
        return len(self._rows)

    @property
    def image_shape(self):
        """`(H, W, 3)` of what is read."""
        side = self.preprocess.side
        return (side, side, 3) if side else self._array.shape[-3:]

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`, of the file or the files."""
        arrays, files = [self._rows], [getattr(self._array, "filename", None)]
        if files == [None]:  # Each video is a file.
            arrays, files = [], [self._array.paths[r] for r in self._rows]
        own = {"reading": self.preprocess, "images": len(self)}
        return identity.make(self.labels, arrays=arrays, files=files, **own)

    def subset(self, indices):
        """Those at some positions, in that order."""
        indices = np.asarray(indices)
        labels = None if self.labels is None else self.labels[indices]
        rows = self._rows[indices]
        return type(self)(self._array, labels, rows, self.preprocess)

    def batches(self, batch_size):
        """Yields `(images, labels)`: uint8 `[b, H, W, 3]`, int32 `[b]`."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self._read(self._rows[part]), self.labels[part]

    def _read(self, rows):
        read = np.asarray(self._array[rows])
        if self.preprocess.side is None:
            return read
        images = self.preprocess.apply(read.reshape(-1, *read.shape[-3:]))
        return images.numpy().reshape(*read.shape[:-3], *self.image_shape)

    def check(self, indices=None):
        """Does nothing: the rows of a mapped array can be read."""


class StoredSequences(StoredImages):
    """Rows `[T, h, w, 3]` as sequences of frames."""

    @property
    def num_frames(self):
        """T."""
        return self._array.shape[1]

    def batches(self, batch_size):
        """Yields uint8 `[n, T, H, W, 3]`, in order."""
        for start in range(0, len(self), batch_size):
            yield self._read(self._rows[start : start + batch_size])
