"""The random part of AugMix: which operations, how strong, how weighted.

A plan holds every draw as a small tensor, so that the sampler can be tested
without images and the image operations without a sampler.
"""

import typing

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import ops


class Plan(typing.NamedTuple):
    """All that is random in a batch of AugMix views.

    The leading axes, `[...]`, are those of the batch; W is the number of
    chains and D the greatest depth of one.

    Attributes:
        operation: int32 `[..., W, D]`, indices into the list of operations.
        parameter: float64 `[..., W, D]`, what each operation is given.
        depth: int32 `[..., W]`, how many of the D operations are done.
        weights: float32 `[..., W]`, convex weights of the chains.
        m: float32 `[...]`, the share of the chains; the rest is the image.
    """

    operation: tf.Tensor
    parameter: tf.Tensor
    depth: tf.Tensor
    weights: tf.Tensor
    m: tf.Tensor


def draw_plan(seed, batch, options, height, width):
    """Draws a plan; a pure function of the seed that compiles under XLA.

    Args:
        seed: int32 `[2]`.
        batch: List of the leading axes, ints or scalar tensors.
        options: `AugMixOptions`.
        height: Height of the images in pixels, which scales `translate_y`.
        width: Width of the images in pixels, which scales `translate_x`.

    Returns:
        A `Plan`.
    """
    step_seed, depth_seed, weight_seed = tf.unstack(
        rng.split(seed, 3, by_name=True)
    )
    operation, level, sign = _steps(step_seed, batch, options)
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
        operation,
        _parameters(options.operations, operation, level, sign, height, width),
        depth,
        *_weights(weight_seed, batch, options.width, options.alpha),
    )


def _steps(seed, batch, options):
    """Operation (int32), level (float64) and sign of every step."""
    # One draw for the three: compiling a generator takes a fifth of a second.
    draws = tf.random.stateless_uniform(
        [*batch, options.width, options.max_depth, 3],
        dtype=tf.float64,
        **rng.key(seed, by_name=True),
    )
    which, strength, side = tf.unstack(draws, axis=-1)
    operation = tf.cast(which * len(options.operations), tf.int32)
    level = 0.1 + strength * (options.severity - 0.1)
    return operation, level, tf.where(side < 0.5, -1.0, 1.0)


def _weights(seed, batch, width, alpha):
    """Dirichlet weights of the chains, and the Beta share `m` of them all."""
    # Both are quotients of Gamma variates, so that one draw serves both.
    variates = rng.log_gamma_variates(
        seed, [*batch, width + 2], alpha, by_name=True
    )
    weights = tf.nn.softmax(variates[..., :width], axis=-1)
    return weights, tf.sigmoid(variates[..., width] - variates[..., width + 1])


def _parameters(operations, operation, level, sign, height, width):
    sign = tf.cast(sign, level.dtype)
    chosen = tf.zeros_like(level)
    for index, each in enumerate(operations):
        parameter = each.parameter(level, height, width)
        if each.signed:
            parameter *= sign
        chosen = tf.where(operation == index, parameter, chosen)
    return chosen


def plan_of_chains(chains, weights, m):
    """Writes out a plan by hand, for a batch of one axis.

    Args:
        chains: For each image a list of W chains, each a list of
            `(name, parameter)` pairs.
        weights: `[B, W]`.
        m: `[B]`.

    Returns:
        A `Plan`.

    Example:

    >>> chains = [[("rotate", 5), ("equalize", 0)], [("posterize", 4)]]
    >>> plan = plan_of_chains([chains], [[0.5, 0.5]], [1.0])
    >>> plan.depth.numpy().tolist()
    [[2, 1]]
    """
    names = [each.name for each in ops.ALL_OPERATIONS]
    longest = max(len(chain) for image in chains for chain in image)

    def padded(value):
        return [
            [
                [value(step) for step in chain] + [0] * (longest - len(chain))
                for chain in image
            ]
            for image in chains
        ]

    return Plan(
        tf.constant(padded(lambda step: names.index(step[0])), tf.int32),
        tf.constant(padded(lambda step: float(step[1])), tf.float64),
        tf.constant([[len(c) for c in image] for image in chains], tf.int32),
        tf.constant(weights, tf.float32),
        tf.constant(m, tf.float32),
    )
