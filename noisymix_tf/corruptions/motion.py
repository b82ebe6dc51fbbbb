"""Motion blur: a smear along a line, which falling snow shares."""

import math

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS

# The benchmark's maker rounds to 16 bits and truncates those to 8.
_ROUNDING = 0.5 / 257


@CORRUPTIONS.register(
    "motion_blur",
    family="blur",
    cifar=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    imagenet=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    tiny=((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
)
def motion_blur(images, line, streams):
    """Smears along a line: a camera that moves sideways.

    The angle is at most 45 degrees from the horizontal.

    line: Radius and standard deviation of the smear in pixels.
    """
    angles = streams.draw(lambda generator: generator.uniform(-45, 45))
    return smeared(images, *line, angles)


@PERTURBATIONS.register(
    "motion_blur",
    family="blur",
    sets=("cifar", "imagenet"),
    cifar=(6, 1.8, range(-180, 1, 9)),
    imagenet=(10, 3, range(-120, 1, 4)),
    frames={"cifar": 21, "imagenet": 31},
)
def motion_blur_film(images, line, streams):
    """The camera moves, every frame into another direction.

    Without constants for 64 pixels: the makers of Tiny-ImageNet-P blurred the
    large photographs, before these were made smaller.

    line: Radius and standard deviation of the blur in pixels, and the
        angles of the frames in degrees.
    """
    *smear, angles = line
    for angle in angles:
        yield smeared(images, *smear, angle)


def smeared(images, radius, deviation, angles):
    """Blurs uint8 `[B, H, W, C]` along a line, to one side of every pixel.

    The weights are half a Gaussian: the first pixel is the heaviest. Angles are
    degrees `[B]`, clockwise from the right; or one for all, which is faster.
    """
    taps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    places = offsets(len(weights), np.atleast_1d(angles))
    if np.ndim(angles):
        return _shifted_sum(images, weights, places)
    # One angle shifts all images alike, as it does the channels of one image.
    batch, height, width, channels = images.shape
    stacked = images.transpose(1, 2, 0, 3).reshape(1, height, width, -1)
    apart = _shifted_sum(stacked, weights, places)
    apart = apart.reshape(height, width, batch, channels)
    return np.ascontiguousarray(apart.transpose(2, 0, 1, 3))


def offsets(taps, angles):
    """Pixels of a line from the origin, int `[B, taps, 2]`: down, right.

    Whole angles put some taps half-way between two pixels (30 degrees, every
    other one), where the last bit decides: hence the benchmark maker's own
    order of operations, with a length that is divided out again.
    """
    radians = np.pi * np.asarray(angles)[:, None] / 180.0
    down, right = taps * np.sin(radians), taps * np.cos(radians)
    line = np.arange(taps)[:, None] * np.stack([down, right], axis=-1)
    line = line / np.hypot(down, right)[..., None]
    return np.ceil(line - 0.5).astype(int)


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
