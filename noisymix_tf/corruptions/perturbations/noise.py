"""Noise, fresh in every frame: Gaussian, shot; extra: speckle.

The first frame is the image itself.
"""

import numpy as np

from noisymix_tf.corruptions.core import EXTRAS, TABLES
from noisymix_tf.corruptions.perturbations.sequence import perturbation

_FRAMES = 31


@perturbation(
    "gaussian_noise",
    family="noise",
    sets=TABLES,
    cifar=(0.02, 0.04, 0.06),
    imagenet=(0.03, 0.05, 0.08),
    tiny=(0.025, 0.05, 0.075),
)
def gaussian_noise(images, deviation, streams):
    """Adds normal noise of a standard deviation."""
    unit, generators = images / np.float32(255.0), list(streams)
    yield images
    for _ in range(1, _FRAMES):
        yield unit + np.float32(deviation) * _normal(generators, unit)


@perturbation(
    "shot_noise",
    family="noise",
    sets=TABLES,
    cifar=(700, 400, 200),
    imagenet=(300, 120, 60),
    tiny=(500, 250, 125),
)
def shot_noise(images, photons, streams):
    """Counts photons: Poisson, with `photons` expected at full brightness."""
    expected, generators = images / 255.0 * photons, list(streams)
    yield images
    for _ in range(1, _FRAMES):
        counts = [
            generator.poisson(image)
            for generator, image in zip(generators, expected)
        ]
        yield np.stack(counts) / photons


@perturbation(
    "speckle_noise",
    family="noise",
    sets=EXTRAS,
    cifar=(0.05, 0.07, 0.1),
    imagenet=(0.05, 0.1, 0.15),
    tiny=(0.05, 0.1, 0.15),
)
def speckle_noise(images, deviation, streams):
    """Multiplies by one plus normal noise: brighter pixels suffer more."""
    unit, generators = images / 255.0, list(streams)
    yield images
    for _ in range(1, _FRAMES):
        noise = deviation * _normal(generators, unit)
        yield unit + unit * noise


def _normal(generators, unit):
    """Standard normal numbers of the shape and type of a batch."""
    shape, dtype = unit.shape[1:], unit.dtype
    return np.stack(
        [generator.standard_normal(shape, dtype) for generator in generators]
    )
