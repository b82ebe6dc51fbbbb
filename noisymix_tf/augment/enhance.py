"""Colour, contrast, brightness and sharpness of images, as Pillow does them.

Each blends an image with a degenerate one: grey, flat, black, or smoothed.
They overlap with the corruptions of the common benchmarks, so AugMix leaves
them out unless asked for all operations.
"""

from noisymix_tf.augment import affine, fixed
from noisymix_tf.lazy import tf


def color(images, factor):
    """Blends uint8 `[..., H, W, C]` with the grey image, C of 1 or 3.

    A factor, fixed-point `[...]`, of 0 is grey, and of 1 the image itself.
    """
    return _blend(_grey(images), images, factor)


def contrast(images, factor):
    """Blends with the mean grey value of the image; see `color`."""
    grey = tf.cast(_grey(images), tf.int32)
    count = images.shape[-3] * images.shape[-2]
    total = tf.reduce_sum(grey, axis=[-3, -2, -1], keepdims=True)
    return _blend((2 * total + count) // (2 * count), images, factor)


def brightness(images, factor):
    """Blends with black; see `color`."""
    return _blend(0, images, factor)


def sharpness(images, factor):
    """Blends with a smoothed image whose border is not smoothed; see `color`.

    The kernel weighs the centre 5 and its eight neighbours 1.
    """
    return _blend(_smooth(images), images, factor)


def _grey(images):
    """ITU-R 601 luma in 16-bit fixed point, `[..., H, W, 1]`."""
    if images.shape[-1] == 1:
        return images
    weights = tf.constant([19595, 38470, 7471])
    luma = tf.cast(images, tf.int32) * weights
    return (tf.reduce_sum(luma, -1, keepdims=True) + 0x8000) // 0x10000


def _smooth(images):
    height, width = images.shape[-3:-1]
    if height < 3 or width < 3:
        return images
    x = tf.cast(images, tf.int32)
    middle = x[..., 1:-1, 1:-1, :]
    rows = x[..., :-2, :, :] + x[..., 1:-1, :, :] + x[..., 2:, :, :]
    total = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    # Rounding to nearest in integers: a thirteenth is never a half.
    smooth = (2 * (total + 4 * middle) + 13) // 26
    row, column = tf.range(height)[:, tf.newaxis], tf.range(width)
    border = (row == 0) | (row == height - 1)
    border |= (column == 0) | (column == width - 1)
    margin = [[0, 0]] * (x.shape.rank - 3) + [[1, 1], [1, 1], [0, 0]]
    return tf.where(border[..., tf.newaxis], x, tf.pad(smooth, margin))


def _blend(degenerate, images, factor):
    """Truncated `degenerate + factor * (image - degenerate)`."""
    # Pillow works in single precision, and rounds the product.
    start = tf.cast(degenerate, tf.float32)
    factor = tf.cast(factor, tf.float32) / fixed.ONE
    change = tf.cast(images, tf.float32) - start
    product = factor[..., tf.newaxis, tf.newaxis, tf.newaxis] * change
    value = affine.rounded(product) + start
    return tf.cast(tf.clip_by_value(value, 0.0, 255.0), tf.uint8)
