"""The operations of AugMix on one uint8 image, equal to Pillow's.

`OPERATIONS` lists the nine of the paper in the order of their indices in a
plan; `ALL_OPERATIONS` continues with the four that overlap with the common
corruptions.
"""

import typing

from noisymix_tf.augment import affine, enhance, fixed, places, tables


class Law(typing.NamedTuple):
    """AugMix's law of a parameter: `start` plus a tenth of `level * reach`."""

    # What level 10 adds: a number, or a function of the height and the width.
    reach: float | typing.Callable = 0
    start: float = 0
    whole: bool = False  # Whether what is added is truncated.
    falls: bool = False  # Whether it is taken away instead.

    def __call__(self, draws, severity, height, width):
        """Fixed-point parameters at levels from 0.1 to `severity`."""
        reach = self.reach
        reach = (reach(height, width) if callable(reach) else reach) / 10
        added = fixed.number(0.1 * reach)
        added += fixed.times(draws, (severity - 0.1) * reach)
        added = fixed.floor(added) if self.whole else added
        start = fixed.number(self.start)
        return start - added if self.falls else start + added


class Operation(typing.NamedTuple):
    """One operation, and the law of its parameter.

    It has a `table`, or a `place`, or an `image` function; one without any
    does nothing. `steps.py` applies them.

    Attributes:
        table: Function of a function that returns the histogram `[..., C, 256]`
            (called where it is needed only) and of the parameter, fixed-point
            `[...]`; returns a uint8 table `[..., C or 1, 256]`.
        place: Function of the parameter, fixed-point `[...]`, and of the height
            and the width; returns a map, see `affine.py`.
        image: Function of uint8 images `[..., H, W, C]` and of the parameter,
            fixed-point `[...]`; returns uint8 images of the same shape. With
            `place`: of one image; the same pixels, faster on a CPU.
    """

    name: str  # As in Pillow, with underscores.
    law: Law = Law()
    signed: bool = False  # Whether half of the draws negate the parameter.
    unit: int = 1  # By what it is multiplied: small ones keep all bits.
    table: typing.Callable | None = None
    place: typing.Callable | None = None
    image: typing.Callable | None = None


def named(name):
    """Returns the operation of that name."""
    return {each.name: each for each in ALL_OPERATIONS}[name]


def _moves(name, law, unit=1):
    def image(pixels, parameter):
        return getattr(affine, name)(pixels, fixed.real(parameter) / unit)

    place = places.MAPS[name]
    return Operation(name, law, True, unit, place=place, image=image)


OPERATIONS = (
    Operation(
        "autocontrast",
        table=lambda counts, unused: tables.autocontrast_table(counts()),
    ),
    Operation(
        "equalize", table=lambda counts, unused: tables.equalize_table(counts())
    ),
    Operation(
        "posterize",
        Law(4, start=4, whole=True, falls=True),
        table=lambda counts, bits: tables.posterize_table(bits),
    ),
    _moves("rotate", Law(30, whole=True)),
    Operation(
        "solarize",
        Law(256, start=256, whole=True, falls=True),
        table=lambda counts, threshold: tables.solarize_table(threshold),
    ),
    _moves("shear_x", Law(0.3 * places.SHEAR_UNIT), places.SHEAR_UNIT),
    _moves("shear_y", Law(0.3 * places.SHEAR_UNIT), places.SHEAR_UNIT),
    _moves("translate_x", Law(lambda height, width: width / 3, whole=True)),
    _moves("translate_y", Law(lambda height, width: height / 3, whole=True)),
)

_ENHANCEMENT = Law(1.8, start=0.1)
ALL_OPERATIONS = (
    *OPERATIONS,
    Operation("color", _ENHANCEMENT, image=enhance.color),
    Operation("contrast", _ENHANCEMENT, image=enhance.contrast),
    Operation("brightness", _ENHANCEMENT, image=enhance.brightness),
    Operation("sharpness", _ENHANCEMENT, image=enhance.sharpness),
)
