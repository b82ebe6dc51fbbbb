"""Axes that start at zero and end at a round number."""

import math

from noisymix_tf.evaluation.sections.core import show

# Where an axis may end, in units of a power of ten, and into how many parts
# its ticks divide it.
_ENDS = ((1.0, 4), (2.0, 4), (3.0, 3), (4.0, 4), (6.0, 3), (10.0, 4))


def axis(highest):
    """The end of an axis for values from 0 to `highest`, and its ticks.

    Returns:
        `(end, ticks)`: the smallest of 1, 2, 3, 4, 6 times a power of ten that
        is not below `highest`, and round values from 0 to it.

    Example:

    >>> axis(0.37)
    (0.4, [0.0, 0.1, 0.2, 0.3, 0.4])
    """
    if highest <= 0.0:
        return 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]
    unit = 10.0 ** math.floor(math.log10(highest))
    end, parts = next(
        (factor * unit, parts)
        for factor, parts in _ENDS
        # The tolerance is for what rounding adds to a round number.
        if highest <= factor * unit * (1.0 + 1e-9)
    )
    # Rounded, as 3 * 0.1 is not 0.3.
    return end, [round(end * i / parts, 12) for i in range(parts + 1)]


def tick(value, kind):
    """A round value in few words: `"25 %"`."""
    number, _, unit = show(value, kind).partition(" ")
    return f"{float(number):g}{' ' if unit else ''}{unit}"
