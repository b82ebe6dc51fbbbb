"""What corruptions share: filters, colours, clouds, views; none is registered.

The maps that `magnified` and `about_centre` return lead from places (x, y) of
the new image to places of the old one.
"""

import math
from collections.abc import Iterator

import numpy as np

from noisymix_tf.lazy import Image, ndimage

# The benchmark's maker rounds smears to 16 bits and truncates those to 8.
_ROUNDING = 0.5 / 257


def gaussian_filter(images, deviation, reach=4.0) -> np.ndarray:
    """Gaussian filter of floats `[B, H, W, C]`, cut at `reach` deviations."""
    return ndimage.gaussian_filter(
        images, (0, deviation, deviation, 0), mode="nearest", truncate=reach
    )


def luma(images) -> np.ndarray:
    """Brightness `[..., 1]` of floats `[..., 3]` or `[..., 1]`."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., channel, None] for channel in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def paint(colour, channels) -> np.ndarray:
    """A colour (R, G, B) of 0 to 255 as float32 in [0, 1] `[channels]`."""
    unit = np.array(colour, np.float32) / 255
    return unit if channels == 3 else luma(unit)


def zoom_taps(size, factor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def plasma(uniform, decay) -> np.ndarray:
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
    # A single point has no highest one.
    return grid / np.maximum(grid.max(axis=(1, 2), keepdims=True), 1e-9)


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


def smeared(images, radius, deviation, angles) -> np.ndarray:
    """Blurs uint8 `[B, H, W, C]` along a line, to one side of every pixel.

    The weights are half a Gaussian: the first pixel is the heaviest. Angles are
    degrees `[B]`, clockwise from the right; or one for all, which is faster.
    """
    taps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    places = line(len(weights), np.atleast_1d(angles))
    if np.ndim(angles):
        return _shifted_sum(images, weights, places)
    # One angle shifts all images alike, as it does the channels of one image.
    batch, height, width, channels = images.shape
    stacked = images.transpose(1, 2, 0, 3).reshape(1, height, width, -1)
    apart = _shifted_sum(stacked, weights, places)
    apart = apart.reshape(height, width, batch, channels)
    return np.ascontiguousarray(apart.transpose(2, 0, 1, 3))


def line(taps, angles) -> np.ndarray:
    """Pixels of a line from the origin, int `[B, taps, 2]`: down, right.

    Whole angles put some taps half-way between two pixels (30 degrees, every
    other one), where the last bit decides: hence the benchmark maker's own
    order of operations, with a length that is divided out again.
    """
    radians = np.pi * np.asarray(angles)[:, None] / 180.0
    down, right = taps * np.sin(radians), taps * np.cos(radians)
    places = np.arange(taps)[:, None] * np.stack([down, right], axis=-1)
    places = places / np.hypot(down, right)[..., None]
    return np.ceil(places - 0.5).astype(int)


def _shifted_sum(images, weights, places):
    """Weighted sum of pixels at places; the border repeats its last pixel."""
    height, width = images.shape[1:3]
    smeared = np.empty_like(images)
    total = np.empty(images.shape[1:], np.float32)
    product = np.empty_like(total)
    for index, image in enumerate(images):
        least = np.minimum(places[index].min(axis=0), 0)
        most = np.maximum(places[index].max(axis=0), 0)
        rows = np.arange(least[0], height + most[0]).clip(0, height - 1)
        columns = np.arange(least[1], width + most[1]).clip(0, width - 1)
        padded = image[rows][:, columns].astype(np.float32)
        total.fill(_ROUNDING)
        starts = (places[index] - least).tolist()
        for weight, (row, column) in zip(weights, starts):
            shifted = padded[row : row + height, column : column + width]
            np.multiply(shifted, weight, out=product)
            np.add(total, product, out=total)
        smeared[index] = total
    return smeared


class Pictures:
    """Images, uint8 `[B, H, W, C]`, for Pillow, as the benchmark's makers."""

    def __init__(self, images):
        self._shape = images.shape
        # Pillow takes grey images without an axis for the channel.
        planes = images[..., 0] if images.shape[-1] == 1 else images
        self._pictures = [Image.fromarray(plane) for plane in planes]

    def changed(self, change) -> np.ndarray:
        """Stacks `change(picture)`, which keeps size and mode, of all."""
        changed = np.empty(self._shape, np.uint8)
        for place, picture in enumerate(self._pictures):
            result = np.asarray(change(picture))
            changed[place] = result.reshape(self._shape[1:])
        return changed

    def seen(self, matrices, nearest=False) -> Iterator[np.ndarray]:
        """All images, resampled through one map `[2, 3]` after the other.

        Pillow counts from the corner of the corner pixel. A pixel whose source
        lies outside of the image becomes black; at the border the last pixel is
        repeated, not mixed with black. `nearest` takes one pixel, not four.
        """
        filters = Image.Resampling
        choice = filters.NEAREST if nearest else filters.BILINEAR
        size = self._shape[2], self._shape[1]
        for matrix in matrices:
            how = Image.Transform.AFFINE, np.ravel(matrix).tolist(), choice
            yield self.changed(lambda p, how=how: p.transform(size, *how))


def about_centre(linear, shape) -> np.ndarray:
    """The map `[2, 3]` that is linear, `[2, 2]`, about the centre of images.

    The centre is the true one, half the sides: there left and right, and top
    and bottom, are treated alike, and today's tools agree. The released
    CIFAR-10-P may have been made about the point half a pixel further right
    and down, as tools of its time did.
    """
    centre = np.array([shape[-2] / 2, shape[-3] / 2])
    # Not a matrix product: that may fuse its operations, and the last bit
    # decides whether a pixel at the very centre becomes darker by one level.
    offset = centre - (linear * centre).sum(axis=1)
    return np.column_stack([linear, offset])


def magnified(shape, factor) -> np.ndarray:
    """The map `[2, 3]` of a magnification about the centre."""
    return about_centre(np.eye(2) / factor, shape)
