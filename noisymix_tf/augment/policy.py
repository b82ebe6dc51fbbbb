"""AutoAugment, RandAugment and TrivialAugment of whole batches.

Each view of each image is a short row of image operations, all on 8-bit pixels
and equal to Pillow's, with the nearest pixel where geometry asks for one and
black outside, as in the published programs.
"""

import dataclasses
import functools

from noisymix_tf import rng
from noisymix_tf.augment import (
    arguments,
    places,
    policy_space,
    policy_steps,
    steps,
)
from noisymix_tf.augment import cutout as cutouts
from noisymix_tf.augment.arguments import VIEWS, checked, checked_views
from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_0, AT_LEAST_1, Options, between, option


@dataclasses.dataclass(frozen=True)
class PolicyOptions(Options):
    """Policies: AutoAugment, RandAugment and TrivialAugment."""

    PREFIX = "policy_"

    cutout: int = option(
        0,
        "Side in pixels of a grey square at a random place of every view of a "
        "policy; 0: none.",
        range=AT_LEAST_0,
    )


@dataclasses.dataclass(frozen=True)
class RandAugmentOptions(PolicyOptions):
    """RandAugment."""

    PREFIX = "randaugment_"

    num_ops: int = option(
        2, "Operations of RandAugment in a row.", range=AT_LEAST_1
    )
    magnitude: float = option(
        9.0,
        "Magnitude of RandAugment's operations; 30 is AutoAugment's strongest.",
        range=between(0, 30),
    )
    scale: str = option(
        "automl",
        "What RandAugment's magnitudes mean: automl (enhancements from 0.1 to "
        "1.9) or torchvision (from 1 to 1.9, in half of the draws to 0.1; "
        "whole magnitudes).",
        choices=("automl", "torchvision"),
    )


@serializable
def auto_augment_views(
    images,
    seed,
    *,
    policy="cifar10",
    cutout=0,
    num_views=2,
    clean=True,
    shard=arguments.WHOLE,
    dense=False,
):
    """Returns each image with AutoAugment views of it.

    Runs as one XLA program wherever it is called: eagerly, in `Dataset.map`,
    or inside a compiled train step.

    Args:
        images, seed, num_views, clean, shard, dense: As for `augmix_views`.
        policy: `"cifar10"`, `"imagenet"` or `"svhn"`: the 25 sub-policies of
            the paper's appendix, one for each view.
        cutout: Side in pixels of a grey square at a random place, painted
            last; 0 for none. The paper takes 16 for CIFAR-10.

    Returns:
        uint8 `[B, 1 + num_views, H, W, C]`; view 0 is the clean image. Without
        it, `num_views` views.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> auto_augment_views(images, seed=[0, 1]).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Cubuk et al., arXiv:1805.09501. Magnitudes are ten equal steps
    through the ranges of its Table 6, where the authors' code for CIFAR-10
    goes nine tenths of the way, posterizes to 4 bits less and moves by at most
    9 pixels.
    """
    sampler = policy_steps.AutoAugment(policy)
    return _views(sampler, images, seed, cutout, num_views, clean, shard, dense)


for _policy in ("cifar10", "imagenet", "svhn"):
    VIEWS.register(f"autoaugment_{_policy}", options=PolicyOptions)(
        functools.partial(auto_augment_views, policy=_policy)
    )


@VIEWS.register("randaugment", options=RandAugmentOptions)
@serializable
def rand_augment_views(
    images,
    seed,
    *,
    num_ops=2,
    magnitude=9,
    scale="automl",
    cutout=0,
    num_views=2,
    clean=True,
    shard=arguments.WHOLE,
    dense=False,
):
    """Returns each image with RandAugment views; see `auto_augment_views`.

    Args:
        num_ops: Operations in a row, drawn from fourteen with replacement.
        magnitude: Magnitude of them all, 0 to 30; at 30 they are as strong as
            AutoAugment's strongest.
        scale: What a magnitude means. `"automl"`: a share of AutoAugment's
            ranges, of which enhancements go from 0.1 (weak colours) to 1.9.
            `"torchvision"`: whole magnitudes; enhancements go from 1 to 1.9
            or, in half of the draws, to 0.1.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> rand_augment_views(images, seed=[0, 1], num_ops=3, magnitude=5).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Cubuk et al., arXiv:1909.13719. The scales are those of
    automl/trivialaugment (aug_lib.py) and of torchvision's RandAugment.
    """
    sampler = policy_steps.RandAugment(num_ops, magnitude, scale)
    return _views(sampler, images, seed, cutout, num_views, clean, shard, dense)


@VIEWS.register("trivialaugment", options=PolicyOptions)
@serializable
def trivial_augment_views(
    images,
    seed,
    *,
    cutout=0,
    num_views=2,
    clean=True,
    shard=arguments.WHOLE,
    dense=False,
):
    """Returns each image with TrivialAugment views; see `auto_augment_views`.

    A view is one of fourteen operations at one of 31 magnitudes, both drawn
    uniformly, from wide ranges. Translations are up to 32 pixels whatever the
    size.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> trivial_augment_views(images, seed=[0, 1], cutout=16).shape
    TensorShape([8, 3, 32, 32, 3])

    Reference: Müller and Hutter, arXiv:2103.10158, Algorithm 1.
    """
    sampler = policy_steps.TrivialAugment()
    return _views(sampler, images, seed, cutout, num_views, clean, shard, dense)


def _views(sampler, images, seed, cutout, num_views, clean, shard, dense):
    if not is_whole(cutout) or cutout < 0:
        raise UsageError(
            f"The cutout must be a whole number of pixels, at least 0, got "
            f"{cutout!r}; the papers take 16 for CIFAR-10."
        )
    index, count = arguments.checked_shard(shard)
    form = (int(cutout), checked_views(num_views), bool(clean), count)
    return _compiled(sampler, *form, bool(dense))(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )


@functools.cache
def _compiled(sampler, cutout, num_views, clean, count, dense):
    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        _, height, width, _ = images.shape
        batch = [count * tf.shape(images)[0], num_views]
        step_seed, centre_seed = tf.unstack(rng.split(seed, 2, by_name=True))
        drawn = sampler.draw(step_seed, batch, height, width)
        made = apply_steps(images, arguments.rows(drawn, index, count), dense)
        if cutout:
            centres = cutouts.draw_centres(centre_seed, batch, height, width)
            centres = arguments.rows(centres, index, count)
            made = cutouts.erase(made, centres, cutout)
        if clean:
            made = tf.concat([images[:, tf.newaxis], made], axis=1)
        return made

    return views


def apply_steps(images, drawn, dense=False):
    """Makes the views that steps describe.

    Args:
        images: uint8 `[B, H, W, C]`, static but for B.
        drawn: `policy_steps.Steps` of batch axes `[B, V]`.
        dense: As for `augmix_views`.

    Returns:
        uint8 `[B, V, H, W, C]`.
    """
    resample = places.nearest if dense else None
    return steps.apply(images, *drawn, policy_space.OPERATIONS, resample)
