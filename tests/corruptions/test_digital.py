"""Elastic deformations by other tools, at sizes that the benchmark lacks."""

import numpy as np
import pytest
from scipy import ndimage

from noisymix_tf import corruptions
from support.corruption_oracle import generators, photographs


@pytest.mark.parametrize("severity", [1, 2, 5])
def test_elastic_transform_is_what_scipy_makes(severity):
    """Of an image that is no square; strong and smooth, or weak and rough."""
    name, scale = "elastic_transform", 244 / 224
    images = photographs(3, 40, 56)
    shares = {1: (2, 0.7, 0.1), 2: (2, 0.08, 0.2), 5: (0.12, 0.01, 0.02)}
    strength, smoothness, shift = np.multiply(shares[severity], 40 * scale)
    ours = corruptions.corrupt(images, name, severity, 3, table="imagenet")
    for image, made, generator in zip(
        images, ours, generators(3, name, severity, 3)
    ):
        draws = generator.uniform(-1, 1, 6 + 2 * 40 * 56)
        # A third of the shorter side away from the centre, as (x, y).
        before = np.array([[28 + 13, 20 + 13], [41, 7], [15, 7]], float)
        after = before + shift * draws[:6].reshape(3, 2)
        back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
        rows, columns = np.mgrid[:40, :56]
        x, y = np.moveaxis(
            np.stack([columns, rows, np.ones((40, 56))], -1) @ back, -1, 0
        )
        across, down = (
            strength
            * ndimage.gaussian_filter(
                noise, smoothness, mode="reflect", truncate=3
            )
            for noise in draws[6:].reshape(2, 40, 56)
        )
        wanted = image / 255
        for places, border in (
            ([np.round(y * 32) / 32, np.round(x * 32) / 32], "mirror"),
            ([rows + down, columns + across], "reflect"),
        ):
            wanted = np.stack(
                [
                    ndimage.map_coordinates(plane, places, order=1, mode=border)
                    for plane in np.moveaxis(wanted, -1, 0)
                ],
                axis=-1,
            )
        error = 255 * wanted - made
        # Half-way between 32nds either is right.
        assert ((error < -1e-3) | (error > 1 + 1e-3)).mean() < 0.02
        assert np.abs(error - 0.5).max() < 2


def test_points_that_stay_leave_the_image():
    """Every value of 8 bits comes back as it was."""
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    still = corruptions.core.to_uint8(
        corruptions.digital.stretched(
            images, np.zeros([1, 3, 2]), np.zeros([1, 2, 16, 16]), 0, 0
        )
    )
    np.testing.assert_array_equal(still, images)
