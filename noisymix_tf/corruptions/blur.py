"""Zoom blur; extra: Gaussian blur."""

import functools

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, EXTRAS, PERTURBATIONS
from noisymix_tf.corruptions.filters import gaussian_filter, zoom_taps
from noisymix_tf.corruptions.pictures import Pictures, magnified

_SMALL_ZOOMS = tuple((stop, 0.01) for stop in (1.06, 1.11, 1.16, 1.21, 1.26))


@CORRUPTIONS.register(
    "zoom_blur",
    family="blur",
    cifar=_SMALL_ZOOMS,
    imagenet=tuple(
        zip((1.11, 1.16, 1.21, 1.26, 1.31), (0.01, 0.01, 0.02, 0.02, 0.03))
    ),
    tiny=_SMALL_ZOOMS,
)
def zoom_blur(images, zooms, streams):
    """Averages over magnifications: a camera that moves towards the scene.

    zooms: (stop, step) of the factors, which start at one.
    """
    batch, height, width, channels = images.shape
    average = _mean_zoom(height, width, *zooms)
    pixels = (images / 255.0).transpose(1, 2, 0, 3).reshape(height * width, -1)
    blurred = average @ pixels
    return blurred.reshape(height, width, batch, channels).transpose(2, 0, 1, 3)


@PERTURBATIONS.register(
    "zoom_blur",
    family="blur",
    cifar=0.004,
    imagenet=0.004,
    tiny=0.004,
    moves=True,
)
def zoom_blur_film(images, step, streams):
    """The mean of ever more magnifications, each larger by `step`.

    In single precision up to the end, as the benchmark's was: its last bits
    decide what truncation makes of a flat image.
    """
    white = np.float32(255.0)
    pictures, total = Pictures(images), images / white
    yield images
    for frame in range(1, 31):
        zoom = magnified(images.shape, 1 + step * frame)
        total = total + pictures.affine(zoom) / white
        yield total / np.float32(frame + 1)


@CORRUPTIONS.register(
    "gaussian_blur",
    family="blur",
    extra=True,
    cifar=(0.4, 0.6, 0.7, 0.8, 1),
    imagenet=(1, 2, 3, 4, 6),
    tiny=(0.5, 0.75, 1, 1.25, 1.5),
)
def gaussian_blur(images, deviation, streams):
    """Convolves with a Gaussian; the border repeats its last pixel."""
    return gaussian_filter(images / 255.0, deviation)


@PERTURBATIONS.register(
    "gaussian_blur",
    family="blur",
    sets=EXTRAS,
    cifar=(0.3, 0.015, 7.0),
    imagenet=(0.25, 0.035, 6.0),
    tiny=(0.35, 0.014, 7.0),
)
def gaussian_blur_film(images, growth, streams):
    """Convolves with a Gaussian that grows.

    growth: First standard deviation and its step from frame to frame, in
        pixels; and after how many deviations the kernel ends.
    """
    first, step, reach = growth
    unit = images / 255.0
    for frame in range(31):
        yield gaussian_filter(unit, first + step * frame, reach)


@functools.lru_cache(maxsize=16)
def _mean_zoom(height, width, stop, step):
    """Mean of an image and its magnifications, sparse `[H * W, H * W]`."""
    from scipy import sparse

    factors = np.arange(1, stop, step)
    total = sparse.eye_array(height * width, format="csr")
    for factor in factors:
        total = total + sparse.kron(
            _zoom_axis(height, factor), _zoom_axis(width, factor), format="csr"
        )
    return total / (len(factors) + 1)


def _zoom_axis(size, factor):
    """The magnification of `zoom_taps` as a sparse matrix `[size, size]`."""
    from scipy import sparse

    before, after, share = zoom_taps(size, factor)
    weights = np.concatenate([1.0 - share, share])
    places = np.tile(np.arange(size), 2), np.concatenate([before, after])
    return sparse.csr_array((weights, places), shape=(size, size))
