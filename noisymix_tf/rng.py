"""Named random streams, and samplers that compile under XLA.

Every random number of a run is a pure function of (run seed, step, stream
name, replica). TensorFlow's own Gamma, Beta and shuffle kernels do not compile
with `jit_compile=True`; the samplers here are made of uniform and normal draws
only, so one function serves CPU, GPU and TPU. Seeds are int `[2]`.

A seed gives one sequence of whole numbers with a named generator, and several
without: XLA reads negative seeds in another way than TensorFlow's kernels, and
a TPU has a generator of its own. Streams are always drawn by name. Samplers
draw by name where they are asked to (`by_name=True`), which makes them give the
same numbers in every program that XLA compiles, on whatever device.
"""

import zlib

from noisymix_tf.lazy import tf

GENERATOR = "philox"

# Marsaglia and Tsang accept a proposal with probability above 0.95 for every
# shape >= 1, so that eight rounds leave less than 0.05**8 = 4e-11 undecided.
_GAMMA_ROUNDS = 8


def stream(seed, step, name: str, replica=0) -> "tf.Tensor":
    """The stateless seed, int32 `[2]`, of one stream at one step.

    Args:
        seed, step: Of the run; Python int or scalar integer tensor.
        name: What the numbers are for, such as `"noise"`.
        replica: Replica id where replicas must draw different numbers.

    >>> a = stream(0, step=7, name="mixing")
    >>> b = stream(0, step=7, name="mixing")
    >>> bool(tf.reduce_all(a == b))
    True
    """
    tag = zlib.crc32(name.encode()) & 0x7FFFFFFF
    words = tf.stack([tf.cast(seed, tf.int32), tf.constant(tag, tf.int32)])
    for part in (step, replica):
        words = tf.random.experimental.stateless_fold_in(
            words, tf.cast(part, tf.int32), alg=GENERATOR
        )
    return words


def key(seed, by_name: bool = False) -> dict:
    """The arguments of a `tf.random.stateless_*` call for a seed.

    In a program that XLA compiles for CPU or GPU `by_name` changes nothing; on
    a TPU it gives the numbers of the others.
    """
    if not by_name:
        return {"seed": seed}
    # Without a name, XLA takes the two numbers of a seed as unsigned.
    unsigned = tf.bitcast(tf.cast(seed, tf.int32), tf.uint32)
    return {"seed": tf.cast(unsigned, tf.int64), "alg": GENERATOR}


def split(seed, num: int, by_name: bool = False) -> "tf.Tensor":
    """Splits a stateless seed into `num` independent ones, `[num, 2]`."""
    return seeds(seed, [num], by_name)


def seeds(seed, shape, by_name: bool = False) -> "tf.Tensor":
    """Independent stateless seeds of a shape, int32 `[*shape, 2]`."""
    law = {"minval": None, "maxval": None, "dtype": tf.int32}
    return tf.random.stateless_uniform([*shape, 2], **law, **key(seed, by_name))


def uniform(seed, shape, dtype="float32", by_name=False) -> "tf.Tensor":
    """Uniform numbers in (0, 1): never exactly zero, so their log is finite."""
    return tf.random.stateless_uniform(
        shape, minval=1e-7, maxval=1.0, dtype=dtype, **key(seed, by_name)
    )


def log_gamma_variates(
    seed, shape, concentration, by_name: bool = False
) -> "tf.Tensor":
    """Logarithms of Gamma(concentration, 1) variates, float32 of a shape.

    Marsaglia and Tsang (2000), "A simple method for generating gamma
    variables", with a fixed number of rounds; shapes below one use
    `Gamma(a) = Gamma(a + 1) * U**(1/a)`. The logarithm is returned because for
    a small concentration the variate itself underflows in float32.
    """
    a = tf.cast(concentration, tf.float32)
    normal_seed, accept_seed, boost_seed = tf.unstack(split(seed, 3, by_name))
    shape = list(shape)
    d = a + 1.0 - 1.0 / 3.0
    c = 1.0 / tf.sqrt(9.0 * d)
    x = tf.random.stateless_normal(
        [_GAMMA_ROUNDS, *shape], **key(normal_seed, by_name)
    )
    u = uniform(accept_seed, [_GAMMA_ROUNDS, *shape], by_name=by_name)
    v = (1.0 + c * x) ** 3
    log_v = tf.math.log(tf.maximum(v, 1e-30))
    accepted = (v > 0.0) & (
        tf.math.log(u) < 0.5 * x * x + d * (1.0 - v + log_v)
    )
    first = tf.argmax(tf.cast(accepted, tf.int32), axis=0, output_type=tf.int32)
    chosen = tf.one_hot(first, _GAMMA_ROUNDS, axis=0)
    log_gamma = tf.math.log(d) + tf.reduce_sum(chosen * log_v, axis=0)
    boost = tf.math.log(uniform(boost_seed, shape, by_name=by_name)) / a
    return log_gamma + boost


def beta(seed, shape, a, b) -> "tf.Tensor":
    """Beta(a, b) variates in [0, 1], float32 of a shape.

    For concentrations well below one, values closer to one than float32
    resolves are exactly one.

    `shape` is a list or tuple of ints; a and b, float or scalar tensors, are
    the positive concentrations of one and of zero.

    >>> lam = beta(stream(0, 0, "lam"), [], 1.0, 1.0)
    >>> lam.shape
    TensorShape([])
    """
    seed_a, seed_b = tf.unstack(split(seed, 2))
    return tf.sigmoid(
        log_gamma_variates(seed_a, shape, a)
        - log_gamma_variates(seed_b, shape, b)
    )


def permutation(seed, num) -> "tf.Tensor":
    """A uniformly random permutation of `range(num)`, int32 `[num]`."""
    return tf.argsort(tf.random.stateless_uniform([num], seed))
