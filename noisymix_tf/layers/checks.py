"""Checks that the layers' arguments share."""

import keras

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def whole_number(name, value, low=None):
    """Returns `value` as a Python int, or says that it is none.

    Args:
        name: The argument's name, for the error.
        value: Should be a whole number.
        low: Smallest value accepted; None for any.

    Raises:
        UsageError: `value` is something else.
    """
    ok = is_whole(value)
    if not ok or (low is not None and value < low):
        scope = "" if low is None else f", at least {low}"
        raise UsageError(f"{name}={value!r} must be a whole number{scope}.")
    return int(value)


def floats(layer, x, advice):
    """Says that a layer was given something else than floats.

    Args:
        layer: The layer's name, for the error.
        x: Tensor, symbolic or not.
        advice: What to do instead, for the error.

    Raises:
        UsageError: `x` is no float tensor.
    """
    if not keras.backend.is_float_dtype(x.dtype):
        dtype = keras.backend.standardize_dtype(x.dtype)
        raise UsageError(f"{layer} takes floats, got {dtype}; {advice}.")
