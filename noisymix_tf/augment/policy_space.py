"""What the operations of policies are, and how strong a magnitude makes them.

The parameters are worked out on the host with exact whole numbers before any
division, and truncated as the published programs do.
"""

import dataclasses
import fractions
import math
import pathlib

from noisymix_tf.augment import colors, geometry, ops
from noisymix_tf.lazy import tf


def _nearest(operation):
    """An operation of geometry that takes the nearest pixel."""

    def image(pixels, parameter):
        maps = operation.place(parameter, *pixels.shape[:2])
        return geometry.nearest(pixels[tf.newaxis], maps[tf.newaxis])[0]

    return operation._replace(image=image)


_KNOWN = {each.name: each for each in ops.ALL_OPERATIONS}
for _name in ("rotate", "shear_x", "shear_y"):
    _KNOWN[_name] = _nearest(_KNOWN[_name])
_KNOWN["identity"] = ops.Operation("identity")
_KNOWN["invert"] = ops.Operation("invert", table=colors.invert)
NAMES = (
    *("identity", "autocontrast", "equalize", "rotate", "solarize", "color"),
    *("posterize", "contrast", "brightness", "sharpness", "shear_x", "shear_y"),
    *("translate_x", "translate_y", "invert"),
)
OPERATIONS = tuple(_KNOWN[name] for name in NAMES)
# RandAugment's and TrivialAugment's fourteen (section 3 of arXiv:1909.13719,
# Table 1 of arXiv:2103.10158); AutoAugment has invert besides.
COMMON = NAMES[:14]


@dataclasses.dataclass(frozen=True)
class Space:
    """The strongest parameters; a magnitude is a share of the way there.

    Posterization keeps `least_bits` of 8, enhancements go from the first of
    their factors to the second (1 changes nothing), and translations to a
    number of pixels or to a share of the side.
    """

    shear: float
    degrees: int
    least_bits: int
    enhancement: tuple[float, float]
    pixels: int | None = None
    share: float | None = None

    def parameter(self, name, magnitude, strongest, height, width) -> float:
        """The parameter of an operation, before its sign; 0 without one."""

        def scaled(limit):
            return magnitude * limit / strongest

        if name.startswith("shear"):
            return scaled(self.shear)
        if name.startswith("translate"):
            side = width if name == "translate_x" else height
            limit = self.pixels if self.share is None else self.share * side
            return float(math.floor(scaled(limit)))
        if name == "rotate":
            return float(math.floor(scaled(self.degrees)))
        if name == "solarize":
            return 256.0 - math.floor(scaled(256))
        if name == "posterize":
            return 8.0 - math.floor(scaled(8 - self.least_bits))
        if name in ops.ENHANCEMENTS:
            low, high = self.enhancement
            return low + scaled(high - low)
        return 0.0

    def both_ways(self, name, *where) -> tuple:
        """What an operation is given for the two signs, if it has them."""
        operation = OPERATIONS[NAMES.index(name)]
        parameter = self.parameter(name, *where) * operation.unit
        return parameter, -parameter if operation.signed else parameter


# RandAugment's and TrivialAugment's strongest magnitude.
STRONGEST = 30
# The ranges of AutoAugment's Table 6 (arXiv:1805.09501), whose translations of
# 150 pixels are for images of 331. RandAugment takes the same ranges.
AUTO_AUGMENT = Space(
    shear=0.3, degrees=30, least_bits=4, enhancement=(0.1, 1.9), share=150 / 331
)
# TrivialAugment's wide ranges (arXiv:2103.10158; automl/trivialaugment,
# aug_lib.py, "wide_standard").
WIDE = Space(
    shear=0.99, degrees=135, least_bits=2, enhancement=(0.01, 2.0), pixels=32
)


class _Torchvision(Space):
    """What torchvision's RandAugment (transforms/autoaugment.py) does else.

    Enhancements go both ways from 1, and what is solarized or posterized is
    rounded in another way.
    """

    def parameter(self, name, magnitude, strongest, height, width) -> float:
        share = fractions.Fraction(magnitude) / strongest
        if name == "solarize":
            return float(math.ceil(255 * (1 - share)))
        if name == "posterize":
            return 8.0 - round((8 - self.least_bits) * share)
        return super().parameter(name, magnitude, strongest, height, width)

    def both_ways(self, name, *where) -> tuple:
        forth, back = super().both_ways(name, *where)
        return forth, 2.0 - forth if name in ops.ENHANCEMENTS else back


# RandAugment's: that of automl's programs (trivialaugment, aug_lib.py), and
# that of torchvision.
SCALES = {
    "automl": AUTO_AUGMENT,
    "torchvision": _Torchvision(
        **dataclasses.asdict(AUTO_AUGMENT) | {"enhancement": (1.0, 1.9)}
    ),
}


def _policies():
    found, file = {}, pathlib.Path(__file__).with_name("policies.txt")
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            dataset, *words = line.split()
            numbers = map(float, words[1::3]), map(int, words[2::3])
            found.setdefault(dataset, []).append([*zip(words[::3], *numbers)])
    return found


# `{dataset: sub-policies}`, each of two `(operation, probability, magnitude)`.
POLICIES = _policies()
