"""Real numbers as int64 with 52 bits after the point.

No device rounds them, none needs double precision for them, and no compiler
can fuse two operations into one.
"""

from noisymix_tf import rng
from noisymix_tf.lazy import tf

BITS = 52
ONE = 1 << BITS
_HALF_BITS = BITS // 2


def uniform(seed, shape) -> "tf.Tensor":
    """Uniform draws from 0 to below 1, as float64 ones that XLA compiles."""
    law = {"minval": None, "maxval": None, "dtype": tf.uint64}
    key = rng.key(seed, by_name=True)
    words = tf.random.stateless_uniform(shape, **law, **key)
    return tf.cast(tf.bitwise.right_shift(words, 64 - BITS), tf.int64)


def constant(values) -> "tf.Tensor":
    """Python numbers, below 2048 in size, as a fixed-point tensor."""
    return tf.constant(tf.nest.map_structure(number, values), tf.int64)


def number(value) -> int:
    """A Python number in fixed point, an int; what is finer is rounded."""
    return round(float(value) * ONE)


def real(values) -> "tf.Tensor":
    """float64 of the same shape, for the host."""
    return tf.cast(values, tf.float64) / ONE


def shift(values, bits) -> "tf.Tensor":
    """`floor(values / 2 ** bits)`."""
    return tf.bitwise.right_shift(values, tf.constant(bits, values.dtype))


def parts(values, bits) -> tuple:
    """`divmod(values, 2 ** bits)`."""
    return shift(values, bits), values & ((1 << bits) - 1)


def below(draws, limit) -> "tf.Tensor":
    """Whole numbers from 0 to below `limit`, an int: `floor(draw * limit)`."""
    high, low = parts(draws, _HALF_BITS)
    product = high * limit + shift(low * limit, _HALF_BITS)
    return tf.cast(shift(product, _HALF_BITS), tf.int32)


def times(draws, factor) -> "tf.Tensor":
    """Draws times a Python number from 0 to below 1024."""
    high, low = parts(draws, _HALF_BITS)
    factor_high, factor_low = divmod(number(factor), 1 << _HALF_BITS)
    middle = high * factor_low + low * factor_high
    middle += shift(low * factor_low, _HALF_BITS)
    return high * factor_high + shift(middle, _HALF_BITS)


def floor(values) -> "tf.Tensor":
    """Whole numbers in fixed point."""
    return shift(values, BITS) * ONE


def rounded(product) -> "tf.Tensor":
    """Keeps a compiler from fusing a product of floats with a sum.

    It would round once only, where Pillow does so twice: where the exact sum is
    a whole number, that decides what is truncated. No product here is anywhere
    near the bound.
    """
    return tf.maximum(product, -1e30)


def wide(values, axes=3) -> "tf.Tensor":
    """Numbers `[...]` of images with axes behind them, those of pixels."""
    return values[(..., *[tf.newaxis] * axes)]
