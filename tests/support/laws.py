"""Laws that drawn numbers must have."""

import numpy as np

# The second, fourth and eighth moments.
MOMENTS = {"normal": (1, 3, 105), "uniform": (1 / 3, 1 / 5, 1 / 9)}


def assert_law(law, values):
    """Of N(0, 1), or uniform in [-1, 1]: three moments, within 5 sigma."""
    values = np.asarray(values, "float64")
    assert law != "uniform" or abs(values).max() <= 1
    second, fourth, eighth = MOMENTS[law]
    laws = (1, 0, second), (2, second, fourth), (4, fourth, eighth)
    for power, mean, square in laws:
        sigma = np.sqrt((square - mean**2) / values.size)
        assert abs((values**power).mean() - mean) < 5 * sigma
