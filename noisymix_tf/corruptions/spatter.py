"""Spatter: drops of water or mud on the lens, from a layer of noise.

The steps that find the outlines of drops and light them, and their whole-number
arithmetic, are those that the benchmark's makers took from an image library.
"""

from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS
from noisymix_tf.corruptions.filters import gaussian_filter, paint
from noisymix_tf.lazy import ndimage

# Pale turquoise.
_WATER = (175, 238, 238)
_MUD = (63, 42, 20)

# Lengths of a step to the side, along the diagonal and of a chess knight
# (Borgefors, 1986), in units of 1 / 10,000 of a pixel, by their squares.
_UNIT = 10_000
_LENGTHS = {1: 10_000, 2: 14_000, 5: 21_969}
_FAR = 1 << 30
# Where a step into a pixel may come from: rows up and columns right.
_STEPS_DOWN = ((2, -1), (2, 1), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2))

# tan(22.5 degrees) in units of 2 ** -15: gradients are sorted into four
# directions by whole numbers.
_SHIFT = 15
_TANGENT = 13573

_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
_LIT_FROM_BELOW_RIGHT = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


@CORRUPTIONS.register(
    "spatter",
    family="weather",
    extra=True,
    cifar=(
        (0.62, 0.1, 0.7, 0.7, 0.5, "water"),
        (0.65, 0.1, 0.8, 0.7, 0.5, "water"),
        (0.65, 0.3, 1, 0.69, 0.5, "water"),
        (0.65, 0.1, 0.7, 0.69, 0.6, "mud"),
        (0.65, 0.1, 0.5, 0.68, 0.6, "mud"),
    ),
    imagenet=(
        (0.65, 0.3, 4, 0.69, 0.6, "water"),
        (0.65, 0.3, 3, 0.68, 0.6, "water"),
        (0.65, 0.3, 2, 0.68, 0.5, "water"),
        (0.65, 0.3, 1, 0.65, 1.5, "mud"),
        (0.67, 0.4, 1, 0.65, 1.5, "mud"),
    ),
    tiny=(
        (0.62, 0.1, 0.7, 0.7, 0.6, "water"),
        (0.65, 0.1, 0.8, 0.7, 0.6, "water"),
        (0.65, 0.3, 1, 0.69, 0.6, "water"),
        (0.65, 0.1, 0.7, 0.68, 0.6, "mud"),
        (0.65, 0.1, 0.5, 0.67, 0.6, "mud"),
    ),
)
def spatter(images, drops, streams) -> np.ndarray:
    """Puts drops of water or of mud on the lens, or leaves it as it is.

    drops: Mean and deviation of a layer of noise, deviation of the blur
        that makes drops of it, the value below which there is none, the
        strength of water or the blur of mud, and which of the two.
    """
    mean, deviation, smoothness, threshold, amount, stuff = drops
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.normal(mean, deviation, shape))
    liquid = _liquid(noise, smoothness, threshold)
    unit = images.astype(np.float32) / 255
    if stuff == "water":
        return unit + amount * _light(liquid) * paint(_WATER, images.shape[-1])
    mud = (liquid > threshold).astype(np.float32)[..., None]
    cover = gaussian_filter(mud, amount)
    cover = np.where(cover < 0.8, np.float32(0), cover)
    return unit * (1 - cover) + paint(_MUD, images.shape[-1]) * cover


@PERTURBATIONS.register(
    "spatter",
    family="weather",
    sets=("cifar", "imagenet_extra", "tiny_extra"),
    cifar=(0.6, 0.265, 1.75, 0.7, (0.8, 0.2)),
    imagenet=(0.65, 0.27, 3.7, 0.69, (0.7, 0.15, 0.1, 0.05)),
    tiny=(0.6, 0.25, 1.75, 0.7, (0.8, 0.2)),
)
def spatter_film(images, drops, streams) -> Iterator[np.ndarray]:
    """Drops of water run down the lens.

    Without a drop a frame is the image itself, where the benchmark's makers
    divide zero by zero and get a black one (of twenty, with CIFAR's constants).

    drops: Mean and deviation of a layer of noise, deviation of the blur
        that makes drops of it, the value below which there is none, and the
        weights that move the layer down from frame to frame, from the pixel
        farthest above to the one farthest below.
    """
    mean, deviation, smoothness, threshold, flow = drops
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.standard_normal(shape))
    liquid = _liquid(mean + deviation * noise, smoothness, threshold)
    unit = images.astype(np.float32) / 255
    water = np.float32(0.6) * paint(_WATER, images.shape[-1])
    for _ in range(31):
        yield unit + _light(liquid) * water
        liquid = moved_down(liquid, flow)


def moved_down(planes, weights) -> np.ndarray:
    """Weighted sum of pixels above, farthest first, and below; zero outside."""
    height, above = planes.shape[1], len(weights) // 2
    below = len(weights) - 1 - above
    padded = np.pad(planes, ((0, 0), (above, below), (0, 0)))
    return sum(w * padded[:, i : i + height] for i, w in enumerate(weights))


