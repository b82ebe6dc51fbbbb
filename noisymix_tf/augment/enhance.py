"""Colour, contrast, brightness and sharpness of one image, as Pillow does them.

Each blends the image with a degenerate one: grey, flat, black, or smoothed.
They overlap with the corruptions of the common benchmarks, so AugMix leaves
them out unless asked for all operations.
"""

import tensorflow as tf


def color(image, factor):
    """Blends with the grey image; factor 0 is grey, 1 the image itself.

    Args:
        image: uint8 `[H, W, C]`, C of 1 or 3.
        factor: Non-negative float scalar.

    Returns:
        uint8 `[H, W, C]`.
    """
    return _blend(tf.broadcast_to(_grey(image), image.shape), image, factor)


def contrast(image, factor):
    """Blends with the mean grey value of the image; see `color`."""
    grey = tf.cast(_grey(image), tf.int32)
    count = grey.shape.num_elements()
    mean = tf.cast(tf.reduce_sum(grey), tf.float64) / count
    flat = tf.cast(mean + 0.5, tf.uint8)
    return _blend(tf.fill(image.shape, flat), image, factor)


def brightness(image, factor):
    """Blends with black; see `color`."""
    return _blend(tf.zeros_like(image), image, factor)


def sharpness(image, factor):
    """Blends with a smoothed image whose border is not smoothed; see `color`.

    The kernel weighs the centre 5 and its eight neighbours 1.
    """
    return _blend(_smooth(image), image, factor)


def _grey(image):
    """ITU-R 601 luma in 16-bit fixed point, uint8 `[H, W, 1]`."""
    if image.shape[-1] == 1:
        return image
    weights = tf.constant([19595, 38470, 7471])
    luma = tf.reduce_sum(tf.cast(image, tf.int32) * weights, -1, keepdims=True)
    return tf.cast((luma + 0x8000) // 0x10000, tf.uint8)


def _smooth(image):
    height, width, _ = image.shape
    if height < 3 or width < 3:
        return image
    x = tf.cast(image, tf.int32)
    rows = x[:-2] + x[1:-1] + x[2:]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * x[1:-1, 1:-1]
    # Rounding to nearest in integers: a thirteenth is never a half.
    smooth = tf.cast((2 * total + 13) // 26, tf.uint8)
    middle = tf.concat([image[1:-1, :1], smooth, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], middle, image[-1:]], axis=0)


def _blend(degenerate, image, factor):
    """Truncated `degenerate + factor * (image - degenerate)`, as Pillow does.

    Pillow works in single precision. The product is rounded from double, so
    that no compiler can fuse it with the sum.
    """
    start = tf.cast(degenerate, tf.float64)
    factor = tf.cast(tf.cast(factor, tf.float32), tf.float64)
    change = factor * (tf.cast(image, tf.float64) - start)
    value = tf.cast(change, tf.float32) + tf.cast(start, tf.float32)
    return tf.cast(tf.clip_by_value(value, 0.0, 255.0), tf.uint8)
