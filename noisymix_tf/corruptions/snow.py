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
    scene = whitened(images.astype(np.float32) / 255, kept)
    layer = flakes(noise, magnification, threshold)
    return fallen(scene, layer, radius, deviation, angles)


def flakes(noise, magnification, threshold):
    """What is left of a magnified layer of noise above a threshold.

    Args:
        noise: float64 `[B, H, W]`.
        magnification, threshold: As in `snow`.

    Returns:
        uint8 `[B, H, W, 1]`.
    """
    layer = zoom(noise, magnification)
    layer = np.where(layer < threshold, 0.0, layer).clip(0.0, 1.0)
    return (layer * 255.0).astype(np.uint8)[..., None]


def whitened(unit, kept):
    """Mixes in a bright, grey copy, as snow on the ground would.

    Args:
        unit: Floats in [0, 1] `[B, H, W, C]`; the grey is of single precision
            in any case.
        kept: Share of the image that stays.

    Returns:
        Float `[B, H, W, C]` of the type of `unit`.
    """
    grey = luma(unit.astype(np.float32))
    white = np.maximum(unit, grey * 1.5 + 0.5)
    return kept * unit + (1 - kept) * white


def fallen(scene, layer, radius, deviation, angles):
    """Adds the streaks of falling flakes to a scene.

    Args:
        scene: Float `[B, H, W, C]`.
        layer: From `flakes`.
        radius, deviation, angles: As in `motion.motion_blur`.

    Returns:
        float64 `[B, H, W, C]`, to be clipped.
    """
    layer = motion.motion_blur(layer, radius, deviation, angles) / 255.0
    # Twice, once upside down, so that one layer makes two kinds of flakes.
    return scene + layer + layer[:, ::-1, ::-1]
