"""What a split is, in a few short hashes: equal ones mean equal images.

Images in memory are known by all of their pixels; files by name, size and time
of change: one that is replaced by another of the same is taken for the old one.
"""

import dataclasses
import hashlib
import os

import numpy as np

from noisymix_tf.errors import UsageError

_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells labelled images from others, in hashes.

    As a word: which images they are, a dot, and the last two fields.
    """

    images: int  # How many there are.
    names: str  # Of files, each with its folder: as a whole they may move.
    labels: str
    contents: str  # Pixels, or sizes of files.
    reading: str  # How files become images.
    times: str  # When the files were changed.

    def __str__(self):
        which = short(self.images, self.names, self.labels, self.contents)
        return f"{which}.{short(self.reading, self.times)}"

    def labelled(self, classes) -> "Identity":
        """The same images, whose labels count classes, by name or place."""
        return dataclasses.replace(self, labels=short(self.labels, *classes))


def which(word) -> str:
    """Which images a word is about, however and whenever they are read."""
    return word.partition(".")[0]


def of(split) -> Identity:
    """The `Identity` of a split: its own, or else that `of_batches`."""
    own = getattr(split, "identity", None)
    return own if isinstance(own, Identity) else of_batches(split)


def of_batches(split) -> Identity:
    """The `Identity` of whatever `split.batches` yields, by one pass."""
    pixels, labels, number, form = hashlib.sha256(), hashlib.sha256(), 0, None
    for images, own in split.batches(256):
        images = np.ascontiguousarray(images)
        form, number = (images.dtype.str, images.shape[1:]), number + len(own)
        pixels.update(images.data)
        labels.update(np.asarray(own).astype(np.int64).tobytes())
    contents = short(str(form), pixels.digest())
    known = labels.hexdigest()[:_DIGITS]
    return Identity(number, short(), known, contents, short(), short())


def make(
    labels, *, arrays=(), files=(), reading="", parts=(), images=None
) -> Identity:
    """The `Identity` of a split out of what it is made of.

    `labels` are ints `[N]`, or None; `images` is N then. `arrays` are pixels,
    or which of the images in the `files`, in which order; `reading` says how
    these are read; `parts` are `Identity`s of splits that images come from.
    """
    try:
        known = [os.stat(path) for path in files]
    except OSError as error:
        what = f"{error.filename}: {error.strerror}"
        raise UsageError(f"Cannot read {what}. Put it back.") from error
    sizes = np.array([status.st_size for status in known], np.int64)
    times = np.array([status.st_mtime_ns for status in known], np.int64)
    tails = [os.sep.join(os.fspath(p).split(os.sep)[-2:]) for p in files]
    return Identity(
        len(labels) if images is None else images,
        short(*tails, *(part.names for part in parts)),
        short(None if labels is None else np.asarray(labels, np.int64)),
        short(*arrays, sizes, *(part.contents for part in parts)),
        short(str(reading), *(part.reading for part in parts)),
        short(times, *(part.times for part in parts)),
    )


def short(*values) -> str:
    """16 hexadecimal digits of words, numbers, bytes and arrays, in order."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            value = np.ascontiguousarray(value).data
        elif not isinstance(value, bytes):
            value = os.fsencode(str(value))
        digest.update(f"{len(value)}:".encode())
        digest.update(value)
    return digest.hexdigest()[:_DIGITS]
