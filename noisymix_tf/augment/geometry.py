"""Rotation, shear and translation, as Pillow does them.

Pillow maps the centre of every output pixel into the input, in double
precision. A centre outside the input gives black; one inside is interpolated
between its four neighbours, those beyond the border being repeated from it,
and the result is truncated. A library that blends with the fill colour
instead differs along the border.

There are two forms. `rotate`, `shear` and `translate` take one image, uint8
`[H, W, C]` of static shape, and work in double precision: they suit CPUs. The
other form is for whole batches and in whole numbers only, one gather for each
image, so that accelerators give what the host gives. Its maps, fixed-point
`[..., 6]`, say which place of the input a pixel of the output shows: the centre
of the one at column x and row y is at `a x + b y + c`, `d x + e y + f`.
"""

import math
from functools import partial

import numpy as np

from noisymix_tf.augment import fixed
from noisymix_tf.augment.fixed import rounded
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

# Bounds the angles of the tables: no operation of a policy turns by more.
_MAX_DEGREES = 135
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


def rotate(image, degrees) -> "tf.Tensor":
    """Rotates counter-clockwise about the centre, by -135 to 135 degrees."""
    degrees = tf.cast(degrees, tf.int32)
    # A quarter of AugMix's rotations at severity 1 turn by nothing.
    return tf.cond(degrees == 0, lambda: image, lambda: _turned(image, degrees))


def _turned(image, degrees):
    height, width, _ = image.shape
    matrices = tf.constant(_rotation_matrices(height, width))
    matrix = tf.gather(matrices, degrees + _MAX_DEGREES)
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


def shear(image, factor, axis) -> "tf.Tensor":
    """Moves rows left (axis 1) by `factor`, float64, times their distance from
    the top; or columns up (axis 0) by as much of that from the left.
    """
    height, width, _ = image.shape
    x, y = _centres(height, width)
    along, across = (x, y) if axis == 1 else (y, x)
    place = along + rounded(factor * across)
    first, last, weight, inside = _neighbours(place, image.shape[axis])
    at, row = _reader(image, inside), tf.range(height)[:, tf.newaxis]
    if axis == 1:
        before, behind = at(row, first), at(row, last)
    else:
        column = tf.range(width)
        before, behind = at(first, column), at(last, column)
    return tf.cast(_lerp(before, behind, weight), tf.uint8)


def translate(image, pixels, axis) -> "tf.Tensor":
    """Moves the content left (axis 1) or up (axis 0) by whole pixels."""
    # Not `tf.slice`: XLA must know its start when it compiles.
    pixels = tf.cast(pixels, tf.int32)
    size = image.shape[axis]
    source = tf.range(size) + pixels
    inside = tf.cast((source >= 0) & (source < size), image.dtype)
    inside = tf.reshape(inside, [-1, 1] if axis == 1 else [-1, 1, 1])
    return tf.roll(image, -pixels, axis) * inside


def _rotation_matrices(height, width):
    """float64 `[271, 6]`: maps from output to input, one for each angle."""
    x, y = width / 2, height / 2
    rows = []
    for degrees in range(-_MAX_DEGREES, _MAX_DEGREES + 1):
        angle = -math.radians(degrees % 360.0)
        # As Pillow rounds them.
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
    """The two pixels along an axis whose centres enclose a position.

    Returns the lower index, the upper one, the weight of the upper, and whether
    the position is inside of an axis of so many pixels.
    """
    inside = (position >= 0.0) & (position < size)
    lower = tf.floor(position - 0.5)
    weight = position - 0.5 - lower
    lower = tf.cast(lower, tf.int32)
    upper = tf.minimum(lower + 1, size - 1)
    return tf.maximum(lower, 0), upper, weight, inside


def _reader(image, inside):
    """A function that reads pixels `[H, W, C]` at rows and columns."""
    height, width, channels = image.shape
    pixels = tf.reshape(image, [height * width, channels])
    # Outside it reads an extra black pixel. Under XLA this is several times
    # faster than a `tf.where` on what was read.
    pixels = tf.pad(pixels, [[0, 1], [0, 0]])

    def read(row, column):
        index = tf.where(inside, row * width + column, height * width)
        return tf.gather(pixels, index)

    return read


