"""C-bar: shapes that hide a part of an image."""

import math
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.c_bar import bar, places, side

_GREY = 128
_SPARKLES = 5


def _rays(generator, radius):
    """Lengths of the rays of one sparkle."""
    number = generator.integers(50, 200)
    return radius + 0.25 * radius * generator.standard_normal(number)


def _sparkle(shape, centre, lengths, power):
    """How bright light is that goes out from a point in rays."""
    down, right = places(shape) - np.reshape(centre, (2, 1, 1))
    turned = (np.arctan2(right, down) + np.pi) / (2 * np.pi) * len(lengths)
    ray = turned.astype(int)
    beside = turned - ray
    length, after = (np.take(lengths, ray + k, mode="wrap") for k in (0, 1))
    length = length + beside * (after - length)
    light = (length**2 / (down**2 + right**2 + 1e-4)) ** power
    return np.clip((1 - (beside - 0.5) ** 2) * light, 0, 1)[..., None]


def _sparkles(generator, shape, level):
    radius = 0.01 * level * side(shape)
    centres = generator.uniform(0, shape[:2], (_SPARKLES, 2))
    rays = [_rays(generator, radius) for _ in centres]
    return centres, [np.maximum(lengths, 1) for lengths in rays]


@bar(
    "sparkles",
    _sparkles,
    family="weather",
    cifar=(0.7, 3.5, 5.6, 6.3, 7.0),
    imagenet=(1.0, 2.0, 3.0, 5.0, 6.0),
)
def sparkles(image, centres, rays) -> np.ndarray:
    """Five points that send out white rays."""
    for centre, lengths in zip(centres, rays):
        light = _sparkle(image.shape, centre, lengths, 1.0)
        image = image.astype(np.float32)
        image = image + light * (255 - image)
    return image


def _inverse_sparkles(generator, shape, level):
    centre = generator.uniform(0.25, 0.75, 2) * shape[:2]
    return centre, _rays(generator, 0.25 * side(shape)), 0.13 * level


@bar(
    "inverse_sparkles",
    _inverse_sparkles,
    family="weather",
    cifar=(1.0, 1.5, 2.5, 4.5, 5.0),
    imagenet=(1.0, 2.0, 4.0, 9.0, 10.0),
)
def inverse_sparkles(image, centre, lengths, power) -> np.ndarray:
    """White, but for what lies within the rays of one point."""
    light = _sparkle(image.shape, centre, lengths, power)
    return 255 + light * (image.astype(np.float32) - 255)


def _checkerboard(generator, shape, level):
    length = max(generator.uniform(0.1, 0.25) * side(shape), 1)
    number = int(4 * max(shape[:2]) // length)
    hidden = generator.uniform(size=(number, number)) < 0.1 * level
    return length, generator.uniform(0, 2 * np.pi), hidden


@bar(
    "checkerboard_cutout",
    _checkerboard,
    family="digital",
    cifar=(1.0, 2.0, 3.0, 4.0, 5.0),
    imagenet=(2.0, 3.0, 4.0, 5.0, 6.0),
)
def checkerboard_cutout(image, length, angle, hidden) -> np.ndarray:
    """Paints some of the dark squares of a turned checkerboard grey."""
    rows, columns = places(image.shape)
    cos, sin = np.cos(angle), np.sin(angle)
    along = (cos * rows + sin * columns) / length
    across = (cos * columns - sin * rows) / length
    is_dark = (along % 2).astype(int) == (across % 2).astype(int)
    # As the benchmark rounds: squares on both sides of zero are one.
    is_hidden = is_dark & hidden[along.astype(int), across.astype(int)]
    return np.where(is_hidden[..., None], _GREY, image)


def _lines(generator, shape, level):
    size = side(shape)
    angle = generator.uniform(0, 2 * np.pi)
    spread = 2 * np.pi * generator.uniform(0.1, 1.0)
    ends = []
    for row, column, turn in generator.uniform(
        size=(int(0.1 * level * size), 3)
    ):
        turned = angle + spread * (turn - 0.5)
        row, column = row * shape[0], column * shape[1]
        down, right = math.cos(turned) * size, math.sin(turned) * size
        pairs = (row - down, column - right, row + down, column + right)
        ends.append(tuple(map(int, pairs)))
    return (ends,)


@bar(
    "lines",
    _lines,
    family="digital",
    cifar=(0.5, 1.0, 1.5, 2.0, 2.5),
    imagenet=None,
)
def lines(image, ends) -> np.ndarray:
    """Draws grey lines, `(row, column)` to `(row, column)`."""
    image, (height, width, _) = image.copy(), image.shape
    for four in ends:
        pixels = {
            (row, column): share
            for row, column, share in smooth_line(*four)
            if 0 <= row < height and 0 <= column < width
        }
        if pixels:
            there = tuple(np.transpose(list(pixels)))
            share = np.array(list(pixels.values()))[:, None]
            image[there] = (1 - share) * image[there] + share * _GREY
    return image


def smooth_line(row, column, last_row, last_column) -> Iterator[tuple]:
    """Yields `(row, column, share)` of the pixels that a line covers.

    Zingl (2012), "A Rasterizing Algorithm for Drawing Curves": a walk along the
    line with, beside each pixel on it, those that it touches.
    """
    down, right = abs(last_row - row), abs(last_column - column)
    row_step = 1 if row < last_row else -1
    column_step = 1 if column < last_column else -1
    length, error = math.hypot(down, right) or 1.0, right - down
    while True:
        yield row, column, 1 - abs(error - right + down) / length
        before, column_before = error, column
        if 2 * before >= -right:
            if column == last_column:
                return
            if before + down < length:
                yield row + row_step, column, 1 - abs(before + down) / length
            error -= down
            column += column_step
        if 2 * before <= down:
            if row == last_row:
                return
            if right - before < length:
                beside = 1 - abs(right - before) / length
                yield row, column_before + column_step, beside
            error += right
            row += row_step