def _liquid(noise, smoothness, threshold):
    """What is left of smoothed noise `[B, H, W]` above a threshold."""
    layer = gaussian_filter(noise[..., None], smoothness)[..., 0]
    return np.where(layer < threshold, 0.0, layer)


def _light(layer):
    """Brightness of drops, float32 `[B, H, W, 1]`; one at an image's best."""
    liquid = (layer * 255).astype(np.uint8)
    depth = _distance(~_edges(liquid, 50, 150), limit=20.0)
    depth = _blurred(depth.astype(np.float64)).astype(np.float32)
    depth = np.stack([_equalized(plane) for plane in depth.astype(np.uint8)])
    relief = _weighted(depth.astype(np.int32), _LIT_FROM_BELOW_RIGHT, "mirror")
    relief = np.rint(_blurred(np.clip(relief, 0, 255)))
    light = liquid * relief.astype(np.float32)
    brightest = light.max(axis=(1, 2), keepdims=True)
    lit = np.zeros_like(light)
    return np.divide(light, brightest, out=lit, where=brightest > 0)[..., None]


def _edges(planes, low, high):
    """Outlines after Canny (1986) of uint8, bool `[B, H, W]`.

    Sums of absolute derivatives exceed `low`, and `high` somewhere on each.
    """
    planes = planes.astype(np.int32)
    across = _weighted(planes, _SOBEL, "nearest")
    down = _weighted(planes, _SOBEL.T, "nearest")
    size = np.abs(across) + np.abs(down)
    thin = (size > low) & _is_ridge(size, across, down)
    # Every image on its own: nothing connects along the first axis.
    connected = np.zeros([3, 3, 3], bool)
    connected[1] = True
    outlines, _ = ndimage.label(thin, connected)
    strong = np.unique(outlines[thin & (size > high)])
    return np.isin(outlines, strong)


def _is_ridge(size, across, down):
    """Whether no neighbour along the gradient is larger."""
    padded = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    _, height, width = size.shape

    def beside(below, right):
        rows = slice(1 + below, 1 + below + height)
        return padded[:, rows, 1 + right : 1 + right + width]

    steep = np.abs(down) << _SHIFT
    shallow = np.abs(across) * _TANGENT
    horizontal = steep < shallow
    vertical = steep > shallow + (np.abs(across) << (_SHIFT + 1))
    falling = (across ^ down) < 0
    where = horizontal, vertical, falling
    before = beside(0, -1), beside(-1, 0), beside(-1, 1)
    # Of two that are equal the first is a ridge, but not along a diagonal.
    after = beside(0, 1) - 1, beside(1, 0) - 1, beside(1, -1)
    return (size > np.select(where, before, beside(-1, -1))) & (
        size > np.select(where, after, beside(1, 1))
    )


def _distance(away, limit):
    """Pixels from everywhere to the nearest False, float32, at most `limit`.

    Paths are made of steps to the eight neighbours and of knight's moves; one
    sweep from the top and one from the bottom find the shortest.
    """
    height, width = away.shape[1:]
    # A rim of two pixels lies outside the image.
    lengths = np.full([len(away), height + 4, width + 4], _FAR, np.int32)
    lengths[:, 2:-2, 2:-2] *= away
    slope = _LENGTHS[1] * np.arange(width, dtype=np.int32)
    for _ in range(2):
        for row in range(2, height + 2):
            best = lengths[:, row, 2:-2]
            for up, right in _STEPS_DOWN:
                near = lengths[:, row - up, 2 + right :][:, :width]
                step = _LENGTHS[up * up + right * right]
                best = np.minimum(best, near + step)
            # Along the row: the least of all on the left plus the way to it.
            best = np.minimum.accumulate(best - slope, axis=1) + slope
            lengths[:, row, 2:-2] = best
        # The view from the other corner: the same sweep, the other half.
        lengths = lengths[:, ::-1, ::-1]
    lengths = lengths[:, 2:-2, 2:-2].astype(np.float32)
    return np.minimum(lengths / _UNIT, np.float32(limit))


def _equalized(plane):
    """Spreads the values of a uint8 plane evenly over 0 to 255."""
    counts = np.bincount(plane.ravel(), minlength=256)
    least = plane.min()
    rest = plane.size - counts[least]
    if not rest:
        return plane
    counts[least] = 0
    scale = np.float32(255) / np.float32(rest)
    above = counts.cumsum().astype(np.float32)
    return np.rint(above * scale).astype(np.uint8)[plane]


def _blurred(planes):
    """Mean of three by three, float64; the border is mirrored."""
    for axis in (1, 2):
        planes = ndimage.correlate1d(planes, [1, 1, 1], axis, mode="mirror")
    return planes * (1 / 9)


def _weighted(planes, weights, border):
    """Weighted sum of three by three numbers of every plane."""
    return ndimage.correlate(planes, weights[None], mode=border)
