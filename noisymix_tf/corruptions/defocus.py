"""Defocus blur: a mean over a disk."""

import functools

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS

# Beyond this many taps, the Fourier transform beats the sum over the taps.
_MOST_DIRECT_TAPS = 80


@CORRUPTIONS.register(
    "defocus_blur",
    family="blur",
    cifar=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    imagenet=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    tiny=((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
)
def defocus_blur(images, lens, streams):
    """Averages over a disk: a lens out of focus.

    lens: Radius of the disk, and standard deviation of the blur that
        smooths its edge, both in pixels.
    """
    kernel = _disk(*lens)
    unit = images / 255.0
    if np.count_nonzero(kernel) > _MOST_DIRECT_TAPS:
        return _filter_by_fourier(unit, kernel)
    from scipy import ndimage

    return ndimage.correlate(unit, kernel[None, :, :, None], mode="mirror")


@functools.lru_cache(maxsize=32)
def _disk(radius, edge_deviation):
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


def _filter_by_fourier(images, kernel):
    """Filters floats `[B, H, W, C]` by a symmetric kernel, border mirrored."""
    from scipy import fft

    reach = len(kernel) // 2
    height, width = images.shape[1:3]
    # One channel of one image at a time along contiguous memory.
    planes = np.moveaxis(images, -1, 1)
    border = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    padded = np.pad(planes, border, mode="reflect")
    shape = [fft.next_fast_len(n, real=True) for n in padded.shape[2:]]
    product = fft.rfft2(padded, shape) * fft.rfft2(kernel, shape)
    filtered = fft.irfft2(product, shape)
    filtered = filtered[:, :, 2 * reach :, 2 * reach :]
    return np.moveaxis(filtered[:, :, :height, :width], 1, -1)
