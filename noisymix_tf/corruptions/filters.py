"""Filters that are the same for every image of a batch."""

import functools

import numpy as np


def gaussian_filter(images, deviation, reach=4.0):
    """Gaussian filter of floats `[B, H, W, C]`, cut at `reach` deviations."""
    from scipy import ndimage

    return ndimage.gaussian_filter(
        images, (0, deviation, deviation, 0), mode="nearest", truncate=reach
    )


@functools.lru_cache(maxsize=32)
def disk(radius, edge_deviation):
    """A disk of weights with a smoothed edge, float64, odd square.

    In single precision up to the end, as the benchmark's was: the sum of its
    weights misses one by about 1e-8, and truncation to 8 bits turns that into a
    whole level wherever an image is flat.
    """
    from scipy import ndimage

    reach, edge_reach = (8, 1) if radius <= 8 else (radius, 2)
    squares = np.arange(-reach, reach + 1) ** 2
    disk = (squares[:, None] + squares <= radius**2).astype(np.float32)
    disk /= disk.sum()
    taps = np.arange(-edge_reach, edge_reach + 1)
    edge = np.exp(-0.5 * (taps / edge_deviation) ** 2)
    edge = (edge / edge.sum()).astype(np.float32)
    for axis in (1, 0):
        disk = ndimage.correlate1d(disk, edge, axis, mode="mirror")
    return disk.astype(np.float64)


def filter_by_fourier(images, kernel):
    """Filters floats `[B, H, W, C]` by a symmetric kernel, border mirrored."""
    from scipy import fft

    reach = len(kernel) // 2
    height, width = images.shape[1:3]
    # One channel of one image at a time along contiguous memory.
    planes = np.moveaxis(images, -1, 1)
    padded = np.pad(
        planes, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect"
    )
    shape = [fft.next_fast_len(n, real=True) for n in padded.shape[2:]]
    product = fft.rfft2(padded, shape) * fft.rfft2(kernel, shape)
    filtered = fft.irfft2(product, shape)
    inside = filtered[
        :, :, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width
    ]
    return np.moveaxis(inside, 1, -1)
