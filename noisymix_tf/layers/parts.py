"""What several layers have."""

import keras

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def seed(value):
    """A seed as an int, of any size."""
    if not is_whole(value):
        raise UsageError(f"seed={value!r} must be a whole number.")
    return int(value)


def counter(layer, shape=()):
    """A variable that counts the calls of a layer, saved with its weights."""
    return layer.add_weight(
        name="calls",
        shape=shape,
        dtype="int64",
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
    )


def floats(layer, x, advice):
    """Says what to do where a layer was given something else than floats."""
    if not keras.backend.is_float_dtype(x.dtype):
        dtype = keras.backend.standardize_dtype(x.dtype)
        name = type(layer).__name__
        raise UsageError(f"{name} takes floats, got {dtype}; {advice}.")
