"""Crops of pictures of frost, laid over images."""

import functools

import numpy as np

from noisymix_tf.corruptions.colour import luma
from noisymix_tf.corruptions.frost_textures import textures


def crops(generators, height, width, stride, folder=None):
    """A random part of a random picture for every generator.

    Args:
        generators: Iterable of B generators.
        height, width: Of the images.
        stride: Pixels of a picture from one that is taken to the next;
            between two pixels it is interpolated.
        folder: As in `textures`.

    Returns:
        uint8 `[B, H, W, 3]`.
    """
    pictures = _large_enough(height, width, stride, folder)
    parts = []
    for generator in generators:
        picture = pictures[generator.integers(len(pictures))]
        row = generator.integers(picture.shape[0] - height)
        column = generator.integers(picture.shape[1] - width)
        parts.append(picture[row : row + height, column : column + width])
    return np.stack(parts)


def frosted(images, ice, clear, icy):
    """Weighted sum of images and ice, uint8 `[B, H, W, C]`.

    Args:
        images: uint8 `[B, H, W, C]`.
        ice: uint8 `[B, H, W, 3]`.
        clear, icy: Weights of the two.
    """
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
        picture = Image.fromarray(picture).transform(
            size,
            Image.Transform.AFFINE,
            (stride, 0, 0, 0, stride, 0),
            Image.Resampling.BILINEAR,
        )
        scale = max((height + 1) / rows, (width + 1) / columns)
        if scale > 1:
            size = int(np.ceil(columns * scale)), int(np.ceil(rows * scale))
            picture = picture.resize(size)
        pictures.append(np.asarray(picture))
    return pictures
