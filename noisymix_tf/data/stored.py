"""Released arrays, mapped and never trusted, and videos that are like them."""

import concurrent.futures
import functools
import os
from collections.abc import Iterator

import numpy as np

from noisymix_tf.data import folder, identity
from noisymix_tf.errors import UsageError

_REMEDY = "Download it again if cut short; pickled Python objects are refused"


def corrupted(path, part, dataset, preprocess) -> "StoredImages":
    """`StoredImages` of part (i, n): CIFAR-10-C has severity after severity."""
    known, (number, count) = f"{os.path.dirname(path)}/labels.npy", part
    labels, last = _labels(known), dataset.num_classes - 1
    # With ten images of each class, one without any is no coincidence.
    enough = len(labels) >= 10 * dataset.num_classes * count
    if labels.max() > last or (enough and labels.max() < last):
        raise UsageError(
            f"The {len(labels)} labels in {known} end at {labels.max()}, those "
            f"of {dataset.name} at {last}: give the dataset of the images."
        )
    images = _mapped(path, 4)
    size = len(images) // count
    fits = size * count == len(images) and len(labels) in (size, len(images))
    if not fits or (labels.reshape(-1, size) != labels[:size]).any():
        held = f"{len(images)} images for the {len(labels)} labels of {known}"
        raise UsageError(
            f"{path} holds {held}: expected {count} severities of the same "
            "images and labels; download both again."
        )
    rows = np.arange(size) + number * size
    return StoredImages(images, labels[:size], rows, preprocess)


def perturbed(path, preprocess) -> "StoredImages":
    """`StoredImages`, films of an array as of CIFAR-10-P, or class/video."""
    if os.path.isdir(path):
        paths, labels = folder.labelled(folder.class_files(path, (".mp4",)))
        films = Videos(paths)
    else:
        films, labels = _mapped(path, 5), None
        known = f"{os.path.dirname(path)}/labels.npy"  # Only this package's.
        if os.path.exists(known) and len(own := _labels(known)) == len(films):
            labels = own
    number, frames = films.shape[:2]
    if frames < 2:
        why = "predictions are compared along at least 2; download it again"
        raise UsageError(f"{path} has sequences of {frames} frame: {why}.")
    return StoredImages(films, labels, np.arange(number), preprocess)


def _mapped(path, rank=None):
    """An array; of images uint8 `[N, H, W, 3]` (rank 4), `[N, T, H, W, 3]`."""
    with folder.must(f"read the array {path}", _REMEDY):
        array = np.lib.format.open_memmap(path, mode="r")
    is_rgb = array.dtype == np.uint8 and array.shape[-1:] == (3,) and array.size
    if rank and not (is_rgb and array.ndim == rank):
        form = ("[N, H, W, 3] (suite c)", "[N, T, H, W, 3] (suite p)")[rank - 4]
        raise UsageError(
            f"{path} is {array.dtype} {list(array.shape)}, expected uint8 "
            f"{form}, the channels last: convert it, or download it again."
        )
    return array


def _labels(path):
    """Class numbers, NumPy int64 `[N]`."""
    labels = np.array(_mapped(path))
    are = np.issubdtype(labels.dtype, np.integer) and labels.ndim == 1
    if not are or not labels.size or labels.min() < 0:
        what = f"{labels.dtype} {list(labels.shape)}"
        what += f" from {labels.min()}" if labels.size else ""
        raise UsageError(f"{path} is {what}, expected integers [N] from 0.")
    return labels.astype(np.int64)


class StoredImages:
    """Rows of an array as images or as films, in what is used of a `Split`.

    The array is uint8 `[R, ..., h, w, 3]`, a mapped one or `Videos`; rows are
    ints `[N]`, with labels, ints `[N]`, or None for -1 where none are known.
    """

    def __init__(self, array, labels, rows, preprocess):
        self._array, self._known, self._rows = array, labels, np.asarray(rows)
        labels = np.full(len(rows), -1) if labels is None else labels
        self.labels, self.preprocess = np.asarray(labels, np.int32), preprocess

    def __len__(self):
        return len(self._rows)

    @property
    def num_frames(self) -> int:
        """T, of films."""
        return self._array.shape[1]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(H, W, 3)` of what is read."""
        side = self.preprocess.side
        return (side, side, 3) if side else self._array.shape[-3:]

    @property
    def identity(self) -> identity.Identity:
        """As of a `Split`, of the file or, of videos, the files."""
        arrays, files = [self._rows], [getattr(self._array, "filename", None)]
        if files == [None]:
            arrays, files = [], [self._array.paths[r] for r in self._rows]
        own = {"reading": self.preprocess, "images": len(self)}
        return identity.make(self._known, arrays=arrays, files=files, **own)

    def subset(self, indices) -> "StoredImages":
        """Those at some positions, in that order."""
        labels = None if self._known is None else self.labels[indices]
        rows = self._rows[indices]
        return StoredImages(self._array, labels, rows, self.preprocess)

    def batches(self, batch_size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields `(images, labels)`: uint8 `[b, (T,) H, W, 3]`, int32 `[b]`."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            read = np.asarray(self._array[self._rows[part]])
            flat = read.reshape(-1, *read.shape[-3:])
            images = self.preprocess.apply(flat).numpy()
            images = images.reshape(*read.shape[:-3], *self.image_shape)
            yield images, self.labels[part]


class Videos:
    """Videos of one length and size, like an array uint8 `[N, T, h, w, 3]`.

    Rows are decoded where they are used, side by side: `videos[[3, 1]]`.
    """

    def __init__(self, paths):
        self.paths = tuple(paths)

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """`(N, T, h, w, 3)`, by the first video."""
        return len(self.paths), *_read_video(self.paths[0]).shape

    def __getitem__(self, rows):
        expected = self.shape[1:]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            films = list(pool.map(_read_video, [self.paths[r] for r in rows]))
        for row, film in zip(rows, films):
            if film.shape != expected:
                raise UsageError(
                    f"{self.paths[row]} is {list(film.shape)} (frames, height, "
                    f"width), {self.paths[0]} {list(expected)}: unpack both."
                )
        return np.stack(films)


def _read_video(path):
    """All frames as FFmpeg decodes them, uint8 `[T, H, W, 3]`."""
    with folder.must("read videos", 'pip install "noisymix_tf[video]"'):
        import av
    with folder.must(f"read the video {path}", "Unpack it again"):
        with av.open(path) as video:
            # Files are decoded side by side, so each by one thread. A damaged
            # frame is an error; FFmpeg would invent what is missing.
            context = video.streams.video[0].codec_context
            context.thread_type = "NONE"
            context.options = {"err_detect": "explode"}
            frames = list(video.decode(video=0))
        if any(frame.is_corrupt for frame in frames):
            raise ValueError("a frame is damaged")
        return np.stack([f.to_ndarray(format="rgb24") for f in frames])
