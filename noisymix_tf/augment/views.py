"""Standard augmentation and views of one batch, wherever they are made."""

import inspect

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import shards


def batch_views(
    images, *, seed, step, standard=None, augment=None, shard=shards.WHOLE
):
    """Makes the views of a batch that one training step sees.

    The input pipeline and the train step both call this function, which is why
    it does not matter to the views where they are made.

    Args:
        images: Batch `[B, H, W, C]`.
        seed: The run's seed, an int.
        step: The step, an int or a scalar integer tensor.
        standard: Callable `(images, seed) -> images`, or None.
        augment: Callable `(images, seed) -> views`, to `[B, V, H, W, C]`. By
            default, the images are the only view.
        shard: `(index, count)`, where the images are one of `count` equal
            parts of the batch. A callable that takes `shard` gets it, as those
            of `noisymix_tf.augment` do, and draws what it would draw in the
            whole batch. Any other gets a seed of its own for each part.

    Returns:
        `[B, V, H, W, C]`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> batch_views(images, seed=0, step=7, augment=augmix_views).shape
    TensorShape([8, 3, 32, 32, 3])
    """
    if standard is not None:
        images = _call(
            standard, images, rng.stream(seed, step, "standard"), shard
        )
    if augment is None:
        return images[:, tf.newaxis]
    return _call(augment, images, rng.stream(seed, step, "augment"), shard)


def _call(function, images, seed, shard):
    index, count = shard
    if count == 1:
        return function(images, seed)
    if "shard" in inspect.signature(function).parameters:
        return function(images, seed, shard=shard)
    seed = tf.random.experimental.stateless_fold_in(
        seed, tf.cast(index, tf.int32), alg=rng.GENERATOR
    )
    return function(images, seed)
