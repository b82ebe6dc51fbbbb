"""AugMix: convex mixtures of short random chains of image operations.

Hendrycks et al. (2020), "AugMix: A Simple Data Processing Method to Improve
Robustness and Uncertainty", Algorithm 1.
"""

import dataclasses
import typing

from noisymix_tf import rng
from noisymix_tf.augment import fixed, geometry, ops
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
    """

    PREFIX = "augmix_"

    severity: float = option(
        3.0, "Severity of AugMix's operations.", between(0.1, 10)
    )
    width: int = option(
        3, "Number of AugMix's augmentation chains.", AT_LEAST_1
    )
    depth: int = option(
        -1, "Operations in a chain; -1: random, 1 to 3.", _DEPTH
    )
    alpha: float = option(
        1.0, "Concentration of AugMix's mixing weights.", POSITIVE
    )
    all_ops: bool = option(
        False,
        "Also use color, contrast, brightness and sharpness, which overlap "
        "with the corruptions of the evaluation.",
    )

    @property
    def operations(self) -> tuple:
        """The operations that chains draw from."""
        return ops.ALL_OPERATIONS if self.all_ops else ops.OPERATIONS

    @property
    def max_depth(self) -> int:
        """The greatest number of operations in a chain."""
        return 3 if self.depth == -1 else self.depth

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """Float32 views; see `views.made`."""
        plan = part(draw_plan(seed, batch, self, *images.shape[1:3]))
        return apply_plan(images, plan, self.operations, dense)


def augmix(images, seed, **options) -> "tf.Tensor":
    """One AugMix view of each image, `[B, H, W, C]`; see `augmix_views`."""
    return augmix_views(images, seed, num_views=2, **options)[:, 1]


@VIEWS.register("augmix", options=AugMixOptions)
@serializable
def augmix_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with AugMix views of it, made by one XLA program.

    Args:
        images: uint8 `[B, H, W, C]`, C of 1 or 3, static but for B.
        seed: int32 `[2]`; the views are a pure function of images and seed,
            each with draws of its own.
        shard: `(index, count)`, where the images are part `index` of `count`
            equal parts of a batch, and get the views that they get in it.
        dense: Whether to work on the whole batch at once, as accelerators
            like it. The same views; CPUs are faster with a loop over images.
        **options: `num_views`, how many there are in all (3); `clean`, whether
            view 0 is the clean image (True) or an AugMix view, too; and those
            of `AugMixOptions`.

    Returns:
        float32 `[B, num_views, H, W, C]`, pixels 0 to 255, neither rounded
        nor clipped.

    Raises:
        UsageError: The images are not uint8 batches, or an argument is out of
            its range.

    >>> images = tf.zeros([2, 8, 8, 3], tf.uint8)
    >>> augmix_views(images, seed=[0, 1], width=1).shape
    TensorShape([2, 3, 8, 8, 3])
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


def draw_plan(seed, batch, options, height, width) -> Plan:
    """Draws a `Plan` for images of a height and a width in pixels.

    `batch` is a list of the leading axes, ints or scalar tensors.
    """
    seeds = tf.unstack(rng.split(seed, 3, by_name=True))
    step_seed, depth_seed, weight_seed = seeds
    chains = [*batch, options.width]
    # One draw for the three: compiling a generator takes a fifth of a second.
    draws = fixed.uniform(step_seed, [*chains, options.max_depth, 3])
    which, strength, side = tf.unstack(draws, axis=-1)
    operation = fixed.below(which, len(options.operations))
    how = strength, side, options.severity, (height, width), options.operations
    parameter = ops.parameters(operation, *how)
    if options.depth == -1:
        law = {"minval": 1, "maxval": options.max_depth + 1, "dtype": tf.int32}
        key = rng.key(depth_seed, by_name=True)
        depth = tf.random.stateless_uniform(chains, **law, **key)
    else:
        depth = tf.fill(chains, options.depth)
    weights = draw_weights(weight_seed, batch, options.width, options.alpha)
    return Plan(operation, parameter, depth, *weights)


def draw_weights(seed, batch, width, alpha=1.0) -> tuple:
    """Weights `[*batch, W]` of chains, Dirichlet, and their share `[*batch]`.

    The share is Beta; the concentrations are all `alpha`.
    """
    # Both are quotients of Gamma variates, so that one draw serves both.
    shape = [*batch, width + 2]
    variates = rng.log_gamma_variates(seed, shape, alpha, by_name=True)
    weights = tf.nn.softmax(variates[..., :-2], axis=-1)
    return weights, tf.sigmoid(variates[..., -2] - variates[..., -1])


def apply_plan(images, plan, operations=ops.ALL_OPERATIONS, dense=False):
    """The AugMix views `[B, 1 + V, H, W, C]` of a `Plan` of axes `[B, V]`.

    Its indices are those of `operations`; images and `dense` are as for
    `augmix_views`.
    """
    is_done = tf.range(plan.operation.shape[-1]) < plan.depth[..., tf.newaxis]
    operation = tf.where(is_done, plan.operation, ops.NOTHING)
    resample = geometry.bilinear if dense else None
    how = operations, resample, _mixed, (plan.weights, plan.m)
    return ops.apply(images, operation, plan.parameter, *how)


def _mixed(image, results, weights, m):
    """An image `[..., H, W, C]` and its views, a list of such."""
    views, width = weights.shape[-2:]
    image = tf.cast(image, tf.float32)
    made = [image]
    for view in range(views):
        share = m[..., view]
        mixed = fixed.wide(1.0 - share) * image
        for index in range(width):
            chain = results[..., view * width + index, :, :, :]
            chain = tf.cast(chain, tf.float32)
            chain *= fixed.wide(share * weights[..., view, index])
            # Of the first two products a compiler may fuse either with the sum.
            mixed += fixed.rounded(chain) if index == 0 else chain
        made.append(mixed)
    return made
