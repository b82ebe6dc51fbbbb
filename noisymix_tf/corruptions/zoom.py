"""Magnification about the centre, which zoom blur and snow share."""

import functools

import numpy as np


def zoom_taps(size, factor):
    """Where the pixels of a magnified axis come from, linearly interpolated.

    The centre `ceil(size / factor)` pixels are stretched so that the first and
    the last stay first and last; rounding to whole pixels is the benchmark's.

    Args:
        size: Number of pixels, before and after.
        factor: At least one.

    Returns:
        int `[size]` pixel before, int `[size]` pixel after, and float
        `[size]`, the share of the one after.
    """
    kept = int(np.ceil(size / factor))
    stretched = round(kept * factor)
    top, trim = (size - kept) // 2, (stretched - size) // 2
    scale = (kept - 1) / (stretched - 1) if stretched > 1 else 0.0
    source = np.arange(trim, trim + size) * scale
    before = np.minimum(source.astype(int), kept - 1)
    after = np.minimum(before + 1, kept - 1)
    return top + before, top + after, source - before


def zoom_axis(size, factor):
    """The magnification of `zoom_taps` as a sparse matrix `[size, size]`."""
    from scipy import sparse

    before, after, share = zoom_taps(size, factor)
    rows = np.arange(size)
    return sparse.csr_array(
        (
            np.concatenate([1.0 - share, share]),
            (np.tile(rows, 2), np.concatenate([before, after])),
        ),
        shape=(size, size),
    )


def zoom(planes, factor):
    """Magnifies floats `[B, H, W]` about the centre."""
    for axis in (1, 2):
        before, after, share = zoom_taps(planes.shape[axis], factor)
        share = share[:, None] if axis == 1 else share
        planes = (1.0 - share) * planes.take(before, axis) + share * (
            planes.take(after, axis)
        )
    return planes


@functools.lru_cache(maxsize=16)
def mean_zoom(height, width, stop, step):
    """Mean of an image and its magnifications, sparse `[H * W, H * W]`."""
    from scipy import sparse

    factors = np.arange(1, stop, step)
    total = sparse.eye_array(height * width, format="csr")
    for factor in factors:
        total = total + sparse.kron(
            zoom_axis(height, factor), zoom_axis(width, factor), format="csr"
        )
    return total / (len(factors) + 1)
