"""The operations of AugMix on one uint8 image, equal to Pillow's.

`OPERATIONS` lists the nine of the paper in the order of their indices in a
plan; `ALL_OPERATIONS` continues with the four that overlap with the common
corruptions.
"""

import typing

import tensorflow as tf

from noisymix_tf.augment import affine, enhance, tables


class Operation(typing.NamedTuple):
    """One operation, and the law of its parameter.

    It has either a `table` or an `image` function: a chain joins tables before
    it looks at pixels again. Calling it applies it to one image.

    Attributes:
        name: As in Pillow, with underscores.
        parameter: AugMix's law: function of the level (float64, 0.1 to 10), the
            height and the width of the image in pixels; returns the parameter,
            float64. None for operations that AugMix does not have.
        signed: Whether half of the draws negate the parameter.
        table: Function of a function that returns the histogram (called where
            it is needed only) and of the parameter; returns a uint8 table.
        image: Function of a uint8 image `[H, W, C]` and of the parameter;
            returns a uint8 image of the same shape.

    Example:

    >>> operation = named("rotate")
    >>> operation(tf.zeros([32, 32, 3], tf.uint8), 5).shape
    TensorShape([32, 32, 3])
    """

    name: str
    parameter: typing.Callable | None = None
    signed: bool = False
    table: typing.Callable | None = None
    image: typing.Callable | None = None

    def __call__(self, image, parameter=0):
        """Applies the operation to one uint8 image `[H, W, C]`."""
        if self.image:
            return self.image(image, parameter)
        table = self.table(lambda: tables.histogram(image), parameter)
        return tables.apply_table(image, table)


def named(name):
    """Returns the operation of that name."""
    return {each.name: each for each in ALL_OPERATIONS}[name]


def _no_parameter(level, height, width):
    return tf.zeros_like(level)


def _real(limit):
    """A real number: `limit` at level 10, in proportion below."""
    return lambda level, height, width: level * limit / 10


def _whole(limit):
    """A whole number, truncated, with `limit` out of reach at level 10."""
    return lambda level, height, width: tf.floor(level * limit / 10)


def _whole_below(start):
    """A whole number that falls from `start` towards 0 at level 10."""
    return lambda level, height, width: start - tf.floor(level * start / 10)


def _third_of_width(level, height, width):
    return tf.floor(level * (width / 3) / 10)


def _third_of_height(level, height, width):
    return tf.floor(level * (height / 3) / 10)


def _enhancement(level, height, width):
    return level * 1.8 / 10 + 0.1


OPERATIONS = (
    Operation(
        "autocontrast",
        _no_parameter,
        table=lambda counts, unused: tables.autocontrast_table(counts()),
    ),
    Operation(
        "equalize",
        _no_parameter,
        table=lambda counts, unused: tables.equalize_table(counts()),
    ),
    Operation(
        "posterize",
        _whole_below(4),
        table=lambda counts, bits: tables.posterize_table(bits),
    ),
    Operation("rotate", _whole(30), signed=True, image=affine.rotate),
    Operation(
        "solarize",
        _whole_below(256),
        table=lambda counts, threshold: tables.solarize_table(threshold),
    ),
    Operation("shear_x", _real(0.3), signed=True, image=affine.shear_x),
    Operation("shear_y", _real(0.3), signed=True, image=affine.shear_y),
    Operation(
        "translate_x", _third_of_width, signed=True, image=affine.translate_x
    ),
    Operation(
        "translate_y", _third_of_height, signed=True, image=affine.translate_y
    ),
)

ALL_OPERATIONS = (
    *OPERATIONS,
    Operation("color", _enhancement, image=enhance.color),
    Operation("contrast", _enhancement, image=enhance.contrast),
    Operation("brightness", _enhancement, image=enhance.brightness),
    Operation("sharpness", _enhancement, image=enhance.sharpness),
)
