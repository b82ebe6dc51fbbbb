"""Blurs with the constants of ImageNet, against other ways to compute them."""

import numpy as np
import pytest
from scipy import ndimage

from noisymix_tf import corruptions
from noisymix_tf.corruptions import glass
from noisymix_tf.corruptions.zoom import zoom
from support.corruption_oracle import photographs


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.31, 4.5])
def test_zoom_is_what_scipy_makes(factor):
    planes = np.random.default_rng(0).random([2, 33, 40])
    kept = [int(np.ceil(size / factor)) for size in (33, 40)]
    top, left = (33 - kept[0]) // 2, (40 - kept[1]) // 2
    centre = planes[:, top : top + kept[0], left : left + kept[1]]
    large = ndimage.zoom(centre, (1, factor, factor), order=1)
    top, left = (large.shape[1] - 33) // 2, (large.shape[2] - 40) // 2
    wanted = large[:, top : top + 33, left : left + 40]
    np.testing.assert_allclose(zoom(planes, factor), wanted, atol=1e-12)


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
        images / 255, disk[None, ..., None], mode="mirror"
    )
    ours = corruptions.corrupt(
        images, "defocus_blur", severity, table="imagenet"
    )
    error = 255 * wanted - ours
    assert -1e-3 < error.min() and error.max() < 1 + 1e-3


@pytest.mark.parametrize("reach", [1, 2, 4])
@pytest.mark.parametrize("shape", [(11, 17, 1), (8, 9, 3)])
def test_glass_copies_one_pixel_after_the_other(shape, reach):
    """The loop that chains are followed instead of."""
    images = photographs(3, *shape)
    inner = [max(size - 2 * reach, 0) for size in shape[:2]]
    offsets = np.random.default_rng(reach).integers(
        -reach, reach, [3, 3, *inner, 2]
    )
    wanted = images.copy()
    for image, passes in zip(wanted, offsets):
        for steps in passes:
            for row, column in np.argwhere(np.ones(inner))[::-1]:
                down, right = steps[row, column]
                # A border is not overwritten, wider at the top and left.
                row, column = row + reach + 1, column + reach + 1
                image[row, column] = image[row + down, column + right]
    ours = glass.scatter(images, offsets, reach)
    np.testing.assert_array_equal(ours, wanted)
