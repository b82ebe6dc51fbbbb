"""Rotation, shear and translation of whole batches, in whole numbers.

A map says which place of the input a pixel of the output shows: the centre of
the one at column x and row y is at `a x + b y + c`, `d x + e y + f`. Maps are
fixed-point (see `fixed.py`), `[..., 6]`, a to f. Everything is whole numbers,
one gather for each image, so that accelerators give what the host gives.
"""

import numpy as np

from noisymix_tf.augment import affine, fixed
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

_HALF = fixed.ONE // 2
IDENTITY = (fixed.ONE, 0, _HALF, 0, fixed.ONE, _HALF)
_SHEAR_BITS = 8
SHEAR_UNIT = 1 << _SHEAR_BITS
# Bits after the point of a place between pixels. A difference of two pixels
# times a weight of so many has room in 64 bits.
_PLACE_BITS = 44
_WEIGHT_BITS = _PLACE_BITS // 2
# Pillow's, where it takes the nearest pixel.
_NEAREST_BITS = 16
# Beyond it, corners that are turned would have no room in 64 bits.
_LONGEST_SIDE = 1600


def _rotate(degrees, height, width):
    if max(height, width) > _LONGEST_SIDE:
        raise UsageError(
            f"Images of {height} x {width} pixels cannot be rotated here: give "
            f"at most {_LONGEST_SIDE} a side."
        )
    matrices = affine.rotation_matrices(height, width)
    a, b, _, d, e, _ = matrices.T
    matrices[:, 2] += a * 0.5 + b * 0.5
    matrices[:, 5] += d * 0.5 + e * 0.5
    maps = np.rint(matrices * fixed.ONE).astype(np.int64)
    index = fixed.shift(degrees, fixed.BITS) + affine.MAX_DEGREES
    return tf.gather(tf.constant(maps), index)


def _shear(slope, offset):
    def place(factor, height, width):
        factor = fixed.shift(factor, _SHEAR_BITS)
        return _changed({slope: factor, offset: fixed.shift(factor, 1)})

    return place


def _changed(added):
    """The identity with something added at some of the six places."""
    nothing = tf.zeros_like(next(iter(added.values())))
    added = tf.stack([added.get(name, nothing) for name in "abcdef"], axis=-1)
    return added + tf.constant(IDENTITY, tf.int64)


# The maps of the functions of `affine.py`, for fixed-point parameters `[...]`,
# a height and a width; the factors of shears are times `SHEAR_UNIT`.
MAPS = {
    "rotate": _rotate,
    "shear_x": _shear("b", "c"),
    "shear_y": _shear("d", "f"),
    "translate_x": lambda pixels, height, width: _changed({"c": pixels}),
    "translate_y": lambda pixels, height, width: _changed({"f": pixels}),
}


def nearest(images, maps):
    """Takes the nearest pixel, as Pillow does; black outside.

    Images are uint8 `[N, H, W, C]`, static but for N, and maps `[N, 6]`.
    """
    _, height, width, _ = images.shape
    coarser = fixed.BITS - _NEAREST_BITS
    maps = fixed.shift(maps + (1 << (coarser - 1)), coarser)
    column, row = _places(tf.cast(maps, tf.int32), height, width)
    column = fixed.shift(column, _NEAREST_BITS)
    row = fixed.shift(row, _NEAREST_BITS)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return _read(images, row, column, inside)


def bilinear(images, maps):
    """Interpolates between four pixels, as Pillow does; see `affine.py`.

    Pillow rounds to double precision, this function to 2**-44 of a pixel. That
    is seen only where the exact value is a whole number, or all but one.
    Arguments are those of `nearest`.
    """
    _, height, width, _ = images.shape
    finer = fixed.BITS - _PLACE_BITS
    column, row = (
        fixed.shift(place + (1 << (finer - 1)), finer)
        for place in _places(maps, height, width)
    )
    inside = (column >= 0) & (column < width << _PLACE_BITS)
    inside &= (row >= 0) & (row < height << _PLACE_BITS)
    left, x_weight = _lower(column)
    upper, y_weight = _lower(row)
    # Every pixel with its neighbours to the right and below, from one before
    # the border, over which pixels are repeated.
    wide = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    upper_rows = tf.concat([wide[:, :-1, :-1], wide[:, :-1, 1:]], axis=-1)
    lower_rows = tf.concat([wide[:, 1:, :-1], wide[:, 1:, 1:]], axis=-1)
    corners = tf.concat([upper_rows, lower_rows], axis=-1)
    corners = _read(corners, upper + 1, left + 1, inside)
    corners = tf.split(tf.cast(corners, tf.int64), 4, axis=-1)
    top = _mixed(*corners[:2], x_weight)
    change = _mixed(*corners[2:], x_weight) - top
    # The product of two numbers of 53 and 44 bits, in parts that have room.
    high, low = _parts(change)
    y_high, y_low = _parts(y_weight)
    rest = high * y_low + low * y_high + fixed.shift(low * y_low, _WEIGHT_BITS)
    value = top + high * y_high + fixed.shift(rest, _WEIGHT_BITS)
    return tf.cast(fixed.shift(value, _PLACE_BITS), tf.uint8)


def _places(maps, height, width):
    """Column and row in the input, `[N, H, W]`, in the type of the maps."""
    a, b, c, d, e, f = tf.unstack(maps[:, tf.newaxis, tf.newaxis], axis=-1)
    x = tf.range(width, dtype=maps.dtype)
    y = tf.range(height, dtype=maps.dtype)[:, tf.newaxis]
    return a * x + b * y + c, d * x + e * y + f


def _lower(place):
    """The pixel before a place, int32, and the weight of the one behind it."""
    place -= 1 << (_PLACE_BITS - 1)
    lower = tf.cast(fixed.shift(place, _PLACE_BITS), tf.int32)
    weight = place & ((1 << _PLACE_BITS) - 1)
    return lower, weight[..., tf.newaxis]


def _mixed(before, behind, weight):
    return before * (1 << _PLACE_BITS) + (behind - before) * weight


def _parts(values):
    low = values & ((1 << _WEIGHT_BITS) - 1)
    return fixed.shift(values, _WEIGHT_BITS), low


def _read(images, row, column, inside):
    """Pixels `[N, H', W', C]` at rows and columns; zeros where not inside."""
    _, height, width, channels = images.shape
    row = tf.clip_by_value(row, 0, height - 1)
    column = tf.clip_by_value(column, 0, width - 1)
    first = tf.range(tf.shape(images)[0])[:, tf.newaxis, tf.newaxis]
    index = (first * height + row) * width + column
    pixels = tf.gather(tf.reshape(images, [-1, channels]), index)
    return tf.where(inside[..., tf.newaxis], pixels, 0)
