"""AugMix: convex mixtures of short random chains of image operations.

Hendrycks et al. (2020), "AugMix: A Simple Data Processing Method to Improve
Robustness and Uncertainty", Algorithm 1.
"""

import dataclasses
import functools

from noisymix_tf.augment import affine, arguments, chains, ops, places, steps
from noisymix_tf.augment.arguments import VIEWS, checked, checked_views
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import (
    AT_LEAST_1,
    POSITIVE,
    Options,
    Range,
    between,
    option,
)

_DEPTH = Range(lambda v: v == -1 or v >= 1, "-1 (random 1..3) or at least 1")


@dataclasses.dataclass(frozen=True)
class AugMixOptions(Options):
    """AugMix: the paper takes a severity of 3 for CIFAR and 1 for ImageNet.

    Each operation draws a level of its own from U(0.1, severity). `alpha` is
    that of the Dirichlet and of the Beta weights.

    Raises:
        UsageError: An option is out of its range.

    Example:

    >>> AugMixOptions(severity=1).max_depth
    3
    """

    PREFIX = "augmix_"

    severity: float = option(
        3.0, "Severity of AugMix's operations.", range=between(0.1, 10)
    )
    width: int = option(
        3, "Number of AugMix's augmentation chains.", range=AT_LEAST_1
    )
    depth: int = option(
        -1, "Operations in a chain; -1: random, 1 to 3.", range=_DEPTH
    )
    alpha: float = option(
        1.0, "Concentration of AugMix's mixing weights.", range=POSITIVE
    )
    all_ops: bool = option(
        False,
        "Also use color, contrast, brightness and sharpness, which overlap "
        "with the corruptions of the evaluation.",
    )

    @property
    def operations(self):
        """The operations that chains draw from."""
        return ops.ALL_OPERATIONS if self.all_ops else ops.OPERATIONS

    @property
    def max_depth(self):
        """The greatest number of operations in a chain."""
        return 3 if self.depth == -1 else self.depth


def augmix(images, seed, **options):
    """Makes one AugMix view of each image.

    Runs as one XLA program wherever it is called: eagerly, in `Dataset.map`,
    or inside a compiled train step.

    Args:
        images, seed: As for `augmix_views`.
        **options: Those of `AugMixOptions`.

    Returns:
        float32 `[B, H, W, C]`, pixels 0 to 255, neither rounded nor clipped.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> augmix(images, seed=[0, 1], severity=3).shape
    TensorShape([8, 32, 32, 3])
    """
    return augmix_views(images, seed, num_views=1, **options)[:, 1]


@VIEWS.register("augmix", options=AugMixOptions)
@serializable
def augmix_views(
    images,
    seed,
    *,
    num_views=2,
    clean=True,
    shard=arguments.WHOLE,
    dense=False,
    **options,
):
    """Returns each image with AugMix views of it.

    Args:
        images: uint8 `[B, H, W, C]`, C of 1 or 3, static but for B.
        seed: int32 `[2]`, as `tf.random.stateless_*` take; the views are a
            pure function of images and seed, each with draws of its own.
        num_views: Number of AugMix views beside the clean image.
        clean: Whether view 0 is the clean image; if not, it is left out.
        shard: `(index, count)`, where the images are part `index` of `count`
            equal parts of a batch: they get the views that they would get in
            it.
        dense: Whether to work on the whole batch at once, as accelerators
            like it, without a loop over images and without double precision.
            The same views; CPUs are faster with the loop.
        **options: Those of `AugMixOptions`.

    Returns:
        float32 `[B, 1 + num_views, H, W, C]`, pixels 0 to 255, neither rounded
        nor clipped; view 0 is the clean image. Without it, `num_views` views.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> augmix_views(images, seed=[0, 1]).shape
    TensorShape([8, 3, 32, 32, 3])
    """
    num_views = checked_views(num_views)
    options = AugMixOptions(**options)
    index, count = arguments.checked_shard(shard)
    views = _compiled_views(options, num_views, count, bool(dense))(
        checked(images), tf.cast(seed, tf.int32), tf.cast(index, tf.int32)
    )
    return views if clean else views[:, 1:]


@functools.cache
def _compiled_views(options, num_views, count, dense):
    @tf.function(jit_compile=True, autograph=False)
    def views(images, seed, index):
        _, height, width, _ = images.shape
        batch = [count * tf.shape(images)[0], num_views]
        plan = chains.draw_plan(seed, batch, options, height, width)
        plan = arguments.rows(plan, index, count)
        return apply_plan(images, plan, options.operations, dense)

    return views


def apply_plan(images, plan, operations=ops.ALL_OPERATIONS, dense=False):
    """Makes the AugMix views that a plan describes.

    Args:
        images: uint8 `[B, H, W, C]`, static but for B.
        plan: `chains.Plan` of batch axes `[B, V]`.
        operations: The operations that the plan's indices stand for.
        dense: As for `augmix_views`.

    Returns:
        float32 `[B, 1 + V, H, W, C]`; view 0 is the clean image.
    """
    _, views, width, depth = plan.operation.shape
    operation = tf.reshape(plan.operation, [-1, views * width, depth])
    ends = tf.reshape(plan.depth, [-1, views * width, 1])
    return steps.apply(
        images,
        tf.where(tf.range(depth) < ends, operation, steps.NOTHING),
        tf.reshape(plan.parameter, [-1, views * width, depth]),
        operations,
        places.bilinear if dense else None,
        _mixed,
        1 + views,
        (plan.weights, plan.m),
        tf.float32,
    )


def _mixed(image, results, weights, m):
    """An image `[..., H, W, C]` and its views, a list of such."""
    views, width = weights.shape[-2:]

    def of_pixels(numbers):
        return numbers[..., tf.newaxis, tf.newaxis, tf.newaxis]

    image = tf.cast(image, tf.float32)
    made = [image]
    for view in range(views):
        share = m[..., view]
        mixed = of_pixels(1.0 - share) * image
        for index in range(width):
            chain = results[..., view * width + index, :, :, :]
            chain = tf.cast(chain, tf.float32)
            chain *= of_pixels(share * weights[..., view, index])
            # Of the first two products a compiler may fuse either with the sum.
            mixed += affine.rounded(chain) if index == 0 else chain
        made.append(mixed)
    return made
