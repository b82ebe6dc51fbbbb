"""Elastic deformations: bilinear sampling at coordinates of every image."""

import functools

import numpy as np

# The benchmark's images have been sampled at 32nds of a pixel, from
# coordinates in 1024ths: differences of up to three levels hang on it.
_FINE, _COARSE = 1024, 32


def stretched(images, shifts, noise, strength, smoothness):
    """The part of `elastic_transform` that comes after the draws.

    Args:
        images: uint8 `[B, H, W, C]`.
        shifts: How far three points about the centre move, (x, y) in pixels,
            `[B, 3, 2]`.
        noise: Uniform between -1 and 1, `[B, 2, H, W]`: across, down.
        strength: Factor of the smoothed noise, in pixels.
        smoothness: Deviation of the Gaussian that smooths it, in pixels.

    Returns:
        float32 `[B, H, W, C]`.
    """
    height, width = images.shape[1:3]
    unit = images.astype(np.float32) / 255
    reach = min(height, width) // 3
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * reach
    corners = (corners + [width // 2, height // 2]).astype(np.float32)
    maps = affine_through(corners, corners + shifts.astype(np.float32))
    rows, columns = affine_coordinates(maps, height, width)
    moved = bilinear(unit, rows, columns, "mirror")
    if not strength:
        return moved
    wobble = (strength * smoothed(noise, smoothness)).astype(np.float32)
    across, down = wobble[:, 0], wobble[:, 1]
    return bilinear(
        moved,
        down + np.arange(height)[:, None],
        across + np.arange(width),
        "reflect",
    )


def affine_through(before, after):
    """The affine maps of points to points.

    Args:
        before: (x, y) of three points, `[3, 2]`.
        after: Where they go, `[B, 3, 2]`.

    Returns:
        float64 `[B, 2, 3]` from output to input coordinates.
    """
    ones = np.ones([*after.shape[:2], 1])
    corners = np.concatenate([after.astype(np.float64), ones], axis=-1)
    solved = np.linalg.solve(corners, before.astype(np.float64))
    return solved.swapaxes(1, 2)


def affine_coordinates(maps, height, width):
    """Coordinates of every output pixel, rounded to 32nds.

    Args:
        maps: float64 `[B, 2, 3]`, from output to input (x, y).
        height, width: Of the output.

    Returns:
        float32 rows and columns, `[B, H, W]` each.
    """
    across = np.rint(maps[:, :, None, :1] * np.arange(width) * _FINE)
    down = maps[:, :, 1:2] * np.arange(height) + maps[:, :, 2:]
    down = np.rint(down * _FINE)[..., None]
    steps = (across + down).astype(int) + _FINE // _COARSE // 2
    coordinates = (steps // (_FINE // _COARSE)).astype(np.float32) / _COARSE
    return coordinates[:, 1], coordinates[:, 0]


def bilinear(images, rows, columns, border):
    """Samples images between their pixels.

    Args:
        images: float32 `[B, H, W, C]`.
        rows, columns: Coordinates `[B, H, W]`; their type is that of the
            arithmetic.
        border: `"mirror"` about the centre of the last pixel, or `"reflect"`
            about its outer edge.

    Returns:
        float32 `[B, H, W, C]`.
    """
    batch, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    first = np.arange(batch)[:, None, None] * height * width
    fold = _FOLDS[border]
    top, left = np.floor(rows), np.floor(columns)
    low, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = top.astype(int), left.astype(int)
    lines = [first + fold(top + i, height) * width for i in (0, 1)]
    places = [fold(left + i, width) for i in (0, 1)]
    # A weight for each of the four and one sum, as the benchmark's makers have
    # it: truncation shows a difference in the last bit.
    total = pixels[lines[0] + places[0]] * ((1 - low) * (1 - right))
    total += pixels[lines[0] + places[1]] * ((1 - low) * right)
    total += pixels[lines[1] + places[0]] * (low * (1 - right))
    total += pixels[lines[1] + places[1]] * (low * right)
    return total.astype(np.float32)


def _mirrored(index, size):
    period = max(2 * (size - 1), 1)
    index = index % period
    return np.minimum(index, period - index)


def _reflected(index, size):
    index = index % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


_FOLDS = {"mirror": _mirrored, "reflect": _reflected}


def smoothed(planes, deviation):
    """Gaussian filter, cut at three deviations, of planes `[..., H, W]`.

    With the border reflected about the outer edge, cosines pass such a filter
    unchanged but for a factor; so a deviation of half the image costs no more
    than one of a few pixels.
    """
    from scipy import fft

    height, width = planes.shape[-2:]
    factors = np.outer(
        _response(height, deviation), _response(width, deviation)
    )
    waves = fft.dctn(planes, axes=(-2, -1)) * factors
    return fft.idctn(waves, axes=(-2, -1))


@functools.lru_cache(maxsize=16)
def _response(size, deviation):
    """What a Gaussian leaves of the cosines of a line, `[size]`."""
    taps = np.arange(1, int(3 * deviation + 0.5) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    waves = np.cos(np.pi * np.outer(np.arange(size), taps) / size)
    return (1 + 2 * waves @ weights) / (1 + 2 * weights.sum())
