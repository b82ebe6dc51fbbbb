"""Blur: defocus, glass, motion, zoom; extra: Gaussian."""

import functools
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import (
    CORRUPTIONS,
    EXTRAS,
    PERTURBATIONS,
    TABLES,
)
from noisymix_tf.corruptions.filters import (
    Pictures,
    gaussian_filter,
    magnified,
    smeared,
    zoom_taps,
)
from noisymix_tf.lazy import fft, ndimage, sparse

_still = functools.partial(CORRUPTIONS.register, family="blur")
_film = functools.partial(PERTURBATIONS.register, family="blur")
# Beyond this many taps, the Fourier transform beats the sum over the taps.
_MOST_DIRECT_TAPS = 80
_SMALL_ZOOMS = tuple((stop, 0.01) for stop in (1.06, 1.11, 1.16, 1.21, 1.26))


@_still(
    "defocus_blur",
    cifar=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    imagenet=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    tiny=((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
)
def defocus_blur(images, lens, streams) -> np.ndarray:
    """Averages over a disk: a lens out of focus.

    lens: Radius of the disk, and standard deviation of the blur that
        smooths its edge, both in pixels.
    """
    kernel = _disk(*lens)
    unit = images / 255.0
    if np.count_nonzero(kernel) > _MOST_DIRECT_TAPS:
        return _filter_by_fourier(unit, kernel)
    return ndimage.correlate(unit, kernel[None, :, :, None], mode="mirror")


@functools.lru_cache(maxsize=32)
def _disk(radius, edge_deviation):
    """A disk of weights with a smoothed edge, float64, odd square.

    In single precision up to the end, as the benchmark's was: the sum of its
    weights misses one by about 1e-8, and truncation to 8 bits turns that into a
    whole level wherever an image is flat.
    """
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


@_still(
    "glass_blur",
    cifar=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    imagenet=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    tiny=((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
)
def glass_blur(images, pane, streams) -> np.ndarray:
    """Scatters pixels among their neighbours, blurred before and after.

    The benchmark's makers meant to swap two pixels, but their line copies one
    over the other; and no offset equals plus `reach`. Both are kept, since
    swaps lie clearly farther from the image.

    pane: Deviation of the blurs, largest offset, both in pixels, and the
        number of passes.
    """
    deviation, reach, passes = pane
    height, width = images.shape[1:3]
    shape = [passes, max(height - 2 * reach, 0), max(width - 2 * reach, 0), 2]
    offsets = streams.draw(
        lambda generator: generator.integers(-reach, reach, shape, np.int8)
    )
    smooth = gaussian_filter(images / 255.0, deviation)
    scattered = scatter((smooth * 255).astype(np.uint8), offsets, reach)
    return gaussian_filter(scattered / 255.0, deviation)


def scatter(images, offsets, reach) -> np.ndarray:
    """Overwrites pixels, from the last to the first, by a neighbour's value.

    A pixel may copy one that has been overwritten before, and so on: the passes
    follow such chains to their ends instead of visiting the pixels in turn. A
    border of `reach` pixels at the bottom and right, and of one more at the top
    and left, is copied from but not overwritten.

    Args:
        images: uint8 `[B, H, W, C]`, which is returned, too.
        offsets: int `[B, P, H - 2 * reach, W - 2 * reach, 2]`: for P passes,
            how many rows down and columns right the neighbour lies.
        reach: Largest offset.
    """
    batch, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    places = np.arange(batch * height * width).reshape(batch, height, width)
    inside = slice(reach + 1, height - reach + 1)
    inside = (slice(None), inside, slice(reach + 1, width - reach + 1))
    overwritten = np.zeros(places.shape, bool)
    overwritten[inside] = True
    overwritten = overwritten.ravel()
    for index in range(offsets.shape[1]):
        steps = offsets[:, index, ..., 0].astype(np.intp) * width
        steps += offsets[:, index, ..., 1]
        source = places.copy()
        source[inside] += steps
        chained = np.zeros(places.shape, bool)
        chained[inside] = steps > 0
        ends = _chain_ends(source.ravel(), chained.ravel(), overwritten)
        pixels = pixels[ends]
    return pixels.reshape(images.shape)


def _chain_ends(source, chained, overwritten):
    """Where the value of every pixel comes from in the end, int `[N]`."""
    chained &= overwritten[source]
    pending = np.flatnonzero(chained)
    while pending.size:  # Each round doubles the links that are followed.
        neighbour = source[pending]
        goes_on = chained[neighbour]
        source[pending] = source[neighbour]
        chained[pending] = goes_on
        pending = pending[goes_on]
    return source


@_still(
    "motion_blur",
    cifar=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    imagenet=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    tiny=((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
)
def motion_blur(images, line, streams) -> np.ndarray:
    """Smears along a line: a camera that moves sideways.

    The angle is at most 45 degrees from the horizontal.

    line: Radius and standard deviation of the smear in pixels.
    """
    angles = streams.draw(lambda generator: generator.uniform(-45, 45))
    return smeared(images, *line, angles)


@_film(
    "motion_blur",
    sets=("cifar", "imagenet"),
    cifar=(6, 1.8, range(-180, 1, 9)),
    imagenet=(10, 3, range(-120, 1, 4)),
    frames={"cifar": 21, "imagenet": 31},
)
def motion_blur_film(images, line, streams) -> Iterator[np.ndarray]:
    """The camera moves, every frame into another direction.

    Without constants for 64 pixels: the makers of Tiny-ImageNet-P blurred the
    large photographs, before these were made smaller.

    line: Radius and standard deviation of the blur in pixels, and the
        angles of the frames in degrees.
    """
    *smear, angles = line
    for angle in angles:
        yield smeared(images, *smear, angle)


@_still(
    "zoom_blur",
    cifar=_SMALL_ZOOMS,
    imagenet=tuple(
        zip((1.11, 1.16, 1.21, 1.26, 1.31), (0.01, 0.01, 0.02, 0.02, 0.03))
    ),
    tiny=_SMALL_ZOOMS,
)
def zoom_blur(images, zooms, streams) -> np.ndarray:
    """Averages over magnifications: a camera that moves towards the scene.

    zooms: (stop, step) of the factors, which start at one.
    """
    batch, height, width, channels = images.shape
    average = _mean_zoom(height, width, *zooms)
    pixels = (images / 255.0).transpose(1, 2, 0, 3).reshape(height * width, -1)
    blurred = average @ pixels
    return blurred.reshape(height, width, batch, channels).transpose(2, 0, 1, 3)


@_film("zoom_blur", moves=True, **dict.fromkeys(TABLES, 0.004))
def zoom_blur_film(images, step, streams) -> Iterator[np.ndarray]:
    """The mean of ever more magnifications, each larger by `step`.

    In single precision up to the end, as the benchmark's was: its last bits
    decide what truncation makes of a flat image.
    """
    white = np.float32(255.0)
    total = images / white
    zooms = (
        magnified(images.shape, 1 + step * frame) for frame in range(1, 31)
    )
    yield images
    for count, zoomed in enumerate(Pictures(images).seen(zooms), 2):
        total = total + zoomed / white
        yield total / np.float32(count)


@_still(
    "gaussian_blur",
    extra=True,
    cifar=(0.4, 0.6, 0.7, 0.8, 1),
    imagenet=(1, 2, 3, 4, 6),
    tiny=(0.5, 0.75, 1, 1.25, 1.5),
)
def gaussian_blur(images, deviation, streams) -> np.ndarray:
    """Convolves with a Gaussian; the border repeats its last pixel."""
    return gaussian_filter(images / 255.0, deviation)


@_film(
    "gaussian_blur",
    sets=EXTRAS,
    cifar=(0.3, 0.015, 7.0),
    imagenet=(0.25, 0.035, 6.0),
    tiny=(0.35, 0.014, 7.0),
)
def gaussian_blur_film(images, growth, streams) -> Iterator[np.ndarray]:
    """Convolves with a Gaussian that grows.

    growth: First standard deviation and its step from frame to frame, in
        pixels; and after how many deviations the kernel ends.
    """
    first, step, reach = growth
    unit = images / 255.0
    for frame in range(31):
        yield gaussian_filter(unit, first + step * frame, reach)


@functools.lru_cache(maxsize=16)
def _mean_zoom(height, width, stop, step):
    """Mean of an image and its magnifications, sparse `[H * W, H * W]`."""
    factors = np.arange(1, stop, step)
    total = sparse.eye_array(height * width, format="csr")
    for factor in factors:
        total = total + sparse.kron(
            _zoom_axis(height, factor), _zoom_axis(width, factor), format="csr"
        )
    return total / (len(factors) + 1)


def _zoom_axis(size, factor):
    """The magnification of `zoom_taps` as a sparse matrix `[size, size]`."""
    before, after, share = zoom_taps(size, factor)
    weights = np.concatenate([1.0 - share, share])
    places = np.tile(np.arange(size), 2), np.concatenate([before, after])
    return sparse.csr_array((weights, places), shape=(size, size))
