"""AutoAugment, RandAugment and TrivialAugment of whole batches.

Each view of each image is a short row of image operations, all on 8-bit pixels
and equal to Pillow's, with the nearest pixel where geometry asks for one and
black outside, as in the published programs.
"""

import dataclasses
import functools

from noisymix_tf import rng
from noisymix_tf.augment import fixed, geometry, ops
from noisymix_tf.augment.policy_space import (
    AUTO_AUGMENT,
    COMMON,
    NAMES,
    OPERATIONS,
    POLICIES,
    SCALES,
    STRONGEST,
    WIDE,
)
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_1, Options, Range, between, option

# Of the square of cutout: the published programs erase after the
# normalisation, where 0 is the mean.
_GREY = 128


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
    `magnitude`, 0 to 30. With the `scale` `"automl"` it is a share of
    AutoAugment's ranges, of which enhancements go from 0.1 (weak colours) to
    1.9; with `"torchvision"` it is whole, and they go from 1 to 1.9 or, in half
    of the draws, to 0.1. And `cutout`.

    Example:

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
