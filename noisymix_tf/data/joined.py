"""Several splits as one: a training set and further trees of images."""

import functools

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import Split, as_tensor, own_seed, size_text
from noisymix_tf.errors import UsageError


class JoinedSplit(Split):
    """Splits one behind the other, read as if they were one.

    Where a part's images lie makes no difference: a position of the whole
    belongs to the same image in every process and at every step, so that
    training on it can stop and go on like on any split.

    Args:
        parts: Sequence of `Split`s of one `image_shape`.

    Raises:
        UsageError: If their images are of several shapes.

    Example:

    >>> split = JoinedSplit([clean, stylized])
    >>> len(split) == len(clean) + len(stylized)
    True
    """

    def __init__(self, parts):
        lengths = [len(part) for part in parts]
        self._set(
            tuple(parts),
            np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
            np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]),
        )

    def _set(self, parts, part_of, place_of):
        """Image i is that at `place_of[i]` of the part `part_of[i]`."""
        labels = np.zeros(len(part_of), np.int32)
        for number, part in enumerate(parts):
            chosen = part_of == number
            labels[chosen] = part.labels[place_of[chosen]]
        super().__init__(labels, parts[0].image_shape)
        for part in parts:
            if part.image_shape != self.image_shape:
                raise UsageError(
                    "Splits that are joined must have images of one size, not "
                    f"{size_text(self.image_shape)} and "
                    f"{size_text(part.image_shape)}."
                )
        self.parts = parts
        self.needs_python = any(part.needs_python for part in parts)
        self.reads_ahead = any(part.reads_ahead for part in parts)
        self._part_of, self._place_of = part_of, place_of

    @property
    def files(self):
        return tuple(path for part in self.parts for path in part.files)

    @property
    def identity(self):
        return identity.make(
            self.labels,
            arrays=[self._part_of, self._place_of],
            parts=[part.identity for part in self.parts],
        )

    @functools.cached_property
    def _tensors(self):
        return as_tensor(self._part_of), as_tensor(self._place_of)

    def image(self, index, encoded=None, crop=None, seed=None):
        part_of, place = (tf.gather(t, index) for t in self._tensors)

        def read(number, part):
            # Images at one place of two parts are cropped in different ways.
            own = None if crop is None else own_seed(seed, number)
            given = encoded if part.reads_ahead else None
            return part.image(place, given, crop, own)

        branches = [
            functools.partial(read, number, part)
            for number, part in enumerate(self.parts)
        ]
        return tf.switch_case(part_of, branches)

    def encoded(self, index):
        part_of, place = (tf.gather(t, index) for t in self._tensors)
        # Of the other parts nothing is read; it must only be one of their own.
        return tf.data.Dataset.choose_from_datasets(
            [
                part.encoded(tf.minimum(place, len(part) - 1))
                if len(part)
                else super(JoinedSplit, self).encoded(index)
                for part in self.parts
            ],
            tf.data.Dataset.from_tensor_slices([tf.cast(part_of, tf.int64)]),
            stop_on_empty_dataset=False,
        )

    def subset(self, indices):
        indices = self.positions(indices)
        new = object.__new__(JoinedSplit)
        new._set(self.parts, self._part_of[indices], self._place_of[indices])
        return new

    def check(self, indices=None):
        indices = np.arange(len(self)) if indices is None else list(indices)
        for number, part in enumerate(self.parts):
            own = self._part_of[indices] == number
            part.check(self._place_of[indices][own].tolist())
