"""What a split is, in a few short hashes: equal ones mean equal images.

Images in memory are known by all of their pixels; files by name, size and time
of change, so that they need not be read: one that is replaced by another of the
same size and time is taken for the old one.
"""

import dataclasses
import hashlib
import os

import numpy as np

from noisymix_tf.errors import UsageError

_DIGITS = 16
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells labelled images from others.

    As a word, `"9b1d2c3347aa81f0.55ab01c98e2d7f36"`: which images they are,
    and how they are read and when their files were last changed. The second
    half is another one for a copy of the files that has not kept their times.

    Attributes:
        images: How many there are.
        names: Hash of the names of their files, with the folder that each is
            in: data that is moved as a whole stays the same.
        labels: Hash of the labels.
        contents: Hash of the pixels, or of the sizes of the files.
        reading: Hash of how files become images.
        times: Hash of the files' times of change.
    """

    images: int
    names: str
    labels: str
    contents: str
    reading: str
    times: str

    def __str__(self):
        which = short(self.images, self.names, self.labels, self.contents)
        return f"{which}.{short(self.reading, self.times)}"

    def labelled(self, classes):
        """The same images, whose labels count some classes.

        Args:
            classes: Names of classes, or their places among others.
        """
        return dataclasses.replace(self, labels=short(self.labels, *classes))


def which(word):
    """Which images a word is about, however and whenever they are read."""
    return word.partition(".")[0]


def of(split):
    """The `Identity` of a split.

    Args:
        split: Has `identity`, as a `noisymix_tf.data.Split`, or only
            `batches(batch_size)`; all that a pass yields is then hashed.
    """
    own = getattr(split, "identity", None)
    return own if isinstance(own, Identity) else of_batches(split)


def of_batches(split):
    """The `Identity` of whatever `split.batches` yields, by one pass."""
    pixels, labels, number, form = hashlib.sha256(), hashlib.sha256(), 0, None
    for images, own in split.batches(_BATCH):
        images = np.ascontiguousarray(images)
        form = images.dtype.str, images.shape[1:]
        pixels.update(images.data)
        labels.update(np.asarray(own).astype(np.int64).tobytes())
        number += len(images)
    return Identity(
        images=number,
        names=short(),
        labels=labels.hexdigest()[:_DIGITS],
        contents=short(str(form), pixels.digest()),
        reading=short(),
        times=short(),
    )


def make(labels, *, arrays=(), files=(), reading="", parts=(), images=None):
    """The `Identity` of a split out of what it is made of.

    Args:
        labels: ints `[N]`; None where there are none.
        arrays: Pixels, or which of the images in the files, in which order.
        files: Paths of the files that images are read from.
        reading: How they are read, in words.
        parts: `Identity`s of further splits that images are taken from.
        images: N, where there are no labels.

    Raises:
        UsageError: If a file is not there.
    """
    known = [_stat(path) for path in files]
    return Identity(
        images=len(labels) if images is None else images,
        names=short(*map(_tail, files), *(part.names for part in parts)),
        labels=short(None if labels is None else np.asarray(labels, np.int64)),
        contents=short(
            *arrays,
            np.array([status.st_size for status in known], np.int64),
            *(part.contents for part in parts),
        ),
        reading=short(str(reading), *(part.reading for part in parts)),
        times=short(
            np.array([status.st_mtime_ns for status in known], np.int64),
            *(part.times for part in parts),
        ),
    )


def of_bytes(files):
    """Hash of all that some files hold, which has to be read."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]


def short(*values):
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


def _tail(path):
    """`"cat/1.png"` of `"/data/train/cat/1.png"`."""
    return os.sep.join(os.fspath(path).split(os.sep)[-2:])


def _stat(path):
    try:
        return os.stat(path)
    except OSError as error:
        raise UsageError(
            f"Cannot read {path}: {error.strerror}. Put it back, or leave it "
            "out."
        ) from error
