"""Random numbers of an attack, the same with and without XLA.

What `rng` draws is compiled to another generator under XLA, which does not
matter in a train step that is always compiled the same way. An attack is a
measurement: it has to be the same one however it runs.
"""

import zlib

import tensorflow as tf

_GENERATOR = "philox"
_NAME = zlib.crc32(b"attack") & 0x7FFFFFFF


def key(seed, restart, index):
    """The stateless seed of one image's start, int32 `[2]`.

    Args:
        seed: int32 scalar, of the attack.
        restart: int32 scalar.
        index: int32 scalar, the image's place in its dataset.
    """
    key = tf.stack([tf.cast(seed, tf.int32), tf.constant(_NAME, tf.int32)])
    for part in (restart, index):
        key = tf.random.experimental.stateless_fold_in(
            key, tf.cast(part, tf.int32), alg=_GENERATOR
        )
    return key


def split(key):
    """Two independent keys of one."""
    return tf.unstack(tf.random.split(key, 2, alg=_GENERATOR))


def uniform(key, shape):
    """Uniform numbers in (0, 1), float32 of `shape`.

    Made of whole numbers: TensorFlow's floats of one key depend on XLA.
    """
    bits = tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.uint32, alg=_GENERATOR
    )
    top = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    return (tf.cast(top, tf.float32) + 0.5) * 2.0**-23


def normal(key, shape):
    """Standard normal numbers, float32 of `shape`."""
    return tf.math.ndtri(uniform(key, shape))
