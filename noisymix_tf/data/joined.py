"""Several splits as one: a training set and further trees of images."""

import numpy as np
import tensorflow as tf

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import Split, size_text
from noisymix_tf.data.encoded import with_labels
from noisymix_tf.errors import UsageError


class JoinedSplit(Split):
    """Splits one behind the other, read as if they were one.

    Where a part's images lie makes no difference: a position of the whole
    belongs to the same image in every process and at every step, so that
    training on it can stop and go on like on any split.

    Args:
        parts: Sequence of `Split`s of one `image_shape`.

    Raises:
        UsageError: If their images are of several shapes, or from `batches`
            where an image cannot be decoded.

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
        self.needs_python = any(
            getattr(part, "needs_python", False) for part in parts
        )
        self.reads_ahead = any(part.reads_ahead for part in parts)
        self._part_of, self._place_of = part_of, place_of
        self._tensors = None

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

    def fetch(self, indices, encoded=None):
        def read(part, _, places, *encoded):
            return part.fetch(places, *encoded)

        return self._gather(indices, encoded, read)

    def fetch_crops(self, indices, seed, crop, encoded=None):
        def read(part, number, places, *encoded):
            # Images at one place of two parts are cropped in different ways.
            own = tf.random.experimental.stateless_fold_in(seed, number)
            return part.fetch_crops(places, own, crop, *encoded)

        return self._gather(indices, encoded, read)

    def encoded(self, indices):
        part_of, places = self._shares(indices)
        return tf.data.Dataset.choose_from_datasets(
            [part.encoded(own) for part, own in zip(self.parts, places)],
            tf.data.Dataset.from_tensor_slices(tf.cast(part_of, tf.int64)),
            stop_on_empty_dataset=False,
        )

    def batches(self, batch_size):
        images = (
            self.read_ahead(tf.data.Dataset.range(len(self)).batch(batch_size))
            .map(
                self.fetch,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .prefetch(1)
            .as_numpy_iterator()
        )
        yield from with_labels(self, images, batch_size)

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

    def _gather(self, indices, encoded, read):
        """Reads every part's share of a batch, and puts it in order."""
        part_of, places = self._shares(indices)
        count = len(self.parts)
        rows = tf.dynamic_partition(tf.range(tf.size(indices)), part_of, count)
        shares = [
            [part, i, own]
            for i, (part, own) in enumerate(zip(self.parts, places))
        ]
        if encoded is not None:
            contents = tf.dynamic_partition(encoded, part_of, count)
            for share, content in zip(shares, contents):
                if share[0].reads_ahead:
                    share.append(content)
        images = [read(*share) for share in shares]
        stitched = tf.dynamic_stitch(rows, images)
        return tf.ensure_shape(stitched, [*indices.shape, *self.image_shape])

    def _shares(self, indices):
        """`(part of each image, places in each part)`."""
        if self._tensors is None:
            # As in ArraySplit: captured, and not copied into the graph.
            with tf.init_scope(), tf.device("CPU:0"):
                self._tensors = (
                    tf.constant(self._part_of),
                    tf.constant(self._place_of),
                )
        part_of, place_of = (tf.gather(t, indices) for t in self._tensors)
        return part_of, tf.dynamic_partition(place_of, part_of, len(self.parts))
