"""C-bar: shapes that hide a part of an image; blur, and moved pixels."""

import math
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.c_bar import bar, places, side
from noisymix_tf.lazy import ndimage

_GREY = 128
_SPARKLES = 5
_TURNS = 21


def _rays(generator, radius):
    """Lengths of the rays of one sparkle."""
    number = generator.integers(50, 200)
    return radius + 0.25 * radius * generator.standard_normal(number)


def _sparkle(shape, centre, lengths, power):
    """How bright light is that goes out from a point in rays."""
    down, right = places(shape, centre)
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


@bar(
    lambda generator, shape, level: (
        generator.uniform(0.25, 0.75, 2) * shape[:2],
        _rays(generator, 0.25 * side(shape)),
        0.13 * level,
    ),
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


@bar(_lines, family="digital", cifar=(0.5, 1.0, 1.5, 2.0, 2.5))
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


@bar(
    lambda generator, shape, level: (1.5 * level,),
    family="blur",
    cifar=(2.8, 3.6, 4.4, 5.2, 6.0),
)
def circular_motion_blur(image, degrees) -> np.ndarray:
    """Averages over turns about the centre of up to some degrees."""
    image = image.astype(np.float32) / 255
    # Turned with cubic splines, whose coefficients do not depend on the turn.
    planes = [
        ndimage.spline_filter(p, output="f4") for p in np.moveaxis(image, -1, 0)
    ]
    splines, total = np.stack(planes, axis=-1), np.zeros_like(image)
    turns = np.linspace(-1, 1, _TURNS)
    weights = np.exp(-2 * turns**2)
    for turn, weight in zip(turns, weights):
        own = {"reshape": False, "prefilter": False}
        total += weight * ndimage.rotate(splines, turn * degrees, **own)
    return total / weights.sum() * 255


@bar(
    lambda generator, shape, level: (
        generator.permutation(1 + 0.025 * level * np.arange(3))[: shape[-1]],
    ),
    family="blur",
    cifar=(1.0, 2.0, 5.0, 9.0, 10.0),
)
def transverse_chromatic_abberation(image, scales) -> np.ndarray:
    """Magnifies each channel by another factor, and blurs it a little."""
    changed, (height, width, _) = np.empty_like(image), image.shape
    for channel, scale in enumerate(scales):
        # Without the prefilter, as the benchmark: cubic splines that smooth.
        large = ndimage.zoom(image[..., channel], scale, prefilter=False)
        top, left = np.subtract(large.shape, (height, width)) // 2
        changed[..., channel] = large[top : top + height, left : left + width]
    return changed


def _twirls(generator, shape, level):
    number = 5 if side(shape) >= 64 else 3
    ways = generator.choice([1, -1], (number, number))
    return ways * level * np.pi / 20, 0.04 * level + 0.1


@bar(_twirls, family="digital", cifar=(5.5, 6.0, 6.5, 8.5, 10.0))
def pinch_and_twirl(image, angles, amount) -> np.ndarray:
    """Pulls and turns the discs of a grid, by angles `[n, n]` at the middle."""
    image = image.astype(np.float32)
    size = side(image.shape) // len(angles)
    radius = size / 2
    away = places((size, size)) - radius
    distance = np.hypot(*away) / radius
    is_in = (distance <= 1) & (np.round(distance * radius, 3) > 0)
    reach = np.where(is_in, distance, 1.0)
    pulled = away * np.sin(np.pi * 0.5 * reach) ** -amount
    for column, row in np.ndindex(angles.shape):
        turn = angles[column, row] * (1 - reach) ** 2
        cos, sin = np.cos(turn), np.sin(turn)
        down = pulled[0] * cos - pulled[1] * sin
        right = pulled[0] * sin + pulled[1] * cos
        moved = np.where(is_in, [down, right], away) + radius
        top, left = row * size, column * size
        square = np.s_[top : top + size, left : left + size]
        image[square] = sampled(image, moved[0] + top, moved[1] + left)
    return image


@bar(
    lambda generator, shape, level: (
        generator.uniform(0.1, 0.3, 2) * side(shape),
        generator.uniform(0, 2 * np.pi, 2),
        0.0025 * level * side(shape),
    ),
    family="digital",
    cifar=(5.5, 6.0, 6.5, 7.5, 8.0),
)
def ripple(image, lengths, phases, amplitude) -> np.ndarray:
    """Moves rows and columns to and fro, in a wave each."""
    moved = (
        own + amplitude * np.sin(2 * np.pi * own / length + phase)
        for own, length, phase in zip(places(image.shape), lengths, phases)
    )
    return sampled(image, *moved)


@bar(
    lambda generator, shape, level: (
        generator.uniform(0.5, 2.0),
        generator.uniform(0.75, 1.25) * side(shape),
        0.05 * level * side(shape),
        0.2 * level,
    ),
    family="weather",
    imagenet=(2.35, 3.2, 4.9, 6.6, 9.15),
)
def caustic_refraction(image, time, size, lens, light) -> np.ndarray:
    """Looks through moving water: refracted, with bright caustics."""
    slopes = _slopes(caustics(image.shape, time, size))
    height = 1 / np.sqrt((slopes**2).sum(axis=0) + 1)
    tilt = np.sqrt(np.maximum(1 - height**2, 1e-30))
    # Of a ray from above that enters glass four times as dense.
    angle = np.arcsin(np.sin(np.arccos(height)) / 4)
    bent = np.cos(angle) * tilt - np.sin(angle) * height
    bent = np.where(height >= 1 - 1e-3, 0.0, bent)
    shifts = np.round(slopes * height / tilt * bent * lens, 3)
    seen = sampled(
        image.astype(np.float32) / 255, *places(image.shape) + shifts
    )
    seen += light * (slopes[0] - slopes[1])[..., None]
    return np.clip(seen, 0, 1) * 255


def caustics(shape, time, size) -> np.ndarray:
    """A pattern of light on the ground of water, `[H, W]`, smoothed."""
    own = places(shape) / size % 1 * (2 * np.pi) - 250
    waves, total = own, 1.0
    for step in range(1, 6):
        at = time * (1 - 3.5 / step)
        down, right = waves
        waves = own + [
            np.cos(at - down) + np.sin(at + right),
            np.sin(at - right) + np.cos(at + down),
        ]
        bright = own[0] / np.sin(waves[0] + at), own[1] / np.cos(waves[1] + at)
        total += 1 / (np.hypot(*bright) * 0.005)
    pattern = abs(1.17 - (total / 5) ** 1.4) ** 8
    return ndimage.gaussian_filter(np.clip(pattern, 0, 1), 1)


def _slopes(pattern):
    """Differences of the pixels after and before, `[2, H, W]`; 0 outside."""
    padded = np.pad(pattern, 1)
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    return np.stack([down, padded[1:-1, 2:] - padded[1:-1, :-2]])


def sampled(image, rows, columns) -> np.ndarray:
    """An image at places `[H, W]` between its pixels; outside it is black."""
    height, width = image.shape[:2]
    # A rim of two black pixels: all that lies outside is seen on it.
    padded = np.pad(image.astype(float), ((2, 2), (2, 2), (0, 0)))
    rows = np.clip(rows, -2, height) + 2
    columns = np.clip(columns, -2, width) + 2
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    top = top + 1
    lower = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    return upper * (1 - down) + lower * down
