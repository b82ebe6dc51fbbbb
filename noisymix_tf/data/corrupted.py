"""Corrupted test images for any Keras model, made while it predicts."""

import os

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.checks import is_whole
from noisymix_tf.data.dataset import ArraySplit, Split
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


def corrupted(
    source,
    name,
    severity,
    *,
    batch_size=250,
    seed=0,
    table="auto",
    frost_folder=None,
    num_parallel_calls=None,
):
    """The whole of a split, corrupted, in its order, batch by batch.

    As a `tf.data.Dataset` of `(images, labels)`, uint8 and int32, of a `Split`
    or of `(images, labels)`: uint8 `[N, H, W, 3]` and ints `[N]`. The last
    batch holds what is left. `num_parallel_calls` batches are made at a time,
    by default one a core. All else is as in `corruptions.corrupt`; an image's
    index is its place in the split, whatever `batch_size`.
    """
    is_pair = isinstance(source, tuple | list) and len(source) == 2
    split = ArraySplit(*source) if is_pair else source
    if not isinstance(split, Split):
        got = f"or of (images, labels); got {type(source).__name__}"
        raise UsageError(f"Corrupted images are made of a split, {got}.")
    if not is_whole(batch_size) or batch_size < 1:
        raise UsageError(f"batch_size={batch_size!r}: give at least 1.")
    own = {"seed": seed, "table": table, "frost_folder": frost_folder}

    def corrupt(images, indices):
        how = {"indices": indices, **own}
        return corruptions.corrupt(images, name, severity, **how)

    # One black image now: inside of the pipeline a mistake has no clear words.
    corrupt(np.zeros((1, *split.image_shape), np.uint8), np.zeros(1, int))

    def make_batch(indices, images, labels):
        images = tf.numpy_function(
            corrupt, [images, indices], tf.uint8, stateful=False
        )
        return tf.ensure_shape(images, (None, *split.image_shape)), labels

    size, count = int(batch_size), tf.data.experimental.assert_cardinality
    parallel = num_parallel_calls or os.cpu_count() or 1
    made = split.in_order().batch(size)
    made = made.map(make_batch, parallel, deterministic=True)
    # Last: behind anything else tf.data adds a buffer of its own.
    return made.apply(count(-(-len(split) // size))).prefetch(1)
