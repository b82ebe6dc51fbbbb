"""Blurs against plain loops and other ways to compute them."""

import math

import numpy as np
import pytest
from scipy import ndimage

from noisymix_tf import corruptions
from noisymix_tf.corruptions import glass, motion
from noisymix_tf.corruptions.zoom import zoom, zoom_axis
from support.corruption_oracle import photographs


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.31, 4.5])
def test_zoom_is_what_scipy_makes(factor):
    planes = np.random.default_rng(0).random([2, 33, 40])
    wanted = planes
    for axis in (1, 2):
        size = planes.shape[axis]
        kept = int(np.ceil(size / factor))
        top = (size - kept) // 2
        part = wanted.take(range(top, top + kept), axis)
        factors = [factor if other == axis else 1 for other in range(3)]
        part = ndimage.zoom(part, factors, order=1)
        trim = (part.shape[axis] - size) // 2
        wanted = part.take(range(trim, trim + size), axis)
    np.testing.assert_allclose(zoom(planes, factor), wanted, atol=1e-12)
    # As matrices, which zoom_blur adds up.
    rows, columns = zoom_axis(33, factor), zoom_axis(40, factor)
    products = [rows @ plane @ columns.T for plane in planes]
    np.testing.assert_allclose(products, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("severity", "radius", "deviation"),
    [(1, 3, 0.1), (4, 8, 0.5), (5, 10, 0.5)],
)
def test_defocus_is_a_mean_over_a_disk(severity, radius, deviation):
    """Large disks go through the Fourier transform, others do not."""
    images = photographs(2, 40, 53)
    squares = np.arange(-max(radius, 8), max(radius, 8) + 1) ** 2
    disk = (squares[:, None] + squares <= radius**2).astype(float)
    # The edge is smoothed by three taps, of a disk above 8 pixels by five.
    reach = (1 if radius <= 8 else 2) / deviation
    disk = ndimage.gaussian_filter(
        disk / disk.sum(), deviation, truncate=reach, mode="mirror"
    )
    wanted = ndimage.correlate(
        images / 255, disk[None, :, :, None], mode="mirror"
    )
    ours = corruptions.corrupt(
        images, "defocus_blur", severity, table="imagenet"
    )
    error = 255 * wanted - ours
    assert -1e-3 < error.min() and error.max() < 1 + 1e-3


@pytest.mark.parametrize("radius", [6, 10, 14, 15])
def test_taps_at_whole_degrees(radius):
    """Some lie half-way between two pixels, where the last bit decides.

    So the rule is restated operation by operation: a line of as many pixels as
    there are taps, and its length divided out again.
    """
    taps, angles = 2 * radius + 1, range(-180, 181)
    wanted = []
    for angle in angles:
        radians = math.pi * angle / 180
        line = taps * math.sin(radians), taps * math.cos(radians)
        length = math.hypot(*line)
        wanted.append(
            [
                [math.ceil(tap * side / length - 0.5) for side in line]
                for tap in range(taps)
            ]
        )
    np.testing.assert_array_equal(motion.offsets(taps, angles), wanted)


def test_a_smear_is_the_sum_of_shifted_copies():
    """Farther than an image of another height than width goes."""
    images = photographs(3, 12, 17)
    weights = motion.kernel(20, 15.0)
    assert len(weights) == 41 and weights.sum() == pytest.approx(1)
    places = motion.offsets(len(weights), [30.0, -120.0, 85.0])
    rows, columns = np.mgrid[:12, :17]
    for image, taps, ours in zip(
        images, places, motion.smear(images, weights, places)
    ):
        total = np.zeros(image.shape)
        for weight, (down, right) in zip(weights.astype(float), taps):
            row = np.clip(rows + down, 0, 11)
            total += weight * image[row, np.clip(columns + right, 0, 16)]
        # Rounded to 16 bits first.
        wanted = np.floor(total + 0.5 / 257)
        assert (ours != wanted).mean() < 0.01
        assert np.abs(ours - wanted).max() <= 1


@pytest.mark.parametrize("reach", [1, 2, 4])
@pytest.mark.parametrize("shape", [(11, 17, 1), (8, 9, 3)])
def test_glass_copies_one_pixel_after_the_other(shape, reach):
    """The loop that chains are followed instead of."""
    height, width, _ = shape
    images = photographs(3, *shape)
    inner = [max(height - 2 * reach, 0), max(width - 2 * reach, 0)]
    offsets = np.random.default_rng(reach).integers(
        -reach, reach + 1, [3, 3, *inner, 2]
    )
    # The largest row and column look no farther than the image goes.
    offsets[:, :, -1:, :, 0] = np.minimum(offsets[:, :, -1:, :, 0], reach - 1)
    offsets[:, :, :, -1:, 1] = np.minimum(offsets[:, :, :, -1:, 1], reach - 1)
    wanted = images.copy()
    for image, passes in zip(wanted, offsets):
        for steps in passes:
            for row in range(height - reach, reach, -1):
                for column in range(width - reach, reach, -1):
                    down, right = steps[row - reach - 1, column - reach - 1]
                    image[row, column] = image[row + down, column + right]
    ours = glass.scatter(images, offsets, reach)
    np.testing.assert_array_equal(ours, wanted)
