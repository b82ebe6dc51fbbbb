"""Blurs: defocus, glass, motion, zoom; extra: Gaussian."""

import numpy as np

from noisymix_tf.corruptions import glass, motion
from noisymix_tf.corruptions.core import corruption
from noisymix_tf.corruptions.filters import (
    disk,
    filter_by_fourier,
    gaussian_filter,
)
from noisymix_tf.corruptions.zoom import mean_zoom

# Beyond this many taps, the Fourier transform beats the sum over the taps.
_MOST_DIRECT_TAPS = 80


@corruption(
    "defocus_blur",
    family="blur",
    cifar=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    imagenet=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
)
def defocus_blur(images, lens, streams):
    """Averages over a disk: a lens out of focus.

    Args:
        images: uint8 `[B, H, W, C]`.
        lens: Radius of the disk, and standard deviation of the blur that
            smooths its edge, both in pixels.
        streams: Not used.
    """
    kernel = disk(*lens)
    unit = images / 255.0
    if np.count_nonzero(kernel) > _MOST_DIRECT_TAPS:
        return filter_by_fourier(unit, kernel)
    from scipy import ndimage

    return ndimage.correlate(unit, kernel[None, :, :, None], mode="mirror")


@corruption(
    "glass_blur",
    family="blur",
    cifar=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    imagenet=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
)
def glass_blur(images, pane, streams):
    """Scatters pixels among their neighbours, blurred before and after.

    The benchmark's makers meant to swap two pixels, but their line copies one
    over the other; and no offset equals plus `reach`. Both are kept, since
    swaps lie clearly farther from the image.

    Args:
        images: uint8 `[B, H, W, C]`.
        pane: Deviation of the blurs, largest offset, both in pixels, and the
            number of passes.
        streams: One per image.
    """
    deviation, reach, passes = pane
    height, width = images.shape[1:3]
    shape = [passes, height - 2 * reach, width - 2 * reach, 2]
    if min(shape) > 0:
        offsets = streams.draw(
            lambda generator: generator.integers(
                -reach, reach, shape, dtype=np.int8
            )
        )
    else:
        offsets = np.zeros([len(images), 0, 0, 0, 2], np.int8)
    return glass.behind_glass(images, deviation, reach, offsets)


@corruption(
    "motion_blur",
    family="blur",
    cifar=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    imagenet=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
)
def motion_blur(images, line, streams):
    """Smears along a line: a camera that moves sideways.

    Args:
        images: uint8 `[B, H, W, C]`.
        line: Radius and standard deviation of the smear in pixels.
        streams: One per image; decides the angle, at most 45 degrees from the
            horizontal.
    """
    angles = streams.draw(lambda generator: generator.uniform(-45, 45))
    return motion.motion_blur(images, *line, angles)


@corruption(
    "zoom_blur",
    family="blur",
    cifar=(
        (1.06, 0.01),
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.01),
        (1.26, 0.01),
    ),
    imagenet=(
        (1.11, 0.01),
        (1.16, 0.01),
        (1.21, 0.02),
        (1.26, 0.02),
        (1.31, 0.03),
    ),
)
def zoom_blur(images, zooms, streams):
    """Averages over magnifications: a camera that moves towards the scene.

    Args:
        images: uint8 `[B, H, W, C]`.
        zooms: (stop, step) of the factors, which start at one.
        streams: Not used.
    """
    batch, height, width, channels = images.shape
    average = mean_zoom(height, width, *zooms)
    pixels = (images / 255.0).transpose(1, 2, 0, 3).reshape(height * width, -1)
    blurred = average @ pixels
    return blurred.reshape(height, width, batch, channels).transpose(2, 0, 1, 3)


@corruption(
    "gaussian_blur",
    family="blur",
    extra=True,
    cifar=(0.4, 0.6, 0.7, 0.8, 1),
    imagenet=(1, 2, 3, 4, 6),
)
def gaussian_blur(images, deviation, streams):
    """Convolves with a Gaussian; the border repeats its last pixel."""
    return gaussian_filter(images / 255.0, deviation)
