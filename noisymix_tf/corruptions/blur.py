"""Blurs: defocus, zoom; extra: Gaussian.

All are linear in the image, so a batch is one call of a filter or one product
with a matrix.
"""

import functools

import numpy as np

from noisymix_tf.corruptions.core import corruption

# Beyond this many taps, the Fourier transform beats the sum over the taps.
_MOST_DIRECT_TAPS = 80


@corruption(
    "defocus_blur",
    family="blur",
    cifar=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    imagenet=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
)
def defocus_blur(images, lens, streams):
    """Averages over a disk: a lens out of focus.

    Args:
        images: uint8 `[B, H, W, C]`.
        lens: Radius of the disk, and standard deviation of the blur that
            smooths its edge, both in pixels.
        streams: Not used.
    """
    kernel = _disk(*lens)
    unit = images / 255.0
    if np.count_nonzero(kernel) > _MOST_DIRECT_TAPS:
        return _filter_by_fourier(unit, kernel)
    from scipy import ndimage

    return ndimage.correlate(unit, kernel[None, :, :, None], mode="mirror")


@corruption(
    "zoom_blur",
    family="blur",
    cifar=(
        (1.06, 0.01),
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.01),
        (1.26, 0.01),
    ),
    imagenet=(
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.02),
        (1.26, 0.02),
        (1.31, 0.03),
    ),
)
def zoom_blur(images, zooms, streams):
    """Averages over magnifications: a camera that moves towards the scene.

    Args:
        images: uint8 `[B, H, W, C]`.
        zooms: (stop, step) of the factors, which start at one.
        streams: Not used.
    """
    batch, height, width, channels = images.shape
    average = _zoom_matrix(height, width, *zooms)
    pixels = (images / 255.0).transpose(1, 2, 0, 3).reshape(height * width, -1)
    blurred = average @ pixels
    return blurred.reshape(height, width, batch, channels).transpose(2, 0, 1, 3)


@corruption(
    "gaussian_blur",
    family="blur",
    extra=True,
    cifar=(0.4, 0.6, 0.7, 0.8, 1),
    imagenet=(1, 2, 3, 4, 6),
)
def gaussian_blur(images, deviation, streams):
    """Convolves with a Gaussian; the border repeats its last pixel."""
    return gaussian_filter(images / 255.0, deviation)


def gaussian_filter(images, deviation):
    """Gaussian filter of floats `[B, H, W, C]`, cut at four deviations."""
    from scipy import ndimage

    return ndimage.gaussian_filter(
        images, (0, deviation, deviation, 0), mode="nearest", truncate=4.0
    )


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


@functools.lru_cache(maxsize=16)
def _zoom_matrix(height, width, stop, step):
    """Mean of an image and its magnifications, sparse `[H * W, H * W]`."""
    from scipy import sparse

    factors = np.arange(1, stop, step)
    total = sparse.eye_array(height * width, format="csr")
    for factor in factors:
        total = total + sparse.kron(
            zoom_axis(height, factor), zoom_axis(width, factor), format="csr"
        )
    return total / (len(factors) + 1)


def zoom_axis(size, factor):
    """Bilinear magnification about the centre, cut to the size, for one axis.

    The centre `ceil(size / factor)` pixels are stretched so that the first and
    the last stay first and last; rounding to whole pixels is the benchmark's.

    Args:
        size: Number of pixels.
        factor: At least one.

    Returns:
        Sparse `[size, size]`, two weights a row.
    """
    from scipy import sparse

    kept = int(np.ceil(size / factor))
    stretched = round(kept * factor)
    top, trim = (size - kept) // 2, (stretched - size) // 2
    scale = (kept - 1) / (stretched - 1) if stretched > 1 else 0.0
    source = np.arange(trim, trim + size) * scale
    before = np.minimum(source.astype(int), kept - 1)
    after = np.minimum(before + 1, kept - 1)
    share = source - before
    rows = np.arange(size)
    return sparse.csr_array(
        (
            np.concatenate([1.0 - share, share]),
            (np.tile(rows, 2), top + np.concatenate([before, after])),
        ),
        shape=(size, size),
    )
