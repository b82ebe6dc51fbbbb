"""Spatter: drops of water or mud on the lens, from a layer of noise.

Drops of water are lit from one side. The steps that find their outlines, and
their whole-number arithmetic, are those that the benchmark's makers took from
an image library; all work on whole batches `[B, H, W]`.
"""

import functools

import numpy as np

from noisymix_tf.corruptions.colour import paint
from noisymix_tf.corruptions.filters import gaussian_filter

# Pale turquoise.
WATER = (175, 238, 238)
_MUD = (63, 42, 20)

# Lengths of a step to the side, along the diagonal and of a chess knight
# (Borgefors, 1986), in units of 1 / 10,000 of a pixel.
_UNIT = 10_000
_SIDE, _DIAGONAL, _KNIGHT = 10_000, 14_000, 21_969
_FAR = 1 << 30
# Where a step into a pixel may come from: rows up, columns right, its length.
_STEPS_DOWN = (
    (2, -1, _KNIGHT),
    (2, 1, _KNIGHT),
    (1, -2, _KNIGHT),
    (1, -1, _DIAGONAL),
    (1, 0, _SIDE),
    (1, 1, _DIAGONAL),
    (1, 2, _KNIGHT),
)

# tan(22.5 degrees) in units of 2 ** -15: gradients are sorted into four
# directions by whole numbers.
_SHIFT = 15
_TANGENT = 13573

_LIT_FROM_BELOW_RIGHT = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def splashed(images, noise, smoothness, threshold, amount, liquid):
    """The part of `spatter` that comes after the draws.

    An image on which there is no drop stays as it is.

    Args:
        images: uint8 `[B, H, W, C]`.
        noise: float64 `[B, H, W]`.
        smoothness, threshold, amount, liquid: As in `spatter`.

    Returns:
        float32 `[B, H, W, C]`.
    """
    unit = images.astype(np.float32) / 255
    layer = gaussian_filter(noise[..., None], smoothness)[..., 0]
    if liquid == "mud":
        mud = (layer > threshold).astype(np.float32)[..., None]
        cover = gaussian_filter(mud, amount)
        cover = np.where(cover < 0.8, np.float32(0), cover)
        return unit * (1 - cover) + paint(_MUD, images.shape[-1]) * cover
    layer = np.where(layer < threshold, 0.0, layer)
    light = shade((layer * 255).astype(np.uint8))[..., None]
    return unit + amount * light * paint(WATER, images.shape[-1])


def shade(liquid):
    """Brightness of the drops of a layer.

    Args:
        liquid: uint8 `[B, H, W]`, zero where there is no drop.

    Returns:
        float32 `[B, H, W]`, the largest value of an image being one; zero
        everywhere in images without drops.
    """
    depth = distance(~edges(liquid, 50, 150), limit=20.0)
    depth = _blurred(depth.astype(np.float64)).astype(np.float32)
    depth = equalized(depth.astype(np.uint8)).astype(np.int64)
    relief = _weighted(depth, _LIT_FROM_BELOW_RIGHT)
    relief = np.rint(_blurred(np.clip(relief, 0, 255)))
    light = liquid * relief.astype(np.float32)
    brightest = light.max(axis=(1, 2), keepdims=True)
    return np.divide(
        light, brightest, out=np.zeros_like(light), where=brightest > 0
    )


def edges(planes, low, high):
    """Outlines after Canny (1986), bool `[B, H, W]`.

    Args:
        planes: uint8 `[B, H, W]`.
        low: Sum of the absolute derivatives that an outline must exceed.
        high: Sum that some pixel of every connected outline must exceed.
    """
    from scipy import ndimage

    padded = _padded(planes.astype(np.int64), "edge")
    smooth = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = smooth[:, :, 2:] - smooth[:, :, :-2]
    smooth = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    down = smooth[:, 2:] - smooth[:, :-2]
    size = np.abs(across) + np.abs(down)
    thin = (size > low) & _is_ridge(size, across, down)
    # Every image on its own: nothing connects along the first axis.
    connected = np.zeros([3, 3, 3], bool)
    connected[1] = True
    outlines, _ = ndimage.label(thin, connected)
    strong = np.zeros(outlines.max() + 1, bool)
    strong[outlines[thin & (size > high)]] = True
    return strong[outlines] & thin


