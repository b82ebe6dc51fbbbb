"""Frost, a part of a picture laid over the image, and fog, fractal clouds."""

import functools

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS
from noisymix_tf.corruptions.filters import luma, plasma
from noisymix_tf.corruptions.frost_textures import textures


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
def frost(images, pane, streams, frost_folder=None):
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
    from PIL import Image

    pictures = []
    for picture in textures(folder):
        columns, rows = size = tuple(
            len(np.arange(stride / 2, side, stride))
            for side in picture.shape[1::-1]
        )
        thin = Image.Transform.AFFINE, (stride, 0, 0, 0, stride, 0)
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
def fog(images, clouds, streams):
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
