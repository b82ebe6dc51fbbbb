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
    tiny=((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
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
    tiny=((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
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
    tiny=((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
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
    cifar=tuple((stop, 0.01) for stop in (1.06, 1.11, 1.16, 1.21, 1.26)),
    imagenet=tuple(
        zip((1.11, 1.16, 1.21, 1.26, 1.31), (0.01, 0.01, 0.02, 0.02, 0.03))
    ),
    tiny=tuple((stop, 0.01) for stop in (1.06, 1.11, 1.16, 1.21, 1.26)),
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
    tiny=(0.5, 0.75, 1, 1.25, 1.5),
)
def gaussian_blur(images, deviation, streams):
    """Convolves with a Gaussian; the border repeats its last pixel."""
    return gaussian_filter(images / 255.0, deviation)
