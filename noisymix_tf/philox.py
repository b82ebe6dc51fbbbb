"""Philox, TensorFlow's generator of random numbers, several times as fast.

TensorFlow's kernel for CPUs makes one block of four numbers after the other.
Written as operations on whole numbers, XLA compiles the generator for the
vector units of the processor. The numbers are the same in every bit.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), table 2:
Philox4x32 with ten rounds.
"""

import math

from noisymix_tf import private
from noisymix_tf.lazy import function, tf

_ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85


def uniform(shape, seed) -> "tf.Tensor":
    """`tf.random.stateless_uniform(shape, seed)`: float32 in [0, 1).

    TensorFlow's kernel makes numbers whose count is not known or not a multiple
    of four, and those of functions that XLA compiles as a whole, for TPUs among
    others.

    >>> uniform([2, 4], seed=[0, 1]).shape
    TensorShape([2, 4])
    """
    count = None if tf.is_tensor(shape) else math.prod(shape)
    if not count or count % 4 or is_compiled_by_xla():
        return tf.random.stateless_uniform(shape, seed)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    blocks = _blocks(key[0], counter[1], count // 4)
    return tf.reshape(tf.bitcast(blocks, tf.float32), shape)


def uniforms(seeds, count) -> "tf.Tensor":
    """A row of numbers for each of several seeds: float32 `[N, count]`.

    They lie in (0, 1), `seeds` are int32 `[N, 2]`. One seed more or less does
    not change the rows of the others.
    """
    low, high = (
        tf.cast(tf.bitcast(word, tf.uint32), tf.uint64)[:, tf.newaxis]
        for word in tf.unstack(seeds, axis=1)
    )
    key = low + tf.bitwise.left_shift(high, tf.constant(32, tf.uint64))
    words = tf.concat(_philox(key, tf.zeros_like(key), -(-count // 4)), axis=1)
    words = _low(words[:, :count])
    # The upper bits, and the middle of each of 2 ** 23 intervals.
    upper = tf.bitwise.right_shift(words, tf.constant(9, tf.uint64))
    return _unit(upper) + 2.0**-24


def is_compiled_by_xla() -> bool:
    """Whether the function that is being traced has `jit_compile=True`."""
    graph = tf.compat.v1.get_default_graph()
    return private.control_flow_util.GraphOrParentsInXlaContext(graph)


@function(jit_compile=True, autograph=False)
def _blocks(key, counter, count):
    """Blocks of four numbers, as the bits of a complex128 each: `[count]`.

    A block is written at once, so that the loop over blocks has one result.
    Key and counter are uint64, this its upper half; the lower counts blocks.
    """
    first, second, third, fourth = map(_unit, _philox(key, counter, count))
    return tf.complex(_pair(first, second), _pair(third, fourth))


def _philox(key, counter, count):
    """The four words of each block in the lower halves of uint64 `[count]`."""
    # A product of two lower halves is what a vector unit multiplies at once;
    # whatever is in the upper halves need not be cleared before.
    words = [
        tf.cast(tf.range(count), tf.uint64),
        tf.zeros([count], tf.uint64),
        _low(counter) + tf.zeros([count], tf.uint64),
        _high(counter) + tf.zeros([count], tf.uint64),
    ]
    keys = _low(key), _high(key)
    for _ in range(_ROUNDS):
        products = [_low(w) * m for w, m in zip(words[::2], _MULTIPLIERS)]
        words = [
            _xor(_xor(_high(products[1]), words[1]), keys[0]),
            products[1],
            _xor(_xor(_high(products[0]), words[3]), keys[1]),
            products[0],
        ]
        keys = [_low(k + step) for k, step in zip(keys, _WEYL)]
    return words


def _unit(word):
    """float32 in [0, 1) of a word's lower 23 bits, as TensorFlow makes it."""
    mantissa = tf.bitwise.bitwise_and(tf.cast(word, tf.uint32), (1 << 23) - 1)
    one_to_two = tf.bitwise.bitwise_or(mantissa, 127 << 23)
    return tf.bitcast(one_to_two, tf.float32) - 1.0


def _pair(first, second):
    """The bits of two float32, as those of a float64."""
    low, high = (
        tf.cast(tf.bitcast(part, tf.uint32), tf.uint64)
        for part in (first, second)
    )
    high = tf.bitwise.left_shift(high, tf.constant(32, tf.uint64))
    return tf.bitcast(tf.bitwise.bitwise_or(low, high), tf.float64)


def _xor(a, b):
    return tf.bitwise.bitwise_xor(a, b)


def _low(word):
    return tf.bitwise.bitwise_and(word, 0xFFFFFFFF)


def _high(word):
    return tf.bitwise.right_shift(word, tf.constant(32, tf.uint64))
