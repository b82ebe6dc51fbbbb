"""How far a figure would move for other images: the bootstrap.

Images are drawn with replacement, `REPLICATES` times, by a fixed seed: the
same draws for all metrics and models that are about the same images, so that
the difference of two of them has the uncertainty of the difference (Efron and
Tibshirani, 1993, "An Introduction to the Bootstrap").
"""

import functools
import zlib

import numpy as np

REPLICATES = 200


def means(values, group="test"):
    """The mean over images, and the means over resampled images.

    Of `values` `[n]` or `[n, m]`, a row for each image of a `group` as of
    `draws`, float64 `[1 + REPLICATES]` or `[1 + REPLICATES, m]`; of a single
    image, which tells no error, the mean alone.
    """
    values = np.asarray(values, np.float64)
    if len(values) == 1:
        return values[0]
    drawn = draws(len(values), group) @ values / len(values)
    return np.concatenate([values.mean(axis=0)[None], drawn])


@functools.lru_cache(2)
def draws(n, group="test"):
    """How often each of n images is drawn: float64 `[REPLICATES, n]`.

    Equal for equal n and group; of other groups they are independent.
    """
    generator = np.random.default_rng([zlib.crc32(group.encode()), n])
    drawn = np.empty([REPLICATES, n])
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, n, n), minlength=n)
    return drawn


def value(metric):
    """The value of a metric as a float; of a plain number itself."""
    return float(np.ravel(metric)[0])


def error(metric):
    """Its standard error; None of a plain number."""
    return float(np.std(metric[1:], ddof=1)) if np.ndim(metric) else None
