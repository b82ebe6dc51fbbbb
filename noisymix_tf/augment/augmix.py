"""AugMix: convex mixtures of short random chains of image operations.

Hendrycks et al. (2020), "AugMix: A Simple Data Processing Method to Improve
Robustness and Uncertainty", Algorithm 1. A plan holds every draw as a small
tensor, so that the sampler can be tested without images and the image
operations without a sampler.
"""

import dataclasses
import typing

from noisymix_tf import rng
from noisymix_tf.augment import affine, fixed, ops, places, steps
from noisymix_tf.augment.views import VIEWS, WHOLE, made
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

    def views(self, images, seed, batch, part, dense):
        """Float32 views; see `views.made`."""
        plan = part(draw_plan(seed, batch, self, *images.shape[1:3]))
        return apply_plan(images, plan, self.operations, dense)


def augmix(images, seed, **options):
    """Makes one AugMix view of each image, `[B, H, W, C]`; see `augmix_views`.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> augmix(images, seed=[0, 1], severity=3).shape
    TensorShape([8, 32, 32, 3])
    """
    return augmix_views(images, seed, num_views=1, **options)[:, 1]


@VIEWS.register("augmix", options=AugMixOptions)
@serializable
def augmix_views(images, seed, *, shard=WHOLE, dense=False, **options):
    """Returns each image with AugMix views of it.

    Runs as one XLA program wherever it is called: eagerly, in `Dataset.map`,
    or inside a compiled train step.

    Args:
        images: uint8 `[B, H, W, C]`, C of 1 or 3, static but for B.
        seed: int32 `[2]`, as `tf.random.stateless_*` take; the views are a
            pure function of images and seed, each with draws of its own.
        shard: `(index, count)`, where the images are part `index` of `count`
            equal parts of a batch: they get the views that they would get in
            it.
        dense: Whether to work on the whole batch at once, as accelerators
            like it, without a loop over images and without double precision.
            The same views; CPUs are faster with the loop.
        **options: `num_views`, how many beside the clean image (2); `clean`,
            whether that is view 0 (True) or left out; and those of
            `AugMixOptions`.

    Returns:
        float32 `[B, 1 + num_views, H, W, C]`, pixels 0 to 255, neither rounded
        nor clipped.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    Example:

    >>> images = tf.zeros([8, 32, 32, 3], tf.uint8)
    >>> augmix_views(images, seed=[0, 1]).shape
    TensorShape([8, 3, 32, 32, 3])
    """
    return made(AugMixOptions, images, seed, shard, dense, **options)


class Plan(typing.NamedTuple):
    """All that is random in a batch of AugMix views.

    The leading axes, `[...]`, are those of the batch; W is the number of
    chains and D the greatest depth of one.
    """

    operation: "tf.Tensor"  # int32 `[..., W, D]`, indices of operations.
    parameter: "tf.Tensor"  # Fixed-point `[..., W, D]`, what each is given.
    depth: "tf.Tensor"  # int32 `[..., W]`, how many of the D are done.
    weights: "tf.Tensor"  # float32 `[..., W]`, convex weights of the chains.
    m: "tf.Tensor"  # float32 `[...]`, their share; the rest is the image.


def draw_plan(seed, batch, options, height, width):
    """Draws a `Plan` for images of a height and a width in pixels.

    `batch` is a list of the leading axes, ints or scalar tensors.
    """
    seeds = tf.unstack(rng.split(seed, 3, by_name=True))
    step_seed, depth_seed, weight_seed = seeds
    steps = _steps(step_seed, batch, options, height, width)
    chains = [*batch, options.width]
    if options.depth == -1:
        law = {"minval": 1, "maxval": options.max_depth + 1, "dtype": tf.int32}
        depth = tf.random.stateless_uniform(
            chains, **law, **rng.key(depth_seed, by_name=True)
        )
    else:
        depth = tf.fill(chains, options.depth)
    weights = _weights(weight_seed, batch, options.width, options.alpha)
    return Plan(*steps, depth, *weights)


def _steps(seed, batch, options, height, width):
    """Operation and parameter of every step."""
    # One draw for the three: compiling a generator takes a fifth of a second.
    draws = fixed.uniform(seed, [*batch, options.width, options.max_depth, 3])
    which, strength, side = tf.unstack(draws, axis=-1)
    operation = fixed.below(which, len(options.operations))
    parameter = tf.zeros_like(strength)
    for index, each in enumerate(options.operations):
        drawn = each.law(strength, options.severity, height, width)
        if each.signed:
            drawn = tf.where(side < fixed.ONE // 2, -drawn, drawn)
        parameter = tf.where(operation == index, drawn, parameter)
    return operation, parameter


def _weights(seed, batch, width, alpha):
    """Dirichlet weights of the chains, and the Beta share `m` of them all."""
    # Both are quotients of Gamma variates, so that one draw serves both.
    variates = rng.log_gamma_variates(
        seed, [*batch, width + 2], alpha, by_name=True
    )
    weights = tf.nn.softmax(variates[..., :width], axis=-1)
    return weights, tf.sigmoid(variates[..., width] - variates[..., width + 1])


def apply_plan(images, plan, operations=ops.ALL_OPERATIONS, dense=False):
    """The AugMix views `[B, 1 + V, H, W, C]` of a `Plan` of axes `[B, V]`.

    Its indices are those of `operations`; images and `dense` are as for
    `augmix_views`.
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
