"""Light and digital: brightness, contrast, elastic transform, pixelate, JPEG;
extra: saturate.
"""

import functools
import io
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS
from noisymix_tf.corruptions.filters import Pictures
from noisymix_tf.lazy import Image, fft

# The benchmark's images have been sampled at 32nds of a pixel, from
# coordinates in 1024ths: differences of up to three levels hang on it.
_FINE, _COARSE = 1024, 32


@CORRUPTIONS.register(
    "brightness",
    family="weather",
    cifar=(0.05, 0.1, 0.15, 0.2, 0.3),
    imagenet=(0.1, 0.2, 0.3, 0.4, 0.5),
    tiny=(0.1, 0.2, 0.3, 0.4, 0.5),
)
def brightness(images, amount, streams) -> np.ndarray:
    """Raises the value of HSV: daylight."""
    value, shares = _value_and_shares(images / 255.0)
    return shares * np.minimum(value + amount, 1.0)


@PERTURBATIONS.register(
    "brightness", family="weather", cifar=0.015, imagenet=0.02, tiny=0.02
)
def brightness_film(images, step, streams) -> Iterator[np.ndarray]:
    """Raises the value of HSV, from dusk (-15 steps) to daylight (15)."""
    value, shares = _value_and_shares(images / 255.0)
    for frame in range(-15, 16):
        yield shares * np.clip(value + step * frame, 0.0, 1.0)


@CORRUPTIONS.register(
    "contrast",
    family="digital",
    cifar=(0.75, 0.5, 0.4, 0.3, 0.15),
    imagenet=(0.4, 0.3, 0.2, 0.1, 0.05),
    tiny=(0.4, 0.3, 0.2, 0.1, 0.05),
)
def contrast(images, factor, streams) -> np.ndarray:
    """Pulls every value towards the mean of its channel."""
    unit = images / 255.0
    mean = unit.mean(axis=(1, 2), keepdims=True)
    return (unit - mean) * factor + mean


@CORRUPTIONS.register(
    "saturate",
    family="digital",
    extra=True,
    cifar=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    imagenet=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    tiny=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
)
def saturate(images, line, streams) -> np.ndarray:
    """Maps the saturation of HSV linearly.

    With hue and value kept, the distance of every channel from the largest one
    grows by the factor by which the saturation does. A grey pixel has hue zero,
    which is red; an image of one channel has no saturation and stays as it is.

    line: Factor and offset of the saturation.
    """
    if images.shape[-1] == 1:
        return images
    factor, offset = line
    unit = images / 255.0
    value = unit.max(axis=-1, keepdims=True)
    span = value - unit.min(axis=-1, keepdims=True)
    saturation = np.divide(span, value, out=np.zeros_like(span), where=span > 0)
    wanted = np.clip(saturation * factor + offset, 0.0, 1.0)
    # Of a grey pixel: towards red.
    distance = np.tile([0.0, 1.0, 1.0], (*span.shape[:-1], 1))
    np.divide(value - unit, span, out=distance, where=span > 0)
    return value * (1.0 - wanted * distance)


def _value_and_shares(unit):
    """Value of HSV, and the channels as shares of it: to brighten images.

    With hue and saturation kept, every channel grows by the factor by which the
    largest one, the value, does; black, which has no hue, becomes grey.
    """
    value = unit.max(axis=-1, keepdims=True)
    shares = np.divide(unit, value, out=np.ones_like(unit), where=value > 0)
    return value, shares


def _shares(strengths, smoothnesses, shifts, side=1):
    columns = np.multiply(side, [strengths, smoothnesses, shifts])
    return tuple(map(tuple, columns.T.tolist()))


