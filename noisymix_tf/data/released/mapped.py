"""Images and sequences of mapped arrays, read batch by batch."""

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.released.sizes import output_shape


class _Mapped:
    """Rows of a mapped array, of which memory holds one batch.

    Args:
        array: uint8 `[R, ..., h, w, 3]`, such as `map_images` gives.
        labels: ints `[N]`; of sequences None where none are known.
        rows: ints `[N]`, the rows that the labels belong to.
        preprocess: `Preprocess`.

    Attributes:
        labels: NumPy int32 `[N]`, or None.
        image_shape: `(H, W, 3)` of what is read.
        preprocess: As given.
    """

    def __init__(self, array, labels, rows, preprocess):
        self._array = array
        self._rows = np.asarray(rows)
        self.labels = None if labels is None else np.asarray(labels, np.int32)
        self.preprocess = preprocess
        self.image_shape = output_shape(preprocess, array.shape[-3:])

    def __len__(self):
        return len(self._rows)

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`: of the file, or of the pixels."""
        file = getattr(self._array, "filename", None)
        return identity.make(
            self.labels,
            arrays=[self._rows] if file else [self._rows, self._array],
            files=[file] if file else [],
            reading=self.preprocess,
            images=len(self),
        )

    def subset(self, indices):
        """Those at some positions, in that order."""
        indices = np.asarray(indices)
        labels = None if self.labels is None else self.labels[indices]
        rows = self._rows[indices]
        return type(self)(self._array, labels, rows, self.preprocess)

    def _batches(self, batch_size):
        """Yields what is read, uint8 `[b, ..., H, W, 3]`, and where."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            read = np.asarray(self._array[self._rows[part]])
            if self.preprocess.side is not None:
                images = read.reshape(-1, *read.shape[-3:])
                images = self.preprocess.apply(images).numpy()
                read = images.reshape(*read.shape[:-3], *self.image_shape)
            yield read, part


class MappedImages(_Mapped):
    """Rows of a mapped array `[R, h, w, 3]` as test images.

    Has what the evaluation uses of a `noisymix_tf.data.Split`.
    """

    def batches(self, batch_size):
        """Yields `(images, labels)`: uint8 `[b, H, W, 3]`, int32 `[b]`."""
        for images, part in self._batches(batch_size):
            yield images, self.labels[part]

    def check(self, indices=None):
        """Does nothing: the rows of a mapped array can be read."""


class MappedSequences(_Mapped):
    """Rows of a mapped array `[R, T, h, w, 3]` as sequences of frames."""

    @property
    def num_frames(self):
        """T."""
        return self._array.shape[1]

    def batches(self, batch_size):
        """Yields uint8 `[n, T, H, W, 3]`, in order."""
        for films, _ in self._batches(batch_size):
            yield films
