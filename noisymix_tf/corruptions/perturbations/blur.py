"""Blurs that turn or grow: motion, zoom; extra: Gaussian."""

import numpy as np

from noisymix_tf.corruptions import motion
from noisymix_tf.corruptions.core import EXTRAS, TABLES
from noisymix_tf.corruptions.filters import gaussian_filter
from noisymix_tf.corruptions.perturbations.sampling import magnified
from noisymix_tf.corruptions.perturbations.sequence import perturbation
from noisymix_tf.corruptions.pictures import Pictures


@perturbation(
    "motion_blur",
    family="blur",
    sets=("cifar", "imagenet"),
    cifar=(6, 1.8, range(-180, 1, 9)),
    imagenet=(10, 3, range(-120, 1, 4)),
    frames=(21, 31),
)
def motion_blur(images, line, streams):
    """The camera moves, every frame into another direction.

    Without constants for 64 pixels: the makers of Tiny-ImageNet-P blurred the
    large photographs, before these were made smaller.

    Args:
        images: uint8 `[B, H, W, C]`.
        line: Radius and standard deviation of the blur in pixels, and the
            angles of the frames in degrees.
        streams: Not used.
    """
    radius, deviation, angles = line
    for angle in angles:
        yield motion.motion_blur(images, radius, deviation, angle)


@perturbation(
    "zoom_blur",
    family="blur",
    sets=TABLES,
    cifar=0.004,
    imagenet=0.004,
    tiny=0.004,
    moves=True,
)
def zoom_blur(images, step, streams):
    """The mean of ever more magnifications.

    In single precision up to the end, as the benchmark's was: its last bits
    decide what truncation makes of a flat image.

    Args:
        images: uint8 `[B, H, W, C]`.
        step: How much larger every magnification is than the one before.
        streams: Not used.
    """
    white = np.float32(255.0)
    pictures, total = Pictures(images), images / white
    yield images
    for frame in range(1, 31):
        zoom = magnified(images.shape, 1 + step * frame)
        total = total + pictures.affine(zoom) / white
        yield total / np.float32(frame + 1)


@perturbation(
    "gaussian_blur",
    family="blur",
    sets=EXTRAS,
    cifar=(0.3, 0.015, 7.0),
    imagenet=(0.25, 0.035, 6.0),
    tiny=(0.35, 0.014, 7.0),
)
def gaussian_blur(images, growth, streams):
    """Convolves with a Gaussian that grows.

    Args:
        images: uint8 `[B, H, W, C]`.
        growth: First standard deviation and its step from frame to frame, in
            pixels; and after how many deviations the kernel ends.
        streams: Not used.
    """
    first, step, reach = growth
    unit = images / 255.0
    for frame in range(31):
        yield gaussian_filter(unit, first + step * frame, reach)
