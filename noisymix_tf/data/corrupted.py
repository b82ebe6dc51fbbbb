"""Corrupted test images for any Keras model, made while it predicts."""

import os

import numpy as np
import tensorflow as tf

from noisymix_tf import corruptions
from noisymix_tf.checks import is_whole
from noisymix_tf.data.dataset import ArraySplit, Split
from noisymix_tf.errors import UsageError


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
    """The whole of a split, corrupted, in its order.

    Batches are made by several threads ahead of the consumer, so that the
    model works on one while others are made. Memory holds only those batches.

    Args:
        source: `noisymix_tf.data.Split`, or `(images, labels)`: uint8
            `[N, H, W, 3]` and ints `[N]`.
        name: One of `noisymix_tf.corruptions.names()`.
        severity: 1 to 5.
        batch_size: Images in a batch; the last one holds what is left.
        seed: As in `corruptions.corrupt`; the place of an image in the split
            is its index, so that the pixels do not depend on `batch_size`.
        table: As in `corruptions.corrupt`.
        frost_folder: As in `corruptions.corrupt`.
        num_parallel_calls: Batches that are made at the same time; by default
            one for each core.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: uint8 `[b, H, W, 3]` and int32
        `[b]`. It is of known length, and can be run through again and again.

    Raises:
        UsageError: If an argument is not of this form.

    Example:

    >>> digits = noisymix_tf.data.load("digits")
    >>> foggy = corrupted(digits.test, "fog", severity=3)
    >>> model.evaluate(foggy)  # doctest: +SKIP
    """
    if isinstance(source, Split):
        split = source
    elif isinstance(source, tuple | list) and len(source) == 2:
        split = ArraySplit(*source)
    else:
        raise UsageError(
            f"Corrupted images are made of a split, such as dataset.test, or "
            f"of (images, labels); got {type(source).__name__}."
        )
    if not is_whole(batch_size) or batch_size < 1:
        raise UsageError(f"batch_size={batch_size!r}: give at least 1.")
    batch_size = int(batch_size)

    def corrupt(images, indices):
        return corruptions.corrupt(
            images,
            name,
            severity,
            seed,
            table=table,
            indices=indices,
            frost_folder=frost_folder,
        )

    # One black image now: inside of the pipeline a mistake has no clear words.
    corrupt(np.zeros((1, *split.image_shape), np.uint8), np.zeros(1, int))
    # Captured as an input of the function below, see ArraySplit.fetch.
    with tf.device("CPU:0"):
        all_labels = tf.constant(split.labels)

    def make_batch(indices, *encoded):
        images = tf.numpy_function(
            corrupt,
            [split.fetch(indices, *encoded), indices],
            tf.uint8,
            stateful=False,
        )
        images = tf.ensure_shape(images, (None, *split.image_shape))
        return images, tf.gather(all_labels, indices)

    parallel = num_parallel_calls or os.cpu_count() or 1
    indices = tf.data.Dataset.range(len(split)).batch(batch_size)
    return (
        split.read_ahead(indices, parallel)
        .map(make_batch, num_parallel_calls=parallel, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(len(indices)))
        # Last: behind anything else tf.data adds a buffer of its own.
        .prefetch(1)
    )
