"""Named random streams, and samplers that compile under XLA.

Every random number of a run is a pure function of (run seed, step, stream
name, replica). TensorFlow's own Gamma, Beta and shuffle kernels do not compile
with `jit_compile=True`; the samplers here are made of uniform and normal draws
only, so one function serves CPU, GPU and TPU.
"""

import zlib

import tensorflow as tf

# Marsaglia and Tsang accept a proposal with probability above 0.95 for every
# shape >= 1, so that eight rounds leave less than 0.05**8 = 4e-11 undecided.
_GAMMA_ROUNDS = 8


def stream(seed, step, name, replica=0):
    """Returns the stateless seed of one stream at one step.

    Args:
        seed: The run's seed; Python int or scalar integer tensor.
        step: Training step; Python int or scalar integer tensor.
        name: What the numbers are for, a Python string such as `"noise"`.
        replica: Replica id where replicas must draw different numbers.

    Returns:
        int32 tensor `[2]`, as `tf.random.stateless_*` take.

    Example:

    >>> a = stream(0, step=7, name="mixing")
    >>> b = stream(0, step=7, name="mixing")
    >>> bool(tf.reduce_all(a == b))
    True
    """
    tag = zlib.crc32(name.encode()) & 0x7FFFFFFF
    key = tf.stack([tf.cast(seed, tf.int32), tf.constant(tag, tf.int32)])
    for part in (step, replica):
        key = tf.random.experimental.stateless_fold_in(
            key, tf.cast(part, tf.int32)
        )
    return key


def split(seed, num):
    """Splits a stateless seed into `num` independent ones, `[num, 2]`."""
    return tf.random.split(seed, num)


def uniform(seed, shape, dtype="float32"):
    """Uniform numbers in (0, 1): never exactly zero, so their log is finite."""
    return tf.random.stateless_uniform(
        shape, seed, minval=1e-7, maxval=1.0, dtype=dtype
    )


def log_gamma_variates(seed, shape, concentration):
    """Logarithms of Gamma(concentration, 1) variates.

    Marsaglia and Tsang (2000), "A simple method for generating gamma
    variables", with a fixed number of rounds; shapes below one use
    `Gamma(a) = Gamma(a + 1) * U**(1/a)`. The logarithm is returned because for
    a small concentration the variate itself underflows in float32.

    Args:
        seed: int `[2]`.
        shape: Python list or tuple of ints.
        concentration: Positive float or scalar tensor.

    Returns:
        float32 tensor of `shape`.
    """
    a = tf.cast(concentration, tf.float32)
    normal_seed, accept_seed, boost_seed = tf.unstack(split(seed, 3))
    shape = list(shape)
    d = a + 1.0 - 1.0 / 3.0
    c = 1.0 / tf.sqrt(9.0 * d)
    x = tf.random.stateless_normal([_GAMMA_ROUNDS, *shape], normal_seed)
    u = uniform(accept_seed, [_GAMMA_ROUNDS, *shape])
    v = (1.0 + c * x) ** 3
    log_v = tf.math.log(tf.maximum(v, 1e-30))
    accepted = (v > 0.0) & (
        tf.math.log(u) < 0.5 * x * x + d * (1.0 - v + log_v)
    )
    first = tf.argmax(tf.cast(accepted, tf.int32), axis=0, output_type=tf.int32)
    chosen = tf.one_hot(first, _GAMMA_ROUNDS, axis=0)
    log_gamma = tf.math.log(d) + tf.reduce_sum(chosen * log_v, axis=0)
    boost = tf.math.log(uniform(boost_seed, shape)) / a
    return log_gamma + boost


def beta(seed, shape, a, b):
    """Beta(a, b) variates that compile under XLA.

    Args:
        seed: int `[2]`.
        shape: Python list or tuple of ints.
        a: Positive concentration of one; float or scalar tensor.
        b: Positive concentration of zero; float or scalar tensor.

    Returns:
        float32 tensor of `shape`, values in [0, 1]. For concentrations well
        below one, values closer to one than float32 resolves are exactly one.

    Example:

    >>> lam = beta(stream(0, 0, "lam"), [], 1.0, 1.0)
    >>> lam.shape
    TensorShape([])
    """
    seed_a, seed_b = tf.unstack(split(seed, 2))
    return tf.sigmoid(
        log_gamma_variates(seed_a, shape, a)
        - log_gamma_variates(seed_b, shape, b)
    )


def dirichlet(seed, shape, concentration, num):
    """Symmetric Dirichlet variates that compile under XLA.

    Args:
        seed: int `[2]`.
        shape: Python list or tuple of ints: the shape of the batch.
        concentration: Positive float or scalar tensor, equal for all parts.
        num: Number of parts.

    Returns:
        float32 tensor `[*shape, num]`; its last axis sums to one.
    """
    return tf.nn.softmax(
        log_gamma_variates(seed, [*shape, num], concentration), axis=-1
    )


def permutation(seed, num):
    """A uniformly random permutation of `range(num)`, int32 `[num]`."""
    return tf.argsort(tf.random.stateless_uniform([num], seed))
