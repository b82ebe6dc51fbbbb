"""What counts as a number in an argument; a bool does not."""

import numbers


def is_whole(value):
    """Whether a value is a whole number, Python's or NumPy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value):
    """Whether a value is a real number, Python's or NumPy's."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
