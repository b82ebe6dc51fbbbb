"""Falling snow."""

import numpy as np

from noisymix_tf.corruptions import motion
from noisymix_tf.corruptions.colour import luma
from noisymix_tf.corruptions.zoom import zoom


def snowfall(
    images, noise, angles, magnification, threshold, radius, deviation, kept
):
    """The part of `snow` that comes after the draws.

    Args:
        images: uint8 `[B, H, W, C]`.
        noise: float64 `[B, H, W]`.
        angles: Degrees `[B]`.
        magnification, threshold, radius, deviation, kept: As in `snow`.

    Returns:
        float `[B, H, W, C]`.
    """
    layer = zoom(noise, magnification)
    layer = np.where(layer < threshold, 0.0, layer).clip(0.0, 1.0)
    layer = (layer * 255).astype(np.uint8)[..., None]
    layer = motion.motion_blur(layer, radius, deviation, angles) / 255.0
    unit = images.astype(np.float32) / 255
    white = np.maximum(unit, luma(unit) * 1.5 + 0.5)
    scene = kept * unit + (1 - kept) * white
    # Twice, once upside down, so that one layer makes two kinds of flakes.
    return scene + layer + layer[:, ::-1, ::-1]
