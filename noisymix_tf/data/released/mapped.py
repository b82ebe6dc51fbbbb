"""Images and sequences of mapped arrays, read batch by batch."""

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.released.sizes import output_shape


class MappedImages:
    """Rows of a mapped array as test images.

    Has what the evaluation uses of a `noisymix_tf.data.Split`. Memory holds
    one batch.

    Args:
        images: uint8 `[R, h, w, 3]`, such as `map_images` gives.
        labels: ints `[N]`.
        rows: ints `[N]`, the rows that the labels belong to.
        preprocess: `Preprocess`.

    Attributes:
        labels: NumPy int32 `[N]`.
        image_shape: `(H, W, 3)` of what is read.
        preprocess: As given.
    """

    def __init__(self, images, labels, rows, preprocess):
        self._images = images
        self._rows = np.asarray(rows)
        self.labels = np.asarray(labels, np.int32)
        self.preprocess = preprocess
        self.image_shape = output_shape(preprocess, images.shape[1:])

    def __len__(self):
        return len(self.labels)

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`."""
        return _identity(self._images, self._rows, self.labels, self.preprocess)

    def batches(self, batch_size):
        """Yields `(images, labels)`: uint8 `[b, H, W, 3]`, int32 `[b]`."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            images = np.asarray(self._images[self._rows[part]])
            if self.preprocess.side is not None:
                images = self.preprocess.apply(images).numpy()
            yield images, self.labels[part]

    def subset(self, indices):
        """The images at some positions, in that order."""
        indices = np.asarray(indices)
        return MappedImages(
            self._images,
            self.labels[indices],
            self._rows[indices],
            self.preprocess,
        )

    def check(self, indices=None):
        """Does nothing: the rows of a mapped array can be read."""


class MappedSequences:
    """Sequences of frames of a mapped array.

    Args:
        films: uint8 `[R, T, h, w, 3]`, such as `map_images` gives.
        labels: ints `[R]`, or None.
        preprocess: `Preprocess`.
        rows: ints `[N]`, which sequences; all by default.

    Attributes:
        num_frames: T.
        labels: NumPy int32 `[N]`; None where none are known.
        image_shape: `(H, W, 3)` of a frame when it is read.
        preprocess: As given.
    """

    def __init__(self, films, labels, preprocess, rows=None):
        self._films = films
        self._all_labels = labels
        self._rows = np.arange(len(films)) if rows is None else rows
        self.labels = None
        if labels is not None:
            self.labels = np.asarray(labels, np.int32)[self._rows]
        self.preprocess = preprocess
        self.num_frames = films.shape[1]
        self.image_shape = output_shape(preprocess, films.shape[2:])

    def __len__(self):
        return len(self._rows)

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`."""
        return _identity(self._films, self._rows, self.labels, self.preprocess)

    def batches(self, batch_size):
        """Yields uint8 `[n, T, H, W, 3]`, in order."""
        for start in range(0, len(self), batch_size):
            rows = self._rows[start : start + batch_size]
            films = np.asarray(self._films[rows])
            if self.preprocess.side is not None:
                frames = films.reshape(-1, *films.shape[2:])
                frames = self.preprocess.apply(frames).numpy()
                films = frames.reshape(*films.shape[:2], *self.image_shape)
            yield films

    def subset(self, indices):
        """The sequences at some positions, in that order."""
        rows = self._rows[np.asarray(indices)]
        return MappedSequences(
            self._films, self._all_labels, self.preprocess, rows
        )


def _identity(array, rows, labels, preprocess):
    """The `Identity` of rows of a file, or of an array in memory."""
    file = getattr(array, "filename", None)
    return identity.make(
        labels,
        arrays=[rows] if file else [rows, array],
        files=[file] if file else [],
        reading=preprocess,
        images=len(rows),
    )
