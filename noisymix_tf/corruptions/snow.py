"""Falling snow: streaks of flakes over a whitened scene."""

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS
from noisymix_tf.corruptions.filters import luma, zoom_taps
from noisymix_tf.corruptions.motion import smeared


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
def snow(images, fall, streams):
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
def snow_film(images, fall, streams):
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
