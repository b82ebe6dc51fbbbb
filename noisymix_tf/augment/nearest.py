"""Rotation and shear of one image by the nearest pixel, as Pillow does them.

The published policies resample in this way, AugMix between four pixels (see
`affine.py`). Pillow steps through the input in fixed point, with 16 bits after
the point; a pixel whose centre lies outside the input is black.
"""

import numpy as np
import tensorflow as tf

from noisymix_tf.augment import affine

_ONE = 1 << 16


def rotate(image, degrees):
    """Rotates counter-clockwise about the centre; black outside.

    Args:
        image: uint8 `[H, W, C]`, static shape.
        degrees: Whole number from -135 to 135, scalar of any type.

    Returns:
        uint8 `[H, W, C]`.
    """
    height, width, _ = image.shape
    coefficients = tf.gather(
        tf.constant(_fixed_rotations(height, width)),
        tf.cast(degrees, tf.int32) + affine.MAX_DEGREES,
    )
    return _transform(image, *tf.unstack(coefficients))


def shear_x(image, factor):
    """Moves each row by `factor` times its distance from the top edge.

    Args:
        image: uint8 `[H, W, C]`, static shape.
        factor: Scalar; a positive one moves the content to the left.

    Returns:
        uint8 `[H, W, C]`; black outside.
    """
    factor = tf.cast(factor, tf.float64)
    start = _fixed(0.5 + factor * 0.5)
    return _transform(image, _ONE, _fixed(factor), start, 0, _ONE, _ONE // 2)


def shear_y(image, factor):
    """Moves each column by `factor` times its distance from the left edge.

    Args:
        image: uint8 `[H, W, C]`, static shape.
        factor: Scalar; a positive one moves the content up.

    Returns:
        uint8 `[H, W, C]`; black outside.
    """
    factor = tf.cast(factor, tf.float64)
    start = _fixed(0.5 + factor * 0.5)
    return _transform(image, _ONE, 0, _ONE // 2, _fixed(factor), _ONE, start)


def _fixed(value):
    # Products by powers of two are exact, whatever a compiler joins them with.
    return tf.cast(tf.floor(value * _ONE + 0.5), tf.int32)


def _fixed_rotations(height, width):
    """int32 `[271, 6]`: maps from output to input in fixed point.

    The constants take the centre of the first pixel to its place in the input.
    """
    a, b, c, d, e, f = affine.rotation_matrices(height, width).T
    c, f = c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5
    values = np.stack([a, b, c, d, e, f], axis=1)
    return np.floor(values * _ONE + 0.5).astype(np.int32)


def _transform(image, a, b, c, d, e, f):
    """Reads the pixel at `a x + b y + c` and `d x + e y + f`, fixed point."""
    height, width, _ = image.shape
    x, y = tf.range(width)[tf.newaxis], tf.range(height)[:, tf.newaxis]
    column = (x * a + y * b + c) // _ONE
    row = (x * d + y * e + f) // _ONE
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return affine.reader(image, inside)(row, column)
