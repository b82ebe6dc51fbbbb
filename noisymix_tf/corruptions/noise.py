"""Noise: Gaussian, shot, impulse; extra: speckle.

Films begin with the image itself and draw fresh noise for every frame.
"""

import functools
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, EXTRAS, PERTURBATIONS

_still = functools.partial(CORRUPTIONS.register, family="noise")
_film = functools.partial(PERTURBATIONS.register, family="noise")


@_still(
    "gaussian_noise",
    cifar=(0.04, 0.06, 0.08, 0.09, 0.10),
    imagenet=(0.08, 0.12, 0.18, 0.26, 0.38),
    tiny=(0.04, 0.08, 0.12, 0.15, 0.18),
)
def gaussian_noise(images, deviation, streams) -> np.ndarray:
    """Adds normal noise of a standard deviation: a sensor in low light."""
    unit = images / 255.0
    return unit + deviation * _normal(streams, unit)


@_still(
    "shot_noise",
    cifar=(500, 250, 100, 75, 50),
    imagenet=(60, 25, 12, 5, 3),
    tiny=(250, 100, 50, 30, 15),
)
def shot_noise(images, photons, streams) -> np.ndarray:
    """Counts photons: Poisson, with `photons` expected at full brightness."""
    expected = images / 255.0 * photons
    counts = [g.poisson(image) for g, image in zip(streams, expected)]
    return np.stack(counts) / photons


@_still(
    "impulse_noise",
    cifar=(0.01, 0.02, 0.03, 0.05, 0.07),
    imagenet=(0.03, 0.06, 0.09, 0.17, 0.27),
    tiny=(0.01, 0.02, 0.05, 0.08, 0.14),
)
def impulse_noise(images, amount, streams) -> np.ndarray:
    """Sets a share of all values to black or white, either equally likely."""
    shape = images.shape[1:]
    place = streams.draw(lambda generator: generator.random(shape))
    noisy = np.where(place < amount, np.uint8(255), images)
    return np.where(place < amount / 2, np.uint8(0), noisy)


@_still(
    "speckle_noise",
    extra=True,
    cifar=(0.06, 0.1, 0.12, 0.16, 0.2),
    imagenet=(0.15, 0.2, 0.35, 0.45, 0.6),
    tiny=(0.15, 0.2, 0.25, 0.3, 0.35),
)
def speckle_noise(images, deviation, streams) -> np.ndarray:
    """Multiplies by one plus normal noise: brighter pixels suffer more."""
    unit = images / 255.0
    return unit + unit * deviation * _normal(streams, unit)


@_film(
    "gaussian_noise",
    cifar=(0.02, 0.04, 0.06),
    imagenet=(0.03, 0.05, 0.08),
    tiny=(0.025, 0.05, 0.075),
)
def gaussian_noise_film(images, deviation, streams) -> Iterator[np.ndarray]:
    """Adds normal noise of a standard deviation, in single precision."""
    unit, generators = images / np.float32(255.0), list(streams)
    yield images
    for _ in range(30):
        yield unit + np.float32(deviation) * _normal(generators, unit)


@_film(
    "shot_noise",
    cifar=(700, 400, 200),
    imagenet=(300, 120, 60),
    tiny=(500, 250, 125),
)
def shot_noise_film(images, photons, streams) -> Iterator[np.ndarray]:
    """Counts photons, with `photons` expected at full brightness."""
    generators = list(streams)
    yield images
    for _ in range(30):
        yield shot_noise(images, photons, generators)


@_film(
    "speckle_noise",
    sets=EXTRAS,
    cifar=(0.05, 0.07, 0.1),
    imagenet=(0.05, 0.1, 0.15),
    tiny=(0.05, 0.1, 0.15),
)
def speckle_noise_film(images, deviation, streams) -> Iterator[np.ndarray]:
    """Multiplies by one plus normal noise."""
    unit, generators = images / 255.0, list(streams)
    yield images
    for _ in range(30):
        yield unit + unit * (deviation * _normal(generators, unit))


def _normal(generators, unit):
    """Standard normal numbers of the shape and type of a batch."""
    shape, dtype = unit.shape[1:], unit.dtype
    return np.stack([g.standard_normal(shape, dtype) for g in generators])