def _lerp(a, b, weight):
    """`[H, W, C]` values between `a` and `b`; `weight` is `[H, W]`."""
    a, b = tf.cast(a, weight.dtype), tf.cast(b, weight.dtype)
    return a + rounded((b - a) * weight[..., tf.newaxis])


def _rotation(degrees, height, width):
    if max(height, width) > _LONGEST_SIDE:
        raise UsageError(
            f"Images of {height} x {width} pixels cannot be rotated here: give "
            f"at most {_LONGEST_SIDE} a side."
        )
    matrices = _rotation_matrices(height, width)
    a, b, _, d, e, _ = matrices.T
    matrices[:, 2] += a * 0.5 + b * 0.5
    matrices[:, 5] += d * 0.5 + e * 0.5
    maps = np.rint(matrices * fixed.ONE).astype(np.int64)
    index = fixed.shift(degrees, fixed.BITS) + _MAX_DEGREES
    return tf.gather(tf.constant(maps), index)


def _sheared(place, offset, factor, *_):
    factor = fixed.shift(factor, _SHEAR_BITS)
    return _changed(**{place: factor, offset: fixed.shift(factor, 1)})


def _changed(**added):
    """The identity with something added at some of the six places."""
    nothing = tf.zeros_like(next(iter(added.values())))
    added = tf.stack([added.get(name, nothing) for name in "abcdef"], axis=-1)
    return added + tf.constant(IDENTITY, tf.int64)


# Functions of an image and a float64 parameter; and of fixed-point parameters
# `[...]`, in which factors of shears are times `SHEAR_UNIT`, a height and a
# width, to maps.
MOVES = {
    "rotate": (rotate, _rotation),
    "shear_x": (partial(shear, axis=1), partial(_sheared, "b", "c")),
    "shear_y": (partial(shear, axis=0), partial(_sheared, "d", "f")),
    "translate_x": (partial(translate, axis=1), lambda c, *_: _changed(c=c)),
    "translate_y": (partial(translate, axis=0), lambda f, *_: _changed(f=f)),
}


def nearest(images, maps) -> "tf.Tensor":
    """Takes the nearest pixel, as Pillow does; black outside.

    Images are uint8 `[N, H, W, C]`, static but for N, and maps `[N, 6]`.
    """
    _, height, width, _ = images.shape
    coarser = fixed.BITS - _NEAREST_BITS
    maps = fixed.shift(maps + (1 << (coarser - 1)), coarser)
    column, row = (
        fixed.shift(place, _NEAREST_BITS)
        for place in _places(tf.cast(maps, tf.int32), height, width)
    )
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return _read(images, row, column, inside)


def bilinear(images, maps) -> "tf.Tensor":
    """Interpolates between four pixels; arguments are those of `nearest`.

    Pillow rounds to double precision, this function to 2**-44 of a pixel. That
    is seen only where the exact value is a whole number, or all but one.
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
    high, low = fixed.parts(change, _WEIGHT_BITS)
    y_high, y_low = fixed.parts(y_weight, _WEIGHT_BITS)
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
    lower, weight = fixed.parts(place, _PLACE_BITS)
    return tf.cast(lower, tf.int32), weight[..., tf.newaxis]


def _mixed(before, behind, weight):
    return before * (1 << _PLACE_BITS) + (behind - before) * weight


def _read(images, row, column, inside):
    """Pixels `[N, H', W', C]` at rows and columns; zeros where not inside."""
    _, height, width, channels = images.shape
    row = tf.clip_by_value(row, 0, height - 1)
    column = tf.clip_by_value(column, 0, width - 1)
    first = tf.range(tf.shape(images)[0])[:, tf.newaxis, tf.newaxis]
    index = (first * height + row) * width + column
    pixels = tf.gather(tf.reshape(images, [-1, channels]), index)
    return tf.where(inside[..., tf.newaxis], pixels, 0)
