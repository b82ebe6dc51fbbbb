"""Rotation, shear and translation of one image, as Pillow does them.

Pillow maps the centre of every output pixel into the input, in double
precision. A centre outside the input gives black; one inside is interpolated
between its four neighbours, those beyond the border being repeated from it,
and the result is truncated. A library that blends with the fill colour
instead differs along the border.
"""

import math

import numpy as np

from noisymix_tf.lazy import tf

# Bounds the angles of the tables: no operation of a policy turns by more.
MAX_DEGREES = 135


def rotate(image, degrees):
    """Rotates counter-clockwise about the centre; bilinear, black outside.

    As all functions here it takes uint8 `[H, W, C]` of static shape, and
    returns such; `degrees` are whole, from -135 to 135, a scalar of any type.
    """
    degrees = tf.cast(degrees, tf.int32)
    # A quarter of AugMix's rotations at severity 1 turn by nothing.
    return tf.cond(degrees == 0, lambda: image, lambda: _rotate(image, degrees))


def _rotate(image, degrees):
    height, width, _ = image.shape
    matrices = tf.constant(rotation_matrices(height, width))
    matrix = tf.gather(matrices, degrees + MAX_DEGREES)
    a, b, c, d, e, f = tf.unstack(matrix)
    x, y = _centres(height, width)
    left, right, x_weight, x_inside = _neighbours(
        rounded(a * x) + rounded(b * y) + c, width
    )
    upper, lower, y_weight, y_inside = _neighbours(
        rounded(d * x) + rounded(e * y) + f, height
    )
    at = _reader(image, x_inside & y_inside)
    top = _lerp(at(upper, left), at(upper, right), x_weight)
    bottom = _lerp(at(lower, left), at(lower, right), x_weight)
    return tf.cast(_lerp(top, bottom, y_weight), tf.uint8)


def shear_x(image, factor):
    """Moves each row left by `factor` times its distance from the top."""
    return _shear(image, factor, axis=1)


def shear_y(image, factor):
    """Moves each column up by `factor` times its distance from the left."""
    return _shear(image, factor, axis=0)


def _shear(image, factor, axis):
    height, width, _ = image.shape
    x, y = _centres(height, width)
    along, across = (x, y) if axis == 1 else (y, x)
    # A Python number goes through float32 where it is cast.
    factor = tf.convert_to_tensor(factor, dtype_hint=tf.float64)
    place = along + rounded(tf.cast(factor, tf.float64) * across)
    first, last, weight, inside = _neighbours(place, image.shape[axis])
    at, row = _reader(image, inside), tf.range(height)[:, tf.newaxis]
    if axis == 1:
        before, behind = at(row, first), at(row, last)
    else:
        column = tf.range(width)
        before, behind = at(first, column), at(last, column)
    return tf.cast(_lerp(before, behind, weight), tf.uint8)


def translate_x(image, pixels):
    """Moves the content to the left by whole `pixels`; black comes in."""
    return _translate(image, pixels, axis=1)


def translate_y(image, pixels):
    """Moves the content up by whole `pixels`; black comes in."""
    return _translate(image, pixels, axis=0)


def _translate(image, pixels, axis):
    # Not `tf.slice`: XLA must know its start when it compiles.
    pixels = tf.cast(pixels, tf.int32)
    size = image.shape[axis]
    source = tf.range(size) + pixels
    inside = tf.cast((source >= 0) & (source < size), image.dtype)
    inside = tf.reshape(inside, [-1, 1] if axis == 1 else [-1, 1, 1])
    return tf.roll(image, -pixels, axis) * inside


def rotation_matrices(height, width):
    """float64 `[271, 6]`: maps from output to input, one for each angle.

    Computed on the host, and rounded where Pillow rounds.
    """
    x, y = width / 2, height / 2
    rows = []
    for degrees in range(-MAX_DEGREES, MAX_DEGREES + 1):
        angle = -math.radians(degrees % 360.0)
        cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
        rows.append([cos, sin, cos * -x + sin * -y + x])
        rows[-1] += [-sin, cos, -sin * -x + cos * -y + y]
    return np.array(rows)


def _centres(height, width):
    """Centres of the pixels: `x` of shape `[1, W]` and `y` `[H, 1]`."""
    x = tf.range(width, dtype=tf.float64)[tf.newaxis] + 0.5
    y = tf.range(height, dtype=tf.float64)[:, tf.newaxis] + 0.5
    return x, y


def _neighbours(position, size):
    """The two pixels along an axis whose centres enclose a position `[H, W]`.

    Returns the lower index, the upper one, the weight of the upper, and whether
    the position is inside of an axis of so many pixels; all `[H, W]`.
    """
    inside = (position >= 0.0) & (position < size)
    lower = tf.floor(position - 0.5)
    weight = position - 0.5 - lower
    lower = tf.cast(lower, tf.int32)
    upper = tf.minimum(lower + 1, size - 1)
    return tf.maximum(lower, 0), upper, weight, inside


def _reader(image, inside):
    """Returns a function that reads pixels `[H, W, C]` at rows and columns.

    Where not `inside` it reads an extra black pixel. Under XLA this is several
    times faster than a `tf.where` on what was read.
    """
    height, width, channels = image.shape
    pixels = tf.reshape(image, [height * width, channels])
    pixels = tf.pad(pixels, [[0, 1], [0, 0]])

    def read(row, column):
        index = tf.where(inside, row * width + column, height * width)
        return tf.gather(pixels, index)

    return read


def _lerp(a, b, weight):
    """`[H, W, C]` values between `a` and `b`; `weight` is `[H, W]`."""
    a, b = tf.cast(a, weight.dtype), tf.cast(b, weight.dtype)
    return a + rounded((b - a) * weight[..., tf.newaxis])


def rounded(product):
    """Keeps a compiler from fusing a product with a sum, rounding once only.

    Pillow rounds both. Where the exact sum is a whole number, the difference
    decides what is truncated. No product here is anywhere near the bound.
    """
    return tf.maximum(product, -1e30)
