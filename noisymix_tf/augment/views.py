"""Standard augmentation and views of one batch, wherever they are made."""

import inspect

from noisymix_tf import rng
from noisymix_tf.augment import arguments
from noisymix_tf.lazy import tf


def batch_views(
    images,
    *,
    seed,
    step,
    standard=None,
    augment=None,
    shard=arguments.WHOLE,
    dense=False,
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
        dense: Whether callables that take `dense` are given it.

    Returns:
        `[B, V, H, W, C]`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> batch_views(images, seed=0, step=7, augment=augmix_views).shape
    TensorShape([8, 3, 32, 32, 3])
    """
    for name, function in (("standard", standard), ("augment", augment)):
        if function is not None:
            stream = rng.stream(seed, step, name)
            images = _call(function, images, stream, shard, dense)
    return images[:, tf.newaxis] if augment is None else images


def device_views(images, **where):
    """`batch_views` for an accelerator: the same views, `dense`.

    Gaussian noise alone is still drawn image by image.
    """
    return batch_views(images, **where, dense=True)


def _call(function, images, seed, shard, dense):
    known = inspect.signature(function).parameters
    index, count = shard
    options = {"dense": True} if dense and "dense" in known else {}
    if count > 1 and "shard" in known:
        options["shard"] = shard
    elif count > 1:
        seed = tf.random.experimental.stateless_fold_in(
            seed, tf.cast(index, tf.int32), alg=rng.GENERATOR
        )
    return function(images, seed, **options)
