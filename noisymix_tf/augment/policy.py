"""AutoAugment, RandAugment and TrivialAugment of whole batches.

Each view of each image is a short row of image operations, all on 8-bit pixels
and equal to Pillow's, with the nearest pixel where geometry asks for one and
black outside, as in the published programs. Parameters are worked out on the
host with exact whole numbers before any division, and truncated as there.
"""

import dataclasses
import functools
import math
import pathlib
import typing

from noisymix_tf import rng
from noisymix_tf.augment import colors, fixed, geometry, ops
from noisymix_tf.augment.ops import Law
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_1, Options, Range, between, option

# Of the square of cutout: the published programs erase after the
# normalisation, where 0 is the mean.
_GREY = 128


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


class Space(typing.NamedTuple):
    """Laws of parameters; a magnitude is a share of the way through each."""

    laws: dict
    both: bool = False  # Whether enhancements go both ways from 1.

    def parameter(self, name, *where) -> float:
        """The parameter of an operation, before its sign; 0 without one."""
        return self.laws.get(name, Law()).at(*where)

    def both_ways(self, name, *where) -> tuple:
        """What an operation is given for the two signs, if it has them."""
        operation = OPERATIONS[NAMES.index(name)]
        parameter = self.parameter(name, *where) * operation.unit
        if self.both and name in ops.ENHANCEMENTS:
            return parameter, 2.0 - parameter
        return parameter, -parameter if operation.signed else parameter


def _laws(shear, degrees, least_bits, weakest, strongest, pixels):
    """Laws of the strongest parameters, by name.

    Posterization keeps `least_bits` of 8, enhancements go from the weakest of
    their factors to the strongest (1 changes nothing), and translations to a
    number of pixels, a function of the side.
    """
    whole = {"whole": math.floor}
    return {
        "rotate": Law(degrees, **whole),
        "solarize": Law(256, start=256, **ops.FALLS),
        "posterize": Law(8 - least_bits, start=8, **ops.FALLS),
        "translate_x": Law(lambda height, width: pixels(width), **whole),
        "translate_y": Law(lambda height, width: pixels(height), **whole),
        **dict.fromkeys(("shear_x", "shear_y"), Law(shear)),
        **dict.fromkeys(
            ops.ENHANCEMENTS, Law(strongest - weakest, start=weakest)
        ),
    }


