"""Filters and colours that corruptions share; none is registered here."""

import numpy as np


def gaussian_filter(images, deviation, reach=4.0):
    """Gaussian filter of floats `[B, H, W, C]`, cut at `reach` deviations."""
    from scipy import ndimage

    return ndimage.gaussian_filter(
        images, (0, deviation, deviation, 0), mode="nearest", truncate=reach
    )


def luma(images):
    """Brightness `[..., 1]` of floats `[..., 3]` or `[..., 1]`."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., channel, None] for channel in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def paint(colour, channels):
    """A colour (R, G, B) of 0 to 255 as float32 in [0, 1] `[channels]`."""
    unit = np.array(colour, np.float32) / 255
    return unit if channels == 3 else luma(unit)


def zoom_taps(size, factor):
    """Where the pixels of a magnified axis come from, linearly interpolated.

    The centre `ceil(size / factor)` pixels are stretched so that the first and
    the last stay first and last; rounding to whole pixels is the benchmark's.

    Returns:
        int `[size]` pixel before, that after, and float, the share of this.
    """
    kept = int(np.ceil(size / factor))
    stretched = round(kept * factor)
    top, trim = (size - kept) // 2, (stretched - size) // 2
    scale = (kept - 1) / (stretched - 1) if stretched > 1 else 0.0
    source = np.arange(trim, trim + size) * scale
    before = np.minimum(source.astype(int), kept - 1)
    after = np.minimum(before + 1, kept - 1)
    return top + before, top + after, source - before


def plasma(uniform, decay):
    """Fractal clouds that tile, by midpoint displacement.

    A grid grows from one point; every doubling puts a point into each square
    and each diamond, at the mean of the four around it plus a random shift that
    shrinks by `decay` squared (Fournier, Fussell and Carpenter, 1982).

    Args:
        uniform: Numbers in [0, 1) `[B, N ** 2 - 1]`, N a power of two.
        decay: Above one; the larger, the smoother.

    Returns:
        float64 `[B, N, N]`, each from 0 to 1.
    """
    batch, count = uniform.shape
    grid = np.zeros([batch, 1, 1])
    reach, start, size = 100.0, 0, 1
    while start < count:
        shifts = uniform[:, start : start + 3 * size * size]
        # As the benchmark does it, in the order of its draws.
        shifts = reach * (2 * reach * shifts - reach)
        grid = _doubled(grid, shifts.reshape(batch, 3, size, size))
        start += 3 * size * size
        size *= 2
        reach /= decay
    grid -= grid.min(axis=(1, 2), keepdims=True)
    return grid / grid.max(axis=(1, 2), keepdims=True)


def _doubled(grid, shifts):
    """Puts three new points beside each of `[B, n, n]`, wrapping around."""
    batch, size, _ = grid.shape
    pairs = grid + np.roll(grid, -1, axis=1)
    centre = (pairs + np.roll(pairs, -1, axis=2)) / 4 + shifts[:, 0]
    across = centre + np.roll(centre, 1, axis=1)
    across += grid + np.roll(grid, -1, axis=2)
    down = centre + np.roll(centre, 1, axis=2)
    down += grid + np.roll(grid, -1, axis=1)
    finer = np.empty([batch, 2 * size, 2 * size])
    finer[:, ::2, ::2] = grid
    finer[:, 1::2, 1::2] = centre
    finer[:, ::2, 1::2] = across / 4 + shifts[:, 1]
    finer[:, 1::2, ::2] = down / 4 + shifts[:, 2]
    return finer
