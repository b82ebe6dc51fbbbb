"""Weather: snow, frost and fog; the light of day is in `digital`."""

import functools
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS
from noisymix_tf.corruptions.filters import luma, plasma, smeared, zoom_taps
from noisymix_tf.corruptions.frost_textures import textures
from noisymix_tf.lazy import Image


@CORRUPTIONS.register(
    "snow",
    family="weather",
    cifar=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    imagenet=(
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    tiny=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
)
def snow(images, fall, streams) -> np.ndarray:
    """Adds streaks of falling snow and whitens the scene.

    fall: Mean and deviation of a layer of noise, its magnification, the
        value below which there is no flake, radius and deviation of the
        motion, and the share of the image that is not whitened.
    """
    mean, deviation, magnification, threshold, *smear, kept = fall
    shape = images.shape[1:3]
    noise, angles = zip(
        *((g.normal(mean, deviation, shape), g.uniform(-1, 1)) for g in streams)
    )
    scene = _whitened(images.astype(np.float32) / 255, kept)
    layer = _flakes(np.stack(noise), magnification, threshold)
    # Mostly downwards.
    return _fallen(scene, layer, *smear, 45 * np.array(angles) - 90)


@PERTURBATIONS.register(
    "snow",
    family="weather",
    sets=("imagenet", "tiny", "cifar_extra"),
    cifar=(0.3, 2, 10, 2),
    imagenet=(0.3, 3, 14, 4),
    tiny=(0.28, 2, 10, 2.5),
)
def snow_film(images, fall, streams) -> Iterator[np.ndarray]:
    """Flakes fall over a whitened image, every frame into another direction.

    fall: Deviation of the layer of noise that flakes are cut from, and its
        magnification; radius and deviation of the motion.
    """
    spread, magnification, *smear = fall
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.standard_normal(shape))
    layer = _flakes(0.05 + spread * noise, magnification, threshold=0.5)
    scene = _whitened(images / 255.0, kept=0.85)
    for frame in range(31):
        yield _fallen(scene, layer, *smear, 4 * frame - 150)


def _flakes(noise, magnification, threshold):
    """What is left of magnified noise `[B, H, W]`, uint8 `[B, H, W, 1]`."""
    for axis in (1, 2):
        before, after, share = zoom_taps(noise.shape[axis], magnification)
        share = share[:, None] if axis == 1 else share
        first, second = noise.take(before, axis), noise.take(after, axis)
        noise = (1.0 - share) * first + share * second
    layer = np.where(noise < threshold, 0.0, noise).clip(0.0, 1.0)
    return (layer * 255.0).astype(np.uint8)[..., None]


def _whitened(unit, kept):
    """Mixes in a bright copy, grey in single precision, like lying snow."""
    grey = luma(unit.astype(np.float32))
    white = np.maximum(unit, grey * 1.5 + 0.5)
    return kept * unit + (1 - kept) * white


def _fallen(scene, layer, radius, deviation, angles):
    """Adds the streaks of falling flakes to a scene, to be clipped."""
    layer = smeared(layer, radius, deviation, angles) / 255.0
    # Twice, once upside down, so that one layer makes two kinds of flakes.
    return scene + layer + layer[:, ::-1, ::-1]


def _panes(stride, *weights):
    """The constants of frost, of weights in pairs and of one stride."""
    pairs = zip(weights[::2], weights[1::2])
    return tuple((*pair, stride) for pair in pairs)


@CORRUPTIONS.register(
    "frost",
    family="weather",
    options=("frost_folder",),
    cifar=_panes(5, 1, 0.2, 1, 0.3, 0.9, 0.4, 0.85, 0.4, 0.75, 0.45),
    imagenet=_panes(1, 1, 0.4, 0.8, 0.6, 0.7, 0.7, 0.65, 0.7, 0.6, 0.75),
    tiny=_panes(10 / 3, 1, 0.3, 0.9, 0.4, 0.8, 0.45, 0.75, 0.5, 0.7, 0.55),
)
def frost(images, pane, streams, frost_folder=None) -> np.ndarray:
    """Lays a random part of a random picture of frost over the image.

    pane: Weights of the image and of the picture; by how much the picture
        is made smaller, without smoothing (five: to a fifth of its size).
    frost_folder: Path of a folder of pictures; None for those that the
        library draws.
    """
    clear, icy, stride = pane
    height, width = images.shape[1:3]
    pictures = _large_enough(height, width, stride, frost_folder)
    parts = []
    for generator in streams:
        picture = pictures[generator.integers(len(pictures))]
        row = generator.integers(picture.shape[0] - height)
        column = generator.integers(picture.shape[1] - width)
        parts.append(picture[row : row + height, column : column + width])
    ice = np.stack(parts)
    if images.shape[-1] == 1:
        ice = luma(ice)
    return (clear * images + icy * ice).clip(0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _large_enough(height, width, stride, folder):
    """The pictures, thinned out, and enlarged where an image is larger."""
    pictures = []
    for picture in textures(folder):
        step = min(stride, *picture.shape[:2])  # At least one pixel is left.
        columns, rows = size = tuple(
            len(np.arange(step / 2, side, step))
            for side in picture.shape[1::-1]
        )
        thin = Image.Transform.AFFINE, (step, 0, 0, 0, step, 0)
        picture = Image.fromarray(picture)
        picture = picture.transform(size, *thin, Image.Resampling.BILINEAR)
        scale = max((height + 1) / rows, (width + 1) / columns)
        if scale > 1:
            size = int(np.ceil(columns * scale)), int(np.ceil(rows * scale))
            picture = picture.resize(size)
        pictures.append(np.asarray(picture))
    return pictures


@CORRUPTIONS.register(
    "fog",
    family="weather",
    cifar=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    imagenet=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    tiny=((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
)
def fog(images, clouds, streams) -> np.ndarray:
    """Adds fractal clouds and dims the sum to the image's own maximum.

    The clouds are computed on the smallest square that the image fits in whose
    side is a power of two: 32 for CIFAR, 256 for 224 pixels.

    clouds: Thickness, and smoothness as in `plasma`.
    """
    thickness, smoothness = clouds
    height, width = images.shape[1:3]
    side = 1 << (max(height, width) - 1).bit_length()
    uniform = streams.draw(lambda generator: generator.random(side**2 - 1))
    unit = images / 255.0
    brightest = unit.max(axis=(1, 2, 3), keepdims=True)
    clouds = plasma(uniform, smoothness)[:, :height, :width, None]
    return (unit + thickness * clouds) * brightest / (brightest + thickness)
