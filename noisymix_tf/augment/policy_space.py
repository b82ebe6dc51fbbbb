"""What the operations of policies are, and how strong a magnitude makes them.

The parameters are worked out on the host with exact whole numbers before any
division, and truncated as the published programs do.
"""

import dataclasses
import math

from noisymix_tf.augment import nearest, ops, tables

OPERATIONS = (
    ops.Operation("identity"),
    ops.named("autocontrast"),
    ops.named("equalize"),
    ops.named("rotate")._replace(image=nearest.rotate),
    ops.named("solarize"),
    ops.named("color"),
    ops.named("posterize"),
    ops.named("contrast"),
    ops.named("brightness"),
    ops.named("sharpness"),
    ops.named("shear_x")._replace(image=nearest.shear_x),
    ops.named("shear_y")._replace(image=nearest.shear_y),
    ops.named("translate_x"),
    ops.named("translate_y"),
    ops.Operation("invert", table=lambda counts, unused: tables.invert_table()),
)
NAMES = tuple(each.name for each in OPERATIONS)
# RandAugment's and TrivialAugment's fourteen (section 3 of arXiv:1909.13719,
# Table 1 of arXiv:2103.10158); AutoAugment has invert besides.
COMMON = NAMES[:14]
_ENHANCEMENTS = ("color", "contrast", "brightness", "sharpness")


@dataclasses.dataclass(frozen=True)
class Space:
    """The strongest parameters; a magnitude is a share of the way there.

    Attributes:
        shear: Greatest factor of a shear.
        degrees: Greatest angle of a rotation.
        least_bits: Bits that the strongest posterization keeps, of 8.
        enhancement: Factors of color, contrast, brightness and sharpness at
            the weakest and at the strongest; 1 changes nothing.
        pixels: Greatest translation in pixels, or None.
        share: Greatest translation as a share of the width or the height.
    """

    shear: float
    degrees: int
    least_bits: int
    enhancement: tuple[float, float]
    pixels: int | None = None
    share: float | None = None

    def parameter(self, name, magnitude, strongest, height, width):
        """The parameter of an operation, before its sign.

        Args:
            name: One of `NAMES`.
            magnitude: Number from 0 to `strongest`.
            strongest: The magnitude of the strongest parameter.
            height: Height of the images in pixels.
            width: Width of the images in pixels.

        Returns:
            float; 0 for operations without a parameter.

        Example:

        >>> AUTO_AUGMENT.parameter("rotate", 3, 9, 32, 32)
        10.0
        """

        def scaled(limit):
            return magnitude * limit / strongest

        if name in ("shear_x", "shear_y"):
            return scaled(self.shear)
        if name in ("translate_x", "translate_y"):
            side = width if name == "translate_x" else height
            limit = self.pixels if self.share is None else self.share * side
            return float(math.floor(scaled(limit)))
        if name == "rotate":
            return float(math.floor(scaled(self.degrees)))
        if name == "solarize":
            return 256.0 - math.floor(scaled(256))
        if name == "posterize":
            return 8.0 - math.floor(scaled(8 - self.least_bits))
        if name in _ENHANCEMENTS:
            low, high = self.enhancement
            return low + scaled(high - low)
        return 0.0


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
