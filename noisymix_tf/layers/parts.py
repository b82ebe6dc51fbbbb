"""What layers that draw have: a seed, a counter, a running variance."""

import keras

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def seed(value) -> int:
    """A seed as an int of at most 64 bits."""
    if not is_whole(value) or not -(2**63) <= value < 2**63:
        raise UsageError(
            f"seed={value!r} must be a whole number of at most 64 bits."
        )
    return int(value)


def counter(layer, shape=()) -> keras.Variable:
    """A variable that counts the calls of a layer, saved with its weights."""
    return layer.add_weight(
        name="calls",
        shape=shape,
        dtype="int64",
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
    )


def running_variance(layer, shape=()) -> keras.Variable:
    """A variable that `mixing.noise.moved` moves, saved with the weights."""
    return layer.add_weight(
        name="noise_variance",
        shape=shape,
        dtype="float32",
        initializer="zeros",
        trainable=False,
        autocast=False,
        # What every replica assigns is the mean of all.
        aggregation="none",
    )
