"""What counts as a number, seed, label, image or radius in an argument."""

import fractions
import math
import numbers

import numpy as np

from noisymix_tf.errors import UsageError

# In grey levels a smaller radius changes next to nothing: it is meant as a
# fraction of the pixels' range, which is how the literature gives radii.
_LEAST_RADIUS = {"linf": 0.5, "l2": 5.0}
INT_MAX = 2**31 - 1


def is_whole(value) -> bool:
    """Whether a value is a whole number, Python's or NumPy's; no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value) -> bool:
    """Whether a value is a real number, Python's or NumPy's; no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def whole_number(name: str, value, low: int) -> int:
    """A whole number from `low` to 2**31 - 1; else a `UsageError`."""
    if not is_whole(value) or not low <= value <= INT_MAX:
        raise UsageError(
            f"{name}={value!r} must be a whole number from {low} to {INT_MAX}."
        )
    return int(value)


def checked_seed(value, bits=64) -> int:
    """A seed as an int of so many bits, signed or not, but below 2**63."""
    high = 2 ** min(bits, 63)
    if not is_whole(value) or not -(2 ** (bits - 1)) <= value < high:
        raise UsageError(
            f"seed={value!r} must be a whole number of at most {bits} bits."
        )
    return int(value)


def flag(name: str, value, also: tuple = ()):
    """True or False, or one of the values `also`; else a `UsageError`."""
    if not isinstance(value, bool) and value not in also:
        known = ", ".join(map(str, (True, False, *also)))
        raise UsageError(f"{name}={value!r} must be one of {known}.")
    return value


def class_numbers(labels, num_images: int) -> np.ndarray:
    """Class numbers, int64 `[N]`, one for each of N images.

    Labels are whole numbers from 0 to 2**31 - 1, `[N]` or `[N, 1]`; or rows
    `[N, K]`, one-hot or smoothed, each with one largest value. All else is a
    `UsageError`.
    """
    found = np.asarray(labels)
    is_good = np.issubdtype(found.dtype, np.number)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    elif found.ndim == 2 and found.size and is_good:
        ties = (found == found.max(axis=-1, keepdims=True)).sum(axis=-1)
        is_good, found = (ties == 1).all(), found.argmax(axis=-1)
    is_good = is_good and found.ndim == 1
    is_good = is_good and ((0 <= found) & (found <= INT_MAX)).all()
    if not is_good or (found != np.floor(found)).any():
        raise UsageError(
            f"labels must be class numbers [N] from 0 to {INT_MAX}, or one-hot "
            f"[N, K]; got {np.asarray(labels).dtype} of shape "
            f"{list(np.shape(labels))}."
        )
    if len(found) != num_images:
        raise UsageError(
            f"{num_images} images but {len(found)} labels; give one label for "
            f"each image."
        )
    return found.astype(np.int64)


def input_dtype(model, shape) -> str:
    """Type of the pixels that a Keras model or a function takes.

    A subclassed model and a function say nothing of their input: it is float32
    of any size. One that does not take images `(H, W, C)` of the shape is a
    `UsageError`.
    """
    try:
        (wanted,) = model.inputs
    except (AttributeError, TypeError, ValueError):
        return "float32"
    takes = list(wanted.shape)[1:]
    if len(takes) != 3 or any(
        want not in (None, have) for want, have in zip(takes, shape)
    ):
        raise UsageError(
            f"The model takes images {takes}, these are {list(shape)}: choose "
            f"a model and images that fit."
        )
    return wanted.dtype


def shard(word: str) -> tuple[int, int]:
    """Which part of how many: `(0, 4)` of `"1/4"`, the first of four."""
    place, _, count = str(word).partition("/")
    is_part = place.isdecimal() and count.isdecimal()
    if not (is_part and 1 <= int(place) <= int(count)):
        raise UsageError(
            f"--shard={word} must be i/n, part i of n, from 1/n to n/n."
        )
    return int(place) - 1, int(count)


def radius(name: str, value, largest: float = math.inf) -> float:
    """A radius, a fraction of the pixels' range, as a number.

    A value such as `"4/255"` or 0.5 is taken; what is no number, below 0 or
    above the largest is a `UsageError`.
    """
    try:
        number = float(
            fractions.Fraction(value) if isinstance(value, str) else value
        )
    except (ValueError, TypeError, ZeroDivisionError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise UsageError(
            f"{name}={value!r} must be a number of at least 0, a fraction of "
            "the pixels' range such as 4/255."
        )
    if number > largest:
        raise UsageError(
            f"{name}={number:g} is more than the largest distance of two "
            f"images, {largest:g}: give a fraction of the pixels' range, such "
            "as 4/255."
        )
    return number


def radius_text(value: float) -> str:
    """A radius in words: `"0.5"`, or `"4/255"` if whole in grey levels."""
    levels = 255 * value
    short = float(f"{value:.2g}") == value
    if not short and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return f"{value:g}"


def radius_in_grey_levels(name: str, eps: float, norm: str) -> None:
    """Raises a `UsageError` if a radius is not in units of pixels 0..255.

    One above 0 that is so small for its norm, `"linf"` or `"l2"`, must be a
    fraction of their range.
    """
    if 0.0 < eps < _LEAST_RADIUS.get(norm, 0.0):
        raise UsageError(
            f"{name}={eps:g} must be in grey levels of pixels 0..255: for "
            f"{eps:.4g} of their range give {255 * eps:.4g}."
        )
