"""Checks of what users pass to the trainer.

Each returns its argument in one form, or raises `UsageError`.
"""

import math

from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError


def factors(values):
    """Factors as a tuple of floats; a number counts for all views."""
    try:
        found = (values,) if is_real(values) else tuple(values)
    except TypeError:
        found = ()
    if not found or not all(
        is_real(factor) and 0 <= factor < math.inf for factor in found
    ):
        raise UsageError(
            f"noise_per_view={values!r} must be numbers of at least 0, one for "
            f"each view, or one number for all."
        )
    return tuple(map(float, found))


def seed(value):
    """A seed as an int of at most 32 bits, signed or not."""
    if not is_whole(value) or not -(2**31) <= value < 2**32:
        raise UsageError(
            f"seed={value!r} must be a whole number of at most 32 bits."
        )
    return int(value)
