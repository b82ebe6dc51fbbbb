"""Noise injection: additive and multiplicative, sparse, of random amplitude.

    x -> x * (1 + sigma_m * xi_m) + sigma_a * xi_a

with, for every view, fresh amplitudes `sigma = level * Beta(2, 5)`, `xi_a`
standard normal, `xi_m` uniform in [-1, 1], and a share `sparsity` of the
entries of each left without noise (NoisyMix, arXiv:2202.01263, section 3.1;
amplitudes and sparsity as in its reference implementation).
"""

from typing import NamedTuple

import tensorflow as tf

from noisymix_tf import rng

AMPLITUDE_BETA = (2.0, 5.0)


class NoiseDraws(NamedTuple):
    """The random numbers of one injection into features `[V, B, ...]`.

    Attributes:
        additive_amplitude: `[V]`, level times a Beta(2, 5) variate.
        normal: `[V, B, ...]`, standard normal where noise is kept.
        additive_kept: bool `[V, B, ...]`, where additive noise is applied.
        multiplicative_amplitude: `[V]`, as above.
        uniform: `[V, B, ...]` in [-1, 1] where noise is kept.
        multiplicative_kept: bool `[V, B, ...]`.
    """

    additive_amplitude: tf.Tensor
    normal: tf.Tensor
    additive_kept: tf.Tensor
    multiplicative_amplitude: tf.Tensor
    uniform: tf.Tensor
    multiplicative_kept: tf.Tensor


def draw_noise(seed, shape, additive, multiplicative, sparsity):
    """Draws the noise for features of a shape.

    One uniform number decides both whether an entry is kept and, given that it
    is, its value: conditional on `u >= sparsity`, `(u - sparsity) / (1 -
    sparsity)` is again uniform. That halves the random numbers, which are most
    of the cost of this function.

    Args:
        seed: int `[2]`.
        shape: Static shape `(V, B, ...)` or a shape tensor.
        additive: float `[V]`, level of additive noise for each view.
        multiplicative: float `[V]`, level of multiplicative noise.
        sparsity: Share of entries without noise, in [0, 1].

    Returns:
        `NoiseDraws` of float32 tensors.
    """
    seeds = tf.unstack(rng.split(seed, 4))
    additive = tf.convert_to_tensor(additive, tf.float32)
    multiplicative = tf.convert_to_tensor(multiplicative, tf.float32)
    views = [int(additive.shape[0])]
    normal_u, additive_kept = _kept_uniform(seeds[2], shape, sparsity)
    uniform_u, multiplicative_kept = _kept_uniform(seeds[3], shape, sparsity)
    return NoiseDraws(
        additive * rng.beta(seeds[0], views, *AMPLITUDE_BETA),
        tf.math.ndtri(normal_u),
        additive_kept,
        multiplicative * rng.beta(seeds[1], views, *AMPLITUDE_BETA),
        2.0 * uniform_u - 1.0,
        multiplicative_kept,
    )


def _kept_uniform(seed, shape, sparsity):
    u = tf.random.stateless_uniform(shape, seed)
    sparsity = tf.cast(sparsity, tf.float32)
    scale = 1.0 / tf.maximum(1.0 - sparsity, 1e-6)
    # Bounded away from 0 and 1, whose normal quantiles are infinite.
    value = tf.clip_by_value((u - sparsity) * scale, 1e-7, 1.0 - 1e-7)
    return value, u >= sparsity


def inject(x, draws):
    """Applies drawn noise: `x * multiplier + addend`.

    Args:
        x: Float tensor `[V, B, ...]`.
        draws: `NoiseDraws` for the shape of `x`.

    Returns:
        Tensor of the shape and dtype of `x`.
    """
    view_shape = [-1] + [1] * (len(x.shape) - 1)

    def scaled(amplitude, values):
        amplitude = tf.cast(tf.reshape(amplitude, view_shape), x.dtype)
        return amplitude * tf.cast(values, x.dtype)

    addend = tf.where(
        draws.additive_kept,
        scaled(draws.additive_amplitude, draws.normal),
        tf.zeros([], x.dtype),
    )
    change = tf.where(
        draws.multiplicative_kept,
        scaled(draws.multiplicative_amplitude, draws.uniform),
        tf.zeros([], x.dtype),
    )
    return x * (1.0 + change) + addend


def feature_noise(x, seed, additive, multiplicative, sparsity):
    """Injects fresh noise into features; see the module for the equation.

    Args:
        x: Float tensor `[V, B, ...]`, one leading entry for each view.
        seed: int `[2]`.
        additive: float `[V]`, level for each view.
        multiplicative: float `[V]`, level for each view.
        sparsity: Share of entries without noise, in [0, 1].

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:

    >>> x = tf.zeros([1, 8, 4, 4, 3])
    >>> y = feature_noise(x, rng.stream(0, 0, "noise"), [0.5], [0.5], 0.65)
    >>> y.shape
    TensorShape([1, 8, 4, 4, 3])
    """
    shape = x.shape if x.shape.is_fully_defined() else tf.shape(x)
    return inject(
        x, draw_noise(seed, shape, additive, multiplicative, sparsity)
    )
