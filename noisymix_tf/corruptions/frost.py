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
        stride: Every which pixel of the pictures is taken.
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
        picture = picture[stride // 2 :: stride, stride // 2 :: stride]
        rows, columns = picture.shape[:2]
        scale = max((height + 1) / rows, (width + 1) / columns)
        if scale > 1:
            size = int(np.ceil(columns * scale)), int(np.ceil(rows * scale))
            picture = np.asarray(Image.fromarray(picture).resize(size))
        pictures.append(picture)
    return pictures
