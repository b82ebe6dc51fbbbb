"""The random part of AugMix: which operations, how strong, how weighted.

A plan holds every draw as a small tensor, so that the sampler can be tested
without images and the image operations without a sampler.
"""

import typing

from noisymix_tf import rng
from noisymix_tf.augment import fixed
from noisymix_tf.lazy import tf


class Plan(typing.NamedTuple):
    """All that is random in a batch of AugMix views.

    The leading axes, `[...]`, are those of the batch; W is the number of
    chains and D the greatest depth of one.

    Attributes:
        operation: int32 `[..., W, D]`, indices into the list of operations.
        parameter: int64 `[..., W, D]` (see `fixed.py`), what each operation is
            given.
        depth: int32 `[..., W]`, how many of the D operations are done.
        weights: float32 `[..., W]`, convex weights of the chains.
        m: float32 `[...]`, the share of the chains; the rest is the image.
    """

    operation: "tf.Tensor"
    parameter: "tf.Tensor"
    depth: "tf.Tensor"
    weights: "tf.Tensor"
    m: "tf.Tensor"


def draw_plan(seed, batch, options, height, width):
    """Draws a `Plan` for images of a height and a width in pixels.

    A pure function of the seed that compiles under XLA; `batch` is a list of
    the leading axes, ints or scalar tensors.
    """
    step_seed, depth_seed, weight_seed = tf.unstack(
        rng.split(seed, 3, by_name=True)
    )
    steps = _steps(step_seed, batch, options, height, width)
    chains = [*batch, options.width]
    if options.depth == -1:
        depth = tf.random.stateless_uniform(
            chains,
            minval=1,
            maxval=options.max_depth + 1,
            dtype=tf.int32,
            **rng.key(depth_seed, by_name=True),
        )
    else:
        depth = tf.fill(chains, options.depth)
    return Plan(
        *steps,
        depth,
        *_weights(weight_seed, batch, options.width, options.alpha),
    )


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