def _is_ridge(size, across, down):
    """Whether no neighbour along the gradient is larger."""
    beside = functools.partial(_shifted, _padded(size, "constant"))
    steep = np.abs(down) << _SHIFT
    shallow = np.abs(across) * _TANGENT
    horizontal = steep < shallow
    vertical = steep > shallow + (np.abs(across) << (_SHIFT + 1))
    falling = (across ^ down) < 0
    before = np.where(falling, beside(-1, 1), beside(-1, -1))
    after = np.where(falling, beside(1, -1), beside(1, 1))
    ridge = (size > before) & (size > after)
    ridge = np.where(
        vertical, (size > beside(-1, 0)) & (size >= beside(1, 0)), ridge
    )
    return np.where(
        horizontal, (size > beside(0, -1)) & (size >= beside(0, 1)), ridge
    )


def distance(away, limit):
    """Distance from every pixel to the nearest False, at most `limit`.

    Paths are made of steps to the eight neighbours and of knight's moves; one
    sweep from the top and one from the bottom find the shortest.

    Args:
        away: bool `[B, H, W]`.
        limit: In pixels.

    Returns:
        float32 `[B, H, W]`.
    """
    lengths = np.where(away, _FAR, 0)
    for _ in range(2):
        _sweep(lengths)
        # The view from the other corner: the same sweep, the other half.
        lengths = lengths[:, ::-1, ::-1]
    return np.minimum(lengths.astype(np.float32) / _UNIT, np.float32(limit))


def _sweep(lengths):
    """Lets distances flow down and to the right, in place."""
    batch, height, width = lengths.shape
    slope = _SIDE * np.arange(width)
    # Two rows above and two columns on either side lie outside the image.
    above = [np.full([batch, width + 4], _FAR) for _ in range(2)]
    for row in range(height):
        best = lengths[:, row]
        for up, right, length in _STEPS_DOWN:
            near = above[-up][:, 2 + right : 2 + right + width]
            best = np.minimum(best, near + length)
        # Along the row: the least of all on the left plus the way from there.
        best = np.minimum.accumulate(best - slope, axis=1) + slope
        lengths[:, row] = best
        line = np.full([batch, width + 4], _FAR)
        line[:, 2:-2] = best
        above = [above[1], line]


def equalized(planes):
    """Spreads the values of every uint8 plane evenly over 0 to 255."""
    batch = len(planes)
    values = planes.reshape(batch, -1)
    keys = values + 256 * np.arange(batch)[:, None]
    counts = np.bincount(keys.ravel(), minlength=256 * batch)
    counts = counts.reshape(batch, 256)
    least = (counts > 0).argmax(axis=1)
    rows = np.arange(batch)
    rest = values.shape[1] - counts[rows, least]
    counts[rows, least] = 0
    scale = np.float32(255) / np.maximum(rest, 1).astype(np.float32)
    above = counts.cumsum(axis=1).astype(np.float32)
    table = np.rint(above * scale[:, None]).astype(np.uint8)
    # A plane of one value only stays as it is.
    table[rest == 0] = np.arange(256)
    return np.take_along_axis(table, values.astype(np.int64), axis=1).reshape(
        planes.shape
    )


def _blurred(planes):
    """Mean of three by three, float64; the border is mirrored."""
    padded = _padded(planes, "reflect")
    total = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total = total[:, :, :-2] + total[:, :, 1:-1] + total[:, :, 2:]
    return total * (1 / 9)


def _weighted(planes, weights):
    """Weighted sum of three by three; the border is mirrored."""
    padded = _padded(planes, "reflect")
    return sum(
        weight * _shifted(padded, row - 1, column - 1)
        for row, line in enumerate(weights)
        for column, weight in enumerate(line)
        if weight
    )


def _padded(planes, mode):
    return np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode=mode)


def _shifted(padded, down, right):
    """The neighbours so far below and to the right, from `_padded`."""
    _, height, width = padded.shape
    return padded[
        :, 1 + down : height - 1 + down, 1 + right : width - 1 + right
    ]
