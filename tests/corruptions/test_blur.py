"""Blurs against closed forms and plain loops."""

import math

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import glass, motion
from noisymix_tf.corruptions.zoom import zoom, zoom_axis
from support.corruption_oracle import photographs


@pytest.mark.parametrize("size", [8, 28, 32, 33, 224])
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.06, 1.25, 1.3])
def test_zoom_is_what_scipy_makes(size, factor):
    from scipy import ndimage

    line = np.random.default_rng(0).random(size)
    kept = int(np.ceil(size / factor))
    top = (size - kept) // 2
    zoomed = ndimage.zoom(line[top : top + kept], factor, order=1)
    trim = (len(zoomed) - size) // 2
    np.testing.assert_allclose(
        zoom_axis(size, factor) @ line, zoomed[trim : trim + size], atol=1e-12
    )


def test_zoomed_planes_are_the_products_with_the_matrices():
    planes = np.random.default_rng(0).random([3, 20, 31])
    wanted = [zoom_axis(20, 1.7) @ p @ zoom_axis(31, 1.7).T for p in planes]
    np.testing.assert_allclose(zoom(planes, 1.7), wanted, atol=1e-12)


@pytest.mark.parametrize("table", corruptions.TABLES)
@pytest.mark.parametrize("name", corruptions.names("blur"))
def test_blurs_leave_flat_images(name, table):
    images = np.full([2, 40, 24, 3], 77, np.uint8)
    for severity in corruptions.SEVERITIES:
        blurred = corruptions.corrupt(images, name, severity, table=table)
        # Glass is truncated to 8 bits in between as well.
        lost = 2 if name == "glass_blur" else 1
        assert np.abs(blurred.astype(int) - 77).max() <= lost


# --- motion ------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1, 6, 9.5])
def test_motion_kernel_is_half_a_gaussian(radius):
    weights = motion.kernel(radius, 2.0)
    assert len(weights) == 2 * np.ceil(radius) + 1
    assert weights.sum() == pytest.approx(1)
    assert weights[2] / weights[0] == pytest.approx(np.exp(-0.5))


def test_motion_goes_along_its_angle():
    at = motion.offsets(5, [0, 90, -90, 45, 180])
    zero, steps = np.zeros(5, int), np.arange(5)
    diagonal = np.ceil(steps * np.sqrt(0.5) - 0.5)
    wanted = [
        [zero, steps],
        [steps, zero],
        [-steps, zero],
        [diagonal, diagonal],
        [zero, -steps],
    ]
    np.testing.assert_array_equal(at, np.swapaxes(wanted, 1, 2))


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
    images = photographs(3, 12, 17)
    weights = motion.kernel(7, 3.0)
    places = motion.offsets(len(weights), [30.0, -120.0, 85.0])
    rows, columns = np.mgrid[:12, :17]
    for image, places_, ours in zip(
        images, places, motion.smear(images, weights, places)
    ):
        total = np.zeros(image.shape)
        for weight, (down, right) in zip(weights.astype(float), places_):
            row = np.clip(rows + down, 0, 11)
            total += weight * image[row, np.clip(columns + right, 0, 16)]
        # Rounded to 16 bits first.
        wanted = np.floor(total + 0.5 / 257)
        assert (ours != wanted).mean() < 0.01
        assert np.abs(ours - wanted).max() <= 1


def test_angles_of_motion_blur_are_even_within_45_degrees():
    dot = np.zeros([1, 33, 33, 1], np.uint8)
    dot[0, 16, 16] = 255
    images = np.repeat(dot, 400, axis=0)
    blurred = corruptions.corrupt(images, "motion_blur", 5).astype(float)
    rows, columns = np.mgrid[:33, :33] - 16
    mass = blurred[..., 0].sum(axis=(1, 2))
    right = -(blurred[..., 0] * columns).sum(axis=(1, 2)) / mass
    down = -(blurred[..., 0] * rows).sum(axis=(1, 2)) / mass
    angles = np.degrees(np.arctan2(down, right))
    assert np.abs(angles).max() < 50
    deviation = 90 / np.sqrt(12)
    assert abs(angles.mean()) < 4 * deviation / np.sqrt(400)
    assert angles.std() == pytest.approx(deviation, rel=0.15)


# --- glass -------------------------------------------------------------------


@pytest.mark.parametrize("reach", [1, 2, 4])
@pytest.mark.parametrize("shape", [(12, 12, 3), (11, 17, 1), (8, 9, 3)])
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


def test_glass_looks_up_and_left_or_stays():
    """No offset equals plus one: a lone pixel moves down and right only."""
    images = np.zeros([200, 9, 9, 1], np.uint8)
    images[:, 4, 4] = 255
    scattered = corruptions.corrupt(images, "glass_blur", 1, table="cifar")
    count = (scattered[..., 0] == 255).sum(axis=0)
    seen = np.zeros([9, 9], bool)
    seen[4:6, 4:6] = True
    assert (count[~seen] == 0).all()
    # Each of the four copies the lone pixel with probability one quarter.
    assert np.abs(count[seen] - 50).max() < 4 * np.sqrt(200 * 3 / 16)
