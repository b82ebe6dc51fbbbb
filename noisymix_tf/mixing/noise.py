"""Noise injection: additive and multiplicative, sparse, of random amplitude.

    x -> x * (1 + sigma_m * xi_m) + sigma_a * xi_a

with, for every view, fresh amplitudes `sigma = level * Beta(2, 5)`, `xi_a`
standard normal, `xi_m` uniform in [-1, 1], and a share `sparsity` of the
entries of each left without noise (NoisyMix, arXiv:2202.01263, section 3.1;
amplitudes and sparsity as in its reference implementation).
"""

from noisymix_tf import philox, rng
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import function, tf

# What one unit of additive noise is: that of `x`, or its running deviation.
SCALES = ("absolute", "std")
_AMPLITUDE_BETA = (2.0, 5.0)
# Share of a running variance that a batch replaces.
_RATE = 0.1


def feature_noise(x, seed, additive, multiplicative, sparsity) -> "tf.Tensor":
    """Injects fresh noise into features; see the module for the equation.

    Args:
        x: Float tensor `[V, B, ...]`, one leading entry for each view.
        seed: int `[2]`.
        additive, multiplicative: float `[V]`, level for each view.
        sparsity: Share of entries without noise, in [0, 1].

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


def checked_scale(value) -> str:
    """One of `SCALES`, or a `UsageError`."""
    if value not in SCALES:
        raise UsageError(
            f"noise_scale={value!r} must be one of {', '.join(SCALES)}."
        )
    return value


def variance(x) -> "tf.Tensor":
    """Variance of features over all entries, float32, without gradient."""
    x = tf.cast(tf.stop_gradient(x), tf.float32)
    return tf.math.reduce_variance(x)


def moved(running, batch) -> "tf.Tensor":
    """Running variances after those of a batch.

    Zero is none yet, and of a batch nothing new, as is what has overflowed.

    >>> moved([0.0, 4.0, 4.0], [1.0, 14.0, 0.0]).numpy().tolist()
    [1.0, 5.0, 4.0]
    """
    running, batch = map(tf.convert_to_tensor, (running, batch))
    is_new = (batch > 0.0) & tf.math.is_finite(batch)
    new = tf.where(running > 0.0, running + _RATE * (batch - running), batch)
    return tf.where(is_new, new, running)


def deviation(running, batch) -> "tf.Tensor":
    """The standard deviation that noise goes by: the batch's own at first."""
    return tf.sqrt(tf.where(running > 0.0, running, batch))


def second_moments(additive, multiplicative, sparsity) -> tuple[float, float]:
    """Means of the squares of the additive noise, and of the factor's.

    Of a Beta(2, 5) amplitude times a normal number, and times one that is
    uniform in [-1, 1], they are 3 / 28 and 1 / 28.

    >>> [round(m**0.5, 4) for m in second_moments(0.5, 0.5, sparsity=0.65)]
    [0.0968, 0.0559]
    """
    kept = (1.0 - sparsity) / 28
    return 3 * kept * additive**2, kept * multiplicative**2


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


def interpret(numbers, sparsity) -> tuple:
    """Both kinds of noise, as `inject` takes them, of `draw_numbers`.

    One uniform number decides both whether an entry is kept and, given that it
    is, its value: where `u >= sparsity`, `(u - sparsity) / (1 - sparsity)` is
    again uniform. That halves the random numbers, the costly part.
    """
    additive, u, multiplicative, v = numbers
    normal = tf.math.ndtri(_kept_uniform(u, sparsity))
    uniform = 2.0 * _kept_uniform(v, sparsity) - 1.0
    added = additive, normal, u >= sparsity
    return added, (multiplicative, uniform, v >= sparsity)


def inject(x, added, multiplied) -> tuple:
    """`x * multiplier + addend`, and its derivative.

    Each kind of noise is `(amplitude, values, kept)`: `[V]`, a level times a
    Beta(2, 5) variate; `[V, B, ...]`; and where values are kept, bool.
    """
    view_shape = [-1] + [1] * (len(x.shape) - 1)

    def scaled(amplitude, values):
        amplitude = tf.cast(tf.reshape(amplitude, view_shape), x.dtype)
        return amplitude * tf.cast(values, x.dtype)

    *normal, is_added = added
    *uniform, is_multiplied = multiplied
    addend = tf.where(is_added, scaled(*normal), tf.zeros([], x.dtype))
    multiplier = 1.0 + scaled(*uniform)
    multiplier = tf.where(is_multiplied, multiplier, tf.ones([], x.dtype))
    return x * multiplier + addend, multiplier


@function(jit_compile=True, autograph=False)
def _noisy(x, numbers, sparsity):
    # Compiled by itself even where the train step is not: a dozen elementwise
    # operations become one pass over the features.
    return inject(x, *interpret(numbers, sparsity))


def _kept_uniform(u, sparsity):
    scale = 1.0 / tf.maximum(1.0 - sparsity, 1e-6)
    # Bounded away from 0 and 1, whose normal quantiles are infinite.
    return tf.clip_by_value((u - sparsity) * scale, 1e-7, 1.0 - 1e-7)
