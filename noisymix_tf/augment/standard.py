"""The standard augmentation of small images: a random crop and a flip."""

import functools

from noisymix_tf import rng
from noisymix_tf.augment.views import WHOLE, checked, checked_shard, rows
from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf


@serializable
def random_crop_flip(images, seed, *, padding=4, flip=True, shard=WHOLE):
    """Pads with black, crops each image back at random, and mirrors half.

    Args:
        images, seed, shard: As for `augmix_views`.
        padding: Black pixels on each side before the crop; each offset is
            uniform on 0 to `2 * padding`. 0 does not crop.
        flip: Whether to mirror each image left to right with probability 0.5.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> random_crop_flip(images, seed=[0, 1]).shape
    TensorShape([8, 32, 32, 3])
    """
    if not is_whole(padding) or padding < 0:
        raise UsageError(
            f"Crop padding must be a whole number of pixels, at least 0, got "
            f"{padding!r}."
        )
    images = checked(images)
    index, count = checked_shard(shard)
    if padding == 0 and not flip:
        return images
    return _compiled(int(padding), bool(flip), count)(
        images, tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )


@functools.cache
def _compiled(padding, flip, count):
    @tf.function(jit_compile=True, autograph=False)
    def crop_flip(images, seed, index):
        _, height, width, _ = images.shape
        seeds = tf.unstack(rng.split(seed, 3, by_name=True))
        row_seed, column_seed, flip_seed = seeds

        def draw(seed, **law):
            draws = tf.random.stateless_uniform(
                [count * tf.shape(images)[0], 1],
                **law,
                **rng.key(seed, by_name=True),
            )
            return rows(draws, index, count)

        def offsets(seed):
            return draw(seed, minval=0, maxval=2 * padding + 1, dtype=tf.int32)

        lines = offsets(row_seed) + tf.range(height)
        columns = tf.range(width)
        if flip:
            mirrored = draw(flip_seed) < 0.5
            columns = tf.where(mirrored, columns[::-1], columns)
        columns += offsets(column_seed)
        margin = [padding, padding]
        padded = tf.pad(images, [[0, 0], margin, margin, [0, 0]])
        cropped = tf.gather(padded, lines, axis=1, batch_dims=1)
        return tf.gather(cropped, columns, axis=2, batch_dims=1)

    return crop_flip