@CORRUPTIONS.register(
    "elastic_transform",
    family="digital",
    cifar=_shares(
        (0, 0.05, 0.08, 0.1, 0.1),
        (0, 0.2, 0.06, 0.04, 0.03),
        (0.08, 0.07, 0.06, 0.05, 0.03),
    ),
    imagenet=_shares(
        (2, 2, 0.05, 0.07, 0.12),
        (0.7, 0.08, 0.01, 0.01, 0.01),
        (0.1, 0.2, 0.02, 0.02, 0.02),
        # The makers' constants are multiples of 244, not of 224.
        side=244 / 224,
    ),
    tiny=_shares(
        (0, 0.05, 0.1, 0.1, 0.16),
        (0, 0.3, 0.08, 0.03, 0.03),
        (0.08, 0.06, 0.06, 0.03, 0.02),
    ),
)
def elastic_transform(images, shares, streams) -> np.ndarray:
    """Moves three points of the image and wobbles what lies between pixels.

    shares: Strength and smoothness of the wobbling, and the largest shift
        of the points, as shares of the shorter side of the image.
    """
    height, width = images.shape[1:3]
    strength, smoothness, shift = np.multiply(shares, min(height, width))
    draws = streams.draw(
        lambda generator: generator.uniform(-1, 1, 6 + 2 * height * width)
    )
    shifts = (shift * draws[:, :6].reshape(-1, 3, 2)).astype(np.float32)
    reach = min(height, width) // 3
    corners = np.array([[1, 1], [1, -1], [-1, -1]]) * reach
    corners = (corners + [width // 2, height // 2]).astype(np.float32)
    moved = corners + shifts
    rows, columns = _affine_coordinates(corners, moved, height, width)
    unit = images.astype(np.float32) / 255
    moved = _bilinear(unit, rows, columns, 0)
    if not strength:
        return moved
    noise = draws[:, 6:].reshape(-1, 2, height, width)
    wobble = (strength * _smoothed(noise, smoothness)).astype(np.float32)
    across, down = wobble[:, 0], wobble[:, 1]
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return _bilinear(moved, down + rows, across + columns, 1)


def _affine_coordinates(before, after, height, width):
    """Sources of affine maps of points to points: rows, columns `[B, H, W]`."""
    ones = np.ones([*after.shape[:2], 1])
    corners = np.concatenate([after.astype(np.float64), ones], axis=-1)
    points = before[np.newaxis].astype(np.float64)
    maps = np.linalg.solve(corners, points).swapaxes(1, 2)
    across = np.rint(maps[:, :, None, :1] * np.arange(width) * _FINE)
    down = maps[:, :, 1:2] * np.arange(height) + maps[:, :, 2:]
    down = np.rint(down * _FINE)[..., None]
    steps = (across + down).astype(int) + _FINE // _COARSE // 2
    coordinates = (steps // (_FINE // _COARSE)).astype(np.float32) / _COARSE
    return coordinates[:, 1], coordinates[:, 0]


def _bilinear(images, rows, columns, edge):
    """Samples images between their pixels, in the coordinates' own precision.

    Beyond them they are mirrored about the centre of the last pixel (`edge` 0)
    or about its outer edge (1).
    """
    batch, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    first = np.arange(batch)[:, None, None] * height * width
    top, left = np.floor(rows), np.floor(columns)
    low, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = top.astype(int), left.astype(int)
    lines = [first + _folded(top + i, height, edge) * width for i in (0, 1)]
    places = [_folded(left + i, width, edge) for i in (0, 1)]
    # A weight for each of the four and one sum, as the benchmark's makers have
    # it: truncation shows a difference in the last bit.
    total = pixels[lines[0] + places[0]] * ((1 - low) * (1 - right))
    total += pixels[lines[0] + places[1]] * ((1 - low) * right)
    total += pixels[lines[1] + places[0]] * (low * (1 - right))
    total += pixels[lines[1] + places[1]] * (low * right)
    return total.astype(np.float32)


def _folded(index, size, edge):
    period = max(2 * (size - 1 + edge), 1)
    index = index % period
    return np.minimum(index, period - edge - index)


def _smoothed(planes, deviation):
    """Gaussian filter, cut at three deviations, of planes `[..., H, W]`.

    With the border reflected about the outer edge, cosines pass such a filter
    unchanged but for a factor; so a deviation of half the image costs no more
    than one of a few pixels.
    """
    height, width = planes.shape[-2:]
    down, across = _response(height, deviation), _response(width, deviation)
    waves = fft.dctn(planes, axes=(-2, -1)) * np.outer(down, across)
    return fft.idctn(waves, axes=(-2, -1))


@functools.lru_cache(maxsize=16)
def _response(size, deviation):
    """What a Gaussian leaves of the cosines of a line, `[size]`."""
    taps = np.arange(1, int(3 * deviation + 0.5) + 1)
    weights = np.exp(-0.5 * (taps / deviation) ** 2)
    waves = np.cos(np.pi * np.outer(np.arange(size), taps) / size)
    return (1 + 2 * waves @ weights) / (1 + 2 * weights.sum())


@CORRUPTIONS.register(
    "pixelate",
    family="digital",
    cifar=(0.95, 0.9, 0.85, 0.75, 0.65),
    imagenet=(0.6, 0.5, 0.4, 0.3, 0.25),
    tiny=(0.9, 0.8, 0.7, 0.6, 0.5),
)
def pixelate(images, factor, streams) -> np.ndarray:
    """Averages down to a share of the size and enlarges with hard edges."""
    height, width = images.shape[1:3]
    small = max(1, int(width * factor)), max(1, int(height * factor))

    def down_and_up(image):
        image = image.resize(small, Image.Resampling.BOX)
        return image.resize((width, height), Image.Resampling.BOX)

    return Pictures(images).changed(down_and_up)


@CORRUPTIONS.register(
    "jpeg_compression",
    family="digital",
    cifar=(80, 65, 58, 50, 40),
    imagenet=(25, 18, 15, 10, 7),
    tiny=(65, 58, 50, 40, 25),
)
def jpeg_compression(images, quality, streams) -> np.ndarray:
    """Compresses as JPEG of a quality and decodes again."""

    def round_trip(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return Pictures(images).changed(round_trip)