# RandAugment's and TrivialAugment's strongest magnitude.
STRONGEST = 30
# The ranges of AutoAugment's Table 6 (arXiv:1805.09501): shear, degrees, bits,
# enhancements from and to, pixels, of which 150 are for images of 331.
# RandAugment takes the same ranges.
AUTO_AUGMENT = Space(_laws(0.3, 30, 4, 0.1, 1.9, lambda side: 150 / 331 * side))
# TrivialAugment's wide ranges (arXiv:2103.10158; automl/trivialaugment,
# aug_lib.py, "wide_standard").
WIDE = Space(_laws(0.99, 135, 2, 0.01, 2.0, lambda side: 32))
# RandAugment's: that of automl's programs (trivialaugment, aug_lib.py), and
# that of torchvision (transforms/autoaugment.py), where enhancements go both
# ways from 1, and what is solarized or posterized is rounded in another way.
SCALES = {
    "automl": AUTO_AUGMENT,
    "torchvision": Space(
        AUTO_AUGMENT.laws
        | {"solarize": Law(255, start=255, **ops.FALLS)}
        | {"posterize": Law(4, start=8, whole=round, falls=True)}
        | dict.fromkeys(ops.ENHANCEMENTS, Law(1.9 - 1.0, start=1)),
        both=True,
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


@dataclasses.dataclass(frozen=True)
class PolicyOptions(Options):
    """Policies: AutoAugment, RandAugment and TrivialAugment.

    A subclass has `draw(seed, batch, height, width)`, which returns operations,
    indices into `OPERATIONS`, int32 `[*batch, D]`, and fixed-point parameters.
    """

    PREFIX = "policy_"

    cutout: int = option(
        0,
        "Side in pixels of a grey square at a random place of every view of a "
        "policy, an even number; 0: none.",
        Range(lambda v: v >= 0 and v % 2 == 0, "an even number from 0"),
    )

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """uint8 views; see `views.made`."""
        step_seed, centre_seed = tf.unstack(rng.split(seed, 2, by_name=True))
        where = batch, *images.shape[1:3]
        drawn = part(self.draw(step_seed, *where))
        resample = geometry.nearest if dense else None
        views = ops.apply(images, *drawn, OPERATIONS, resample)
        if self.cutout:
            centres = part(draw_centres(centre_seed, *where))
            views = erase(views, centres, int(self.cutout))
        return tf.concat([images[:, tf.newaxis], views], axis=1)


@dataclasses.dataclass(frozen=True)
class AutoAugment(PolicyOptions):
    """One of the 25 sub-policies of a published policy, for each view."""

    policy: str = option("cifar10", "Its dataset.", choices=tuple(POLICIES))

    def draw(self, seed, batch, height, width) -> tuple:
        table = POLICIES[self.policy]

        def of_all(function):
            return [[function(*step) for step in row] for row in table]

        def parameters(name, share, magnitude):
            return AUTO_AUGMENT.both_ways(name, magnitude, 9, height, width)

        operations = of_all(lambda name, *_: NAMES.index(name))
        shares = fixed.constant(of_all(lambda name, share, _: share))
        draws = fixed.uniform(seed, [*batch, 2, 3])
        row = fixed.below(draws[..., 0, 0], len(table))
        operation = tf.gather(tf.constant(operations, tf.int32), row)
        done = draws[..., 1] < tf.gather(shares, row)
        operation = tf.where(done, operation, NAMES.index("identity"))
        return operation, _one_way(of_all(parameters), row, draws[..., 2])


@dataclasses.dataclass(frozen=True)
class RandAugmentOptions(PolicyOptions):
    """RandAugment."""

    PREFIX = "randaugment_"

    num_ops: int = option(2, "Operations of RandAugment in a row.", AT_LEAST_1)
    magnitude: float = option(
        9.0,
        "Magnitude of RandAugment's operations; 30 is AutoAugment's strongest.",
        between(0, STRONGEST),
    )
    scale: str = option(
        "automl",
        "What RandAugment's magnitudes mean: automl (enhancements from 0.1 to "
        "1.9) or torchvision (from 1 to 1.9, in half of the draws to 0.1; "
        "whole magnitudes).",
        choices=tuple(SCALES),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.scale == "torchvision" and self.magnitude % 1:
            raise UsageError(
                f"torchvision's scale has whole magnitudes only, got "
                f"magnitude={self.magnitude!r}; give one from 0 to {STRONGEST}."
            )

    def draw(self, seed, batch, height, width) -> tuple:
        space = SCALES[self.scale]
        parameters = [
            space.both_ways(name, self.magnitude, STRONGEST, height, width)
            for name in COMMON
        ]
        draws = fixed.uniform(seed, [*batch, self.num_ops, 2])
        operation = fixed.below(draws[..., 0], len(COMMON))
        return operation, _one_way(parameters, operation, draws[..., 1])


@dataclasses.dataclass(frozen=True)
class TrivialAugment(PolicyOptions):
    """One of fourteen operations at one of 31 magnitudes, wide ranges."""

    def draw(self, seed, batch, height, width) -> tuple:
        count = STRONGEST + 1
        parameters = [
            WIDE.both_ways(name, magnitude, STRONGEST, height, width)
            for name in COMMON
            for magnitude in range(count)
        ]
        draws = fixed.uniform(seed, [*batch, 1, 3])
        operation = fixed.below(draws[..., 0], len(COMMON))
        index = operation * count + fixed.below(draws[..., 1], count)
        return operation, _one_way(parameters, index, draws[..., 2])


def _one_way(parameters, index, draw):
    """Takes pairs of parameters; half of the draws take the second of each."""
    pairs = tf.gather(fixed.constant(parameters), index)
    return tf.where(draw < fixed.ONE // 2, pairs[..., 1], pairs[..., 0])


@serializable
def auto_augment_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with AutoAugment views of it.

    Arguments, views and errors are as for `augmix_views`, but pixels are uint8.
    Options are `policy`, which is `"cifar10"`, `"imagenet"` or `"svhn"`, and
    `cutout`, the side in pixels, an even number, of a grey square that is
    painted last; the paper takes 16 for CIFAR-10.

    Reference: Cubuk et al., arXiv:1805.09501. Magnitudes are ten equal steps
    through the ranges of its Table 6, where the authors' code for CIFAR-10
    goes nine tenths of the way, posterizes to 4 bits less and moves by at most
    9 pixels.
    """
    return made(AutoAugment, images, seed, shard, dense, **options)


for _policy in POLICIES:
    VIEWS.register(f"autoaugment_{_policy}", options=PolicyOptions)(
        functools.partial(auto_augment_views, policy=_policy)
    )


@VIEWS.register("randaugment", options=RandAugmentOptions)
@serializable
def rand_augment_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with RandAugment views; see `auto_augment_views`.

    A view is `num_ops` operations, drawn from fourteen with replacement, of one
    `magnitude`, 0 to 30, a share of AutoAugment's ranges; `RandAugmentOptions`
    tells what the `scale` changes in these. And `cutout`.

    >>> images = tf.zeros([2, 8, 8, 3], tf.uint8)
    >>> rand_augment_views(images, seed=[0, 1], num_ops=1, magnitude=5).shape
    TensorShape([2, 3, 8, 8, 3])

    Reference: Cubuk et al., arXiv:1909.13719. The scales are those of
    automl/trivialaugment (aug_lib.py) and of torchvision's RandAugment.
    """
    return made(RandAugmentOptions, images, seed, shard, dense, **options)


@VIEWS.register("trivialaugment", options=PolicyOptions)
@serializable
def trivial_augment_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with TrivialAugment views; see `auto_augment_views`.

    A view is one of fourteen operations at one of 31 magnitudes, both drawn
    uniformly, from wide ranges. Translations are up to 32 pixels whatever the
    size. And `cutout`.

    Reference: Müller and Hutter, arXiv:2103.10158, Algorithm 1.
    """
    return made(TrivialAugment, images, seed, shard, dense, **options)


def draw_centres(seed, batch, height, width) -> "tf.Tensor":
    """Row and column of each cutout, int32 `[*batch, 2]`."""
    draws = fixed.uniform(seed, [*batch, 2])
    rows = fixed.below(draws[..., 0], height)
    return tf.stack([rows, fixed.below(draws[..., 1], width)], axis=-1)


def erase(images, centres, size) -> "tf.Tensor":
    """Cutout: paints as much of a square grey as lies in the image.

    Of uint8 `[..., H, W, C]`, around a row and a column, int32 `[..., 2]`. The
    size is even (DeVries and Taylor, arXiv:1708.04552, and their published
    code).
    """
    half = size // 2

    def covered(length, middle):
        place = tf.range(length) - middle[..., tf.newaxis]
        return (place >= -half) & (place < half)

    rows = covered(images.shape[-3], centres[..., 0])
    columns = covered(images.shape[-2], centres[..., 1])
    inside = rows[..., tf.newaxis] & columns[..., tf.newaxis, :]
    return tf.where(inside[..., tf.newaxis], tf.cast(_GREY, tf.uint8), images)
