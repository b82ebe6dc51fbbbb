"""Fog: clouds by midpoint displacement (the diamond-square fractal)."""

import numpy as np


def foggy(images, clouds, thickness):
    """Adds clouds and dims the sum to the image's own maximum.

    Args:
        images: uint8 `[B, H, W, C]`.
        clouds: float64 `[B, N, N]`, N at least H and W.
        thickness: Weight of the clouds.

    Returns:
        float64 `[B, H, W, C]`.
    """
    height, width = images.shape[1:3]
    unit = images / 255.0
    brightest = unit.max(axis=(1, 2, 3), keepdims=True)
    total = unit + thickness * clouds[:, :height, :width, None]
    return total * brightest / (brightest + thickness)


def plasma(uniform, decay):
    """Fractal clouds that tile, between 0 and 1.

    A grid grows from one point; every doubling puts a point into each square
    and each diamond, at the mean of the four around it plus a random shift that
    shrinks by `decay` squared (Fournier, Fussell and Carpenter, 1982).

    Args:
        uniform: Numbers in [0, 1) `[B, N ** 2 - 1]`, N a power of two.
        decay: Above one; the larger, the smoother.

    Returns:
        float64 `[B, N, N]`, with a minimum of 0 and a maximum of 1 each.
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
