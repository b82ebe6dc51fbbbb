"""What the functions of the theory ask of their numbers."""

import math

import numpy as np

from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError


def check(low=0.0, high=math.inf, **numbers):
    """Refuses numbers outside a range.

    Args:
        low, high: The range, with its ends; infinity is outside.
        **numbers: Name and value of each.

    Raises:
        UsageError: One is no number, or not in the range.

    Example:

    >>> check(high=1.0, eps=0.01)
    """
    words = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
    for name, value in numbers.items():
        if (
            not is_real(value)
            or not math.isfinite(value)
            or not low <= value <= high
        ):
            raise UsageError(f"{name}={value!r} must be a number, {words}.")


def check_views(noise_per_view):
    """Refuses factors of noise that are not one number for each view."""
    if not np.ndim(noise_per_view) or not len(noise_per_view):
        raise UsageError(
            f"noise_per_view={noise_per_view!r} must be a list of numbers, one "
            f"for each view."
        )
    for factor in noise_per_view:
        check(noise_per_view=factor)


def as_array(name, value):
    """An array of numbers.

    Args:
        name: Of the argument.
        value: NumPy array, tensor or list.

    Returns:
        NumPy array.

    Raises:
        UsageError: Something else, or a number that is not finite.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{name} is no array: its parts differ in length."
        ) from error
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"{name} is of {array.dtype}: give an array of numbers."
        )
    if not np.isfinite(array).all():
        raise UsageError(f"{name} has values that are not finite.")
    return array
