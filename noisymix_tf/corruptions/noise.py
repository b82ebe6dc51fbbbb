"""Noise on every value: Gaussian, shot, impulse; extra: speckle."""

import numpy as np

from noisymix_tf.corruptions.core import corruption


def _normal(images, streams):
    """Standard normal numbers of the shape of the images."""
    shape = images.shape[1:]
    return streams.draw(lambda generator: generator.standard_normal(shape))


@corruption(
    "gaussian_noise",
    family="noise",
    cifar=(0.04, 0.06, 0.08, 0.09, 0.10),
    imagenet=(0.08, 0.12, 0.18, 0.26, 0.38),
    tiny=(0.04, 0.08, 0.12, 0.15, 0.18),
)
def gaussian_noise(images, deviation, streams):
    """Adds normal noise of a standard deviation: a sensor in low light."""
    return images / 255.0 + deviation * _normal(images, streams)


@corruption(
    "shot_noise",
    family="noise",
    cifar=(500, 250, 100, 75, 50),
    imagenet=(60, 25, 12, 5, 3),
    tiny=(250, 100, 50, 30, 15),
)
def shot_noise(images, photons, streams):
    """Counts photons: Poisson, with `photons` expected at full brightness."""
    expected = images / 255.0 * photons
    counts = [
        generator.poisson(image) for generator, image in zip(streams, expected)
    ]
    return np.stack(counts) / photons


@corruption(
    "impulse_noise",
    family="noise",
    cifar=(0.01, 0.02, 0.03, 0.05, 0.07),
    imagenet=(0.03, 0.06, 0.09, 0.17, 0.27),
    tiny=(0.01, 0.02, 0.05, 0.08, 0.14),
)
def impulse_noise(images, amount, streams):
    """Sets a share of all values to black or white, either equally likely."""
    shape = images.shape[1:]
    place = streams.draw(lambda generator: generator.random(shape))
    noisy = np.where(place < amount, np.uint8(255), images)
    return np.where(place < amount / 2, np.uint8(0), noisy)


@corruption(
    "speckle_noise",
    family="noise",
    extra=True,
    cifar=(0.06, 0.1, 0.12, 0.16, 0.2),
    imagenet=(0.15, 0.2, 0.35, 0.45, 0.6),
    tiny=(0.15, 0.2, 0.25, 0.3, 0.35),
)
def speckle_noise(images, deviation, streams):
    """Multiplies by one plus normal noise: brighter pixels suffer more."""
    unit = images / 255.0
    return unit + unit * deviation * _normal(images, streams)
