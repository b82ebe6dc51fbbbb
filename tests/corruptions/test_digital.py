"""Elastic deformations by another tool, of images that are no squares."""

import numpy as np
import pytest
from scipy import ndimage

from noisymix_tf import corruptions
from support.corruption_oracle import generators, photographs


@pytest.mark.parametrize(
    ("severity", "shares"),
    [(1, (2, 0.7, 0.1)), (2, (2, 0.08, 0.2)), (5, (0.12, 0.01, 0.02))],
)
def test_elastic_transform_is_what_scipy_makes(severity, shares):
    """Strong and smooth, strong and rough, or weak."""
    name = "elastic_transform"
    (image,) = images = photographs(1, 40, 56)
    strength, smoothness, shift = np.multiply(shares, 40 * 244 / 224)
    ours = corruptions.corrupt(images, name, severity, 3, table="imagenet")
    (generator,) = generators(3, name, severity, 1)
    shifts, noise = np.split(generator.uniform(-1, 1, 6 + 2 * 40 * 56), [6])
    # A third of the shorter side away from the centre, as (x, y).
    before = np.array([[28 + 13, 20 + 13], [41, 7], [15, 7]], float)
    after = before + shift * shifts.reshape(3, 2)
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
    rows, columns = np.mgrid[:40, :56]
    places = np.stack([columns, rows, np.ones((40, 56))], axis=-1) @ back
    x, y = np.moveaxis(np.round(places * 32) / 32, -1, 0)
    right, down = (
        ndimage.gaussian_filter(plane, smoothness, mode="reflect", truncate=3)
        for plane in strength * noise.reshape(2, 40, 56)
    )
    wanted = np.moveaxis(image / 255, -1, 0)
    for places, border in (
        ([y, x], "mirror"),
        ([rows + down, columns + right], "reflect"),
    ):
        wanted = [
            ndimage.map_coordinates(plane, places, order=1, mode=border)
            for plane in wanted
        ]
    error = 255 * np.stack(wanted, axis=-1) - ours[0]
    # Half-way between two 32nds of a pixel either is right.
    assert ((error < -1e-3) | (error > 1 + 1e-3)).mean() < 0.02
    assert np.abs(error - 0.5).max() < 2
