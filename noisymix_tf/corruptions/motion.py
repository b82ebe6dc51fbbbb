"""Smears along a line, which motion blur and snow share."""

import math

import numpy as np

# The benchmark's maker rounds to 16 bits and truncates those to 8.
_ROUNDING = 0.5 / 257


def motion_blur(images, radius, deviation, angles):
    """Blurs along a line, to one side of every pixel.

    Args:
        images: uint8 `[B, H, W, C]`.
        radius, deviation: As in `kernel`.
        angles: Degrees `[B]`, clockwise from the right; or one number for all
            images, which is faster.

    Returns:
        uint8 `[B, H, W, C]`.
    """
    weights = kernel(radius, deviation)
    places = offsets(len(weights), np.atleast_1d(angles))
    if np.ndim(angles):
        return smear(images, weights, places)
    # One angle shifts all images alike, as it does the channels of one image.
    batch, height, width, channels = images.shape
    stacked = images.transpose(1, 2, 0, 3).reshape(1, height, width, -1)
    apart = smear(stacked, weights, places).reshape(
        height, width, batch, channels
    )
    return np.ascontiguousarray(apart.transpose(2, 0, 1, 3))


def kernel(radius, deviation):
    """Weights along the line: half a Gaussian, the first pixel the heaviest.

    Args:
        radius: In pixels, above zero.
        deviation: Of the Gaussian, in pixels.

    Returns:
        float32 `[2 * ceil(radius) + 1]` of sum one.
    """
    taps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def offsets(taps, angles):
    """Whole pixels nearest to a line through the origin.

    Whole angles put some taps half-way between two pixels (30 degrees, every
    other one), where the last bit decides: hence the benchmark maker's own
    order of operations, with a length that is divided out again.

    Args:
        taps: Number of pixels on the line.
        angles: Degrees `[B]`, clockwise from the right.

    Returns:
        int `[B, taps, 2]`: rows down and columns to the right.
    """
    radians = np.pi * np.asarray(angles)[:, None] / 180.0
    down, right = taps * np.sin(radians), taps * np.cos(radians)
    line = np.arange(taps)[:, None] * np.stack([down, right], axis=-1)
    line = line / np.hypot(down, right)[..., None]
    return np.ceil(line - 0.5).astype(int)


def smear(images, weights, places):
    """Weighted sum of shifted copies; the border repeats its last pixel.

    Args:
        images: uint8 `[B, H, W, C]`.
        weights: float32 `[T]` of sum one.
        places: int `[B, T, 2]`, where each pixel looks: rows and columns.

    Returns:
        uint8 `[B, H, W, C]`.
    """
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
