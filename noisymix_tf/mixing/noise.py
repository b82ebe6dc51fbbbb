"""Noise injection: additive and multiplicative, sparse, of random amplitude.

    x -> x * (1 + sigma_m * xi_m) + sigma_a * xi_a

with, for every view, fresh amplitudes `sigma = level * Beta(2, 5)`, `xi_a`
standard normal, `xi_m` uniform in [-1, 1], and a share `sparsity` of the
entries of each left without noise (NoisyMix, arXiv:2202.01263, section 3.1;
amplitudes and sparsity as in its reference implementation).
"""

from typing import NamedTuple

from noisymix_tf import philox, rng
from noisymix_tf.lazy import function, tf

_AMPLITUDE_BETA = (2.0, 5.0)


class NoiseDraws(NamedTuple):
    """The noise of one injection into features `[V, B, ...]`."""

    additive_amplitude: "tf.Tensor"  # `[V]`, level times a Beta(2, 5) variate.
    normal: "tf.Tensor"  # `[V, B, ...]`, standard normal where noise is kept.
    additive_kept: "tf.Tensor"  # Bool `[V, B, ...]`.
    multiplicative_amplitude: "tf.Tensor"  # `[V]`, likewise.
    uniform: "tf.Tensor"  # `[V, B, ...]` in [-1, 1] where noise is kept.
    multiplicative_kept: "tf.Tensor"  # Bool `[V, B, ...]`.


def feature_noise(x, seed, additive, multiplicative, sparsity) -> "tf.Tensor":
    """Injects fresh noise into features; see the module for the equation.

    Args:
        x: Float tensor `[V, B, ...]`, one leading entry for each view.
        seed: int `[2]`.
        additive, multiplicative: float `[V]`, level for each view.
        sparsity: Share of entries without noise, in [0, 1].

    Example:

    >>> x, seed = tf.zeros([1, 8, 3]), rng.stream(0, 0, "noise")
    >>> feature_noise(x, seed, [0.5], [0.5], 0.65).shape
    TensorShape([1, 8, 3])
    """
    shape = x.shape if x.shape.is_fully_defined() else tf.shape(x)
    numbers = draw_numbers(seed, shape, additive, multiplicative)
    sparsity = tf.convert_to_tensor(sparsity, tf.float32)

    @tf.custom_gradient
    def noisy(x):
        y, multiplier = _noisy(x, numbers, sparsity)
        return y, lambda upstream: upstream * multiplier

    return noisy(x)


def draw_numbers(seed, shape, additive, multiplicative) -> tuple:
    """Amplitudes `[V]`, and uniform numbers `[V, B, ...]`; each twice."""
    seeds = tf.unstack(rng.split(seed, 4))

    def amplitude(level, seed):
        level = tf.convert_to_tensor(level, tf.float32)
        return level * rng.beta(seed, [int(level.shape[0])], *_AMPLITUDE_BETA)

    return (
        amplitude(additive, seeds[0]),
        philox.uniform(shape, seeds[2]),
        amplitude(multiplicative, seeds[1]),
        philox.uniform(shape, seeds[3]),
    )


def interpret(numbers, sparsity) -> NoiseDraws:
    """Makes `NoiseDraws`, float32, of the numbers of `draw_numbers`.

    One uniform number decides both whether an entry is kept and, given that it
    is, its value: where `u >= sparsity`, `(u - sparsity) / (1 - sparsity)` is
    again uniform. That halves the random numbers, the costly part.
    """
    additive_amplitude, u, multiplicative_amplitude, v = numbers
    return NoiseDraws(
        additive_amplitude,
        tf.math.ndtri(_kept_uniform(u, sparsity)),
        u >= sparsity,
        multiplicative_amplitude,
        2.0 * _kept_uniform(v, sparsity) - 1.0,
        v >= sparsity,
    )


def inject(x, draws) -> tuple:
    """`x * multiplier + addend` of `NoiseDraws`, and its derivative."""
    view_shape = [-1] + [1] * (len(x.shape) - 1)

    def scaled(amplitude, values):
        amplitude = tf.cast(tf.reshape(amplitude, view_shape), x.dtype)
        return amplitude * tf.cast(values, x.dtype)

    addend = scaled(draws.additive_amplitude, draws.normal)
    addend = tf.where(draws.additive_kept, addend, tf.zeros([], x.dtype))
    multiplier = 1.0 + scaled(draws.multiplicative_amplitude, draws.uniform)
    multiplier = tf.where(
        draws.multiplicative_kept, multiplier, tf.ones([], x.dtype)
    )
    return x * multiplier + addend, multiplier


@function(jit_compile=True, autograph=False)
def _noisy(x, numbers, sparsity):
    # Compiled by itself even where the train step is not: a dozen elementwise
    # operations become one pass over the features.
    return inject(x, interpret(numbers, sparsity))


def _kept_uniform(u, sparsity):
    scale = 1.0 / tf.maximum(1.0 - sparsity, 1e-6)
    # Bounded away from 0 and 1, whose normal quantiles are infinite.
    return tf.clip_by_value((u - sparsity) * scale, 1e-7, 1.0 - 1e-7)
