"""Training images that live on the device, for datasets that fit there.

The compiled step takes its batches from them, in the order of the pipeline, so
that no host has to keep pace with an accelerator.
"""

import numpy as np

from noisymix_tf import rng
from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.data.pipeline import steps_per_epoch
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

MOST_BYTES = 4 << 30


class Resident:
    """All images of an `ArraySplit` on a device, or on each of a strategy's.

    Made in the scope of the strategy under which `batch` is called.

    >>> split = ArraySplit(np.zeros([9, 4, 4, 3], np.uint8), np.arange(9))
    >>> images, labels = Resident(split, batch_size=5).batch(seed=0, step=9)
    >>> images.shape
    TensorShape([5, 4, 4, 3])
    """

    def __init__(self, split, batch_size):
        is_array = isinstance(split, ArraySplit)
        if not is_array or split.images.nbytes > MOST_BYTES:
            size = split.images.nbytes / 2**30 if is_array else 0
            found = f"take {size:.1f} GiB" if size else "are read from files"
            raise UsageError(
                f"--input=device keeps all training images on the device, at "
                f"most {MOST_BYTES >> 30} GiB (digits, cifar10, cifar100), and "
                f"these {found}: give --input=host."
            )
        self._batch_size = batch_size
        self._steps = steps_per_epoch(split, batch_size)
        self._images = _variable(split.images)
        self._labels = _variable(split.labels)
        # The order of the images in an epoch, and of which seed and epoch.
        self._order = _variable(np.zeros(len(split), np.int64))
        self._made = _variable(np.array([-1, -1]))
        self._take = tf.function(_take, jit_compile=True, autograph=False)

    def batch(self, seed, step, shard=(0, 1)):
        """The images and labels of a step, of a shard, as of `data.views`."""
        step, rows = tf.cast(step, tf.int64), self._batch_size // shard[1]
        start = step % self._steps * self._batch_size
        return self._take(
            tf.convert_to_tensor(self._images),
            tf.convert_to_tensor(self._labels),
            self._order_of(seed, step // self._steps),
            start + tf.cast(shard[0], tf.int64) * rows,
            rows,
        )

    def _order_of(self, seed, epoch):
        """The order of an epoch, sorted in its first step only."""
        wanted = tf.stack([tf.cast(seed, tf.int64), epoch])

        def sort():
            # `rng.permutation` as kernels of the host draw it: they make a
            # float of the lower 23 bits of a word, XLA of the upper ones.
            key = tf.cast(rng.stream(seed, epoch, "shuffle"), tf.int64)
            bits = {"minval": None, "maxval": None, "dtype": tf.uint32}
            words = tf.random.stateless_uniform(
                self._order.shape, key, alg=rng.GENERATOR, **bits
            )
            lower = tf.cast(words & ((1 << 23) - 1), tf.int32)
            order = tf.cast(tf.argsort(lower, stable=True), tf.int64)
            self._order.assign(order)
            self._made.assign(wanted)
            return order

        is_made = tf.reduce_all(self._made == wanted)
        return tf.cond(is_made, lambda: tf.convert_to_tensor(self._order), sort)


def _take(images, labels, order, start, rows):
    chosen = tf.gather(order, start + tf.range(rows, dtype="int64"))
    return tf.gather(images, chosen), tf.gather(labels, chosen)


def _variable(value):
    """A variable of which each replica has its own."""
    own = {"synchronization": tf.VariableSynchronization.ON_READ}
    own["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(value, trainable=False, **own)
