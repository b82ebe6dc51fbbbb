"""Digital corruptions against closed forms and other ways to compute them."""

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import warp
from support.corruption_oracle import photographs


def test_contrast_keeps_means():
    images = photographs()
    faint = corruptions.corrupt(images, "contrast", 5).astype(float)
    mean = images.mean(axis=(1, 2))
    assert np.abs(faint.mean(axis=(1, 2)) - (mean - 0.5)).max() < 0.5
    ratio = faint.std(axis=(1, 2)) / images.std(axis=(1, 2))
    np.testing.assert_allclose(ratio, 0.15, atol=0.01)


def test_saturate_of_grey_turns_red():
    images = np.full([1, 8, 8, 3], 200, np.uint8)
    unchanged = corruptions.corrupt(images, "saturate", 3)
    assert np.abs(unchanged.astype(int) - 200).max() <= 1
    red = corruptions.corrupt(images, "saturate", 5)
    assert red[0, 0, 0].tolist() == [200, 160, 160]


# --- elastic transform -------------------------------------------------------


def _still(images, shifts):
    batch, height, width, _ = images.shape
    noise = np.zeros([batch, 2, height, width])
    return corruptions.core.to_uint8(
        warp.stretched(images, shifts, noise, 0.0, 0.0)
    )


@pytest.mark.parametrize("size", [(32, 32), (20, 37)])
def test_points_that_stay_leave_the_image(size):
    images = photographs(2, *size)
    np.testing.assert_array_equal(_still(images, np.zeros([2, 3, 2])), images)


def test_points_that_move_alike_carry_the_image_along():
    images = photographs(2, 24, 31)
    shifts = np.tile([3.0, -2.0], [2, 3, 1])
    moved = _still(images, shifts)
    np.testing.assert_array_equal(moved[:, :-2, 3:], images[:, 2:, :-3])
    # What comes in from outside is mirrored about the last pixel.
    np.testing.assert_array_equal(moved[:, :-2, 0], images[:, 2:, 3])
    np.testing.assert_array_equal(moved[:, -1, 3:], images[:, -3, :-3])


def test_affine_maps_take_the_points_back():
    generator = np.random.default_rng(0)
    before = np.array([[20.0, 20.0], [20.0, 10.0], [8.0, 9.0]])
    after = before + generator.uniform(-3, 3, [5, 3, 2])
    maps = warp.affine_through(before, after)
    ones = np.ones([5, 3, 1])
    points = np.concatenate([after, ones], axis=-1) @ maps.swapaxes(1, 2)
    np.testing.assert_allclose(points, np.tile(before, [5, 1, 1]), atol=1e-9)


@pytest.mark.parametrize("border", ["mirror", "reflect"])
def test_bilinear_is_what_scipy_makes(border):
    from scipy import ndimage

    generator = np.random.default_rng(0)
    images = generator.random([2, 9, 14, 3]).astype(np.float32)
    rows = generator.uniform(-30, 30, [2, 9, 14])
    columns = generator.uniform(-50, 50, [2, 9, 14])
    ours = warp.bilinear(images, rows, columns, border)
    for index, image in enumerate(images):
        for channel in range(3):
            wanted = ndimage.map_coordinates(
                image[..., channel],
                [rows[index], columns[index]],
                order=1,
                mode=border,
            )
            np.testing.assert_allclose(
                ours[index, ..., channel], wanted, atol=1e-6
            )


@pytest.mark.parametrize("deviation", [0.3, 1.0, 7.0, 60.0])
def test_smoothing_is_what_scipy_makes(deviation):
    from scipy import ndimage

    planes = np.random.default_rng(0).uniform(-1, 1, [2, 3, 24, 17])
    wanted = ndimage.gaussian_filter(
        planes, (0, 0, deviation, deviation), mode="reflect", truncate=3
    )
    np.testing.assert_allclose(
        warp.smoothed(planes, deviation), wanted, atol=1e-12
    )


def test_deformations_grow_with_the_image():
    """The same scene, twice as large, is deformed twice as far."""
    small = photographs(60, 32, 32)
    large = np.repeat(np.repeat(small, 2, axis=1), 2, axis=2)
    mads = [
        np.abs(
            corruptions.corrupt(images, "elastic_transform", 1, table="cifar")
            - images.astype(float)
        ).mean()
        for images in (small, large)
    ]
    assert mads[1] == pytest.approx(mads[0], rel=0.15)
