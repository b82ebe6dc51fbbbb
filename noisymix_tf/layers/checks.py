"""Checks that the layers' arguments share."""

import keras

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def whole_number(name, value, low=None):
    """Returns `value` as a Python int, if it is one of at least `low`."""
    if not is_whole(value) or (low is not None and value < low):
        scope = "" if low is None else f", at least {low}"
        raise UsageError(f"{name}={value!r} must be a whole number{scope}.")
    return int(value)


def floats(layer, x, advice):
    """Says what to do where a layer was given something else than floats."""
    if not keras.backend.is_float_dtype(x.dtype):
        dtype = keras.backend.standardize_dtype(x.dtype)
        raise UsageError(f"{layer} takes floats, got {dtype}; {advice}.")
