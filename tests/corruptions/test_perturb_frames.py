"""Frames of perturbation sequences against closed forms."""

import numpy as np
import pytest

from noisymix_tf.corruptions import motion, perturb
from noisymix_tf.corruptions.perturbations.geometry import tilted_view
from noisymix_tf.corruptions.perturbations.sampling import (
    about_centre,
    magnified,
    project,
)
from noisymix_tf.corruptions.perturbations.weather import _moved_down, spatter
from noisymix_tf.corruptions.pictures import Pictures


@pytest.fixture(scope="module")
def textures():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, [3, 32, 40, 3], dtype=np.uint8)


def point(height=41, width=41):
    """One white pixel in the middle of black ones."""
    images = np.zeros([1, height, width, 1], np.uint8)
    images[0, height // 2, width // 2] = 255
    return images


# --- noise -------------------------------------------------------------------

FLAT = np.full([20, 32, 32, 3], 128, np.uint8)
UNIT = 128 / 255


def shot(photons):
    return (UNIT / photons) ** 0.5


@pytest.mark.parametrize(
    ("name", "table", "deviations"),
    [
        ("gaussian_noise", "cifar", (0.02, 0.04, 0.06)),
        ("gaussian_noise", "imagenet", (0.03, 0.05, 0.08)),
        ("shot_noise", "cifar", (shot(700), shot(400), shot(200))),
        ("shot_noise", "imagenet", (shot(300), shot(120), shot(60))),
        ("speckle_noise", "cifar", (UNIT * 0.05, UNIT * 0.07, UNIT * 0.1)),
        ("speckle_noise", "imagenet", (UNIT * 0.05, UNIT * 0.1, UNIT * 0.15)),
    ],
)
def test_moments_of_noise(name, table, deviations):
    for difficulty, deviation in enumerate(deviations, 1):
        films = perturb(FLAT, name, table=table, difficulty=difficulty)
        np.testing.assert_array_equal(films[:, 0], FLAT)
        noisy = films[:, 1:].astype(float)
        sigma = 255 * deviation
        error = 4 * sigma / np.sqrt(noisy.size)
        # Truncation takes half a level, and adds 1/12 of variance; the steps
        # of counted photons fall on the levels unevenly.
        loose = 0.05 if name == "shot_noise" else 0.0
        assert abs(noisy.mean() - 127.5) < error + loose
        wanted = np.sqrt(sigma**2 + 1 / 12)
        assert noisy.std() == pytest.approx(wanted, rel=0.002 + 0.1 * loose)


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "shot_noise", "speckle_noise"]
)
def test_noise_of_frames_pixels_and_images_is_independent(name):
    noise = perturb(FLAT, name, difficulty=3)[:, 1:].astype(float)
    noise = (noise - noise.mean()) / noise.std()
    for axis in range(noise.ndim):
        along = np.moveaxis(noise, axis, 0)
        product = along[1:] * along[:-1]
        assert abs(product.mean()) < 4 / np.sqrt(product.size)


# --- geometry ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "offsets"),
    [("cifar", range(-7, 9)), ("imagenet", range(-20, 21))],
)
@pytest.mark.parametrize("width", [40, 8])
def test_translate_shifts_columns(textures, table, offsets, width):
    images = textures[:, :, :width]
    films = perturb(images, "translate", table=table)
    assert films.shape[1] == len(offsets)
    padded = np.pad(images, ((0, 0), (0, 0), (20, 20), (0, 0)))
    for frame, offset in enumerate(offsets):
        wanted = padded[:, :, 20 - offset : 20 - offset + width]
        np.testing.assert_array_equal(films[:, frame], wanted)


@pytest.mark.parametrize(
    ("name", "frame"),
    [("translate", 7), ("rotate", 15), ("scale", 15), ("shear", 15)],
)
def test_half_way_lies_the_image(textures, name, frame):
    films = perturb(textures, name, table="cifar")
    np.testing.assert_array_equal(films[:, frame], textures)


@pytest.mark.parametrize("name", ["rotate", "shear"])
def test_left_and_right_are_treated_alike(textures, name):
    """In the mirror, time runs backwards: the centre is the true one."""
    films = perturb(textures, name).astype(int)
    mirrored = perturb(textures[:, :, ::-1], name)[:, ::-1, :, ::-1]
    # Pillow truncates, and the order of four terms decides the last bit.
    error = np.abs(films - mirrored)
    assert error.max() <= 1
    assert (error > 0).mean() < 0.001


@pytest.mark.parametrize(
    ("table", "frame", "factor"),
    [("cifar", 0, 0.7), ("cifar", 30, 1.3), ("imagenet", 4, 0.5)],
)
def test_scale_is_a_magnification(table, frame, factor):
    white = np.full([1, 64, 48, 1], 255, np.uint8)
    films = perturb(white, "scale", table=table)
    seen = films[0, frame, :, :, 0]
    assert set(np.unique(seen)) <= {0, 255}
    for axis, size in ((0, 64), (1, 48)):
        wanted = min(size, size * factor)
        assert abs(seen.any(axis=1 - axis).sum() - wanted) <= 1
    np.testing.assert_array_equal(seen, seen[::-1, ::-1])


def test_affine_turns_clockwise():
    images = np.zeros([1, 31, 31, 1], np.uint8)
    images[0, 2:10, 15] = 255  # A hand at twelve o'clock.
    late = perturb(images, "rotate")[0, 30, ..., 0]
    rows, columns = np.nonzero(late)
    angle = np.degrees(np.arctan2(columns.mean() - 15, 15 - rows.mean()))
    assert angle == pytest.approx(15, abs=1)


def test_affine_of_all_images_at_once(textures):
    matrix = about_centre(np.array([[0.9, 0.2], [-0.1, 1.1]]), textures.shape)
    together = Pictures(textures).affine(matrix)
    for place in range(len(textures)):
        alone = Pictures(textures[place : place + 1]).affine(matrix)
        np.testing.assert_array_equal(together[place], alone[0])


def test_magnified_keeps_the_centre():
    matrix = magnified((1, 30, 50, 3), 1.7)
    np.testing.assert_allclose(matrix @ [25, 15, 1], [25, 15])
    np.testing.assert_allclose(matrix @ [25 + 1.7, 15, 1], [26, 15])


# --- tilt --------------------------------------------------------------------


def test_project_by_whole_and_half_pixels(textures):
    same = project(textures, np.eye(3))
    np.testing.assert_array_equal(same, textures)
    moved = project(textures, np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]]))
    np.testing.assert_array_equal(moved[:, 2:, :-3], textures[:, :-2, 3:])
    assert not moved[:, :2].any() and not moved[:, :, -3:].any()
    half = project(textures, np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]]))
    padded = np.pad(textures, ((0, 0), (0, 0), (0, 1), (0, 0))).astype(int)
    mean = (padded[:, :, :-1] + padded[:, :, 1:] + 1) // 2
    np.testing.assert_array_equal(half, mean)


def test_project_is_bilinear_interpolation():
    from scipy import ndimage

    rows, columns = np.mgrid[:40, :30]
    smooth = 120 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)
    images = np.rint(smooth).astype(np.uint8)[None, :, :, None]
    matrix = np.array([[0.9, 0.1, 1], [-0.05, 0.8, 3], [0.002, -0.001, 1]])
    x, y, w = np.tensordot(
        matrix, np.stack([columns, rows, np.ones_like(rows)]), 1
    )
    wanted = ndimage.map_coordinates(
        images[0, ..., 0].astype(float),
        [y / w, x / w],
        order=1,
        mode="grid-constant",
    )
    inside = (x / w > 0) & (x / w < 29) & (y / w > 0) & (y / w < 39)
    error = np.abs(project(images, matrix)[0, ..., 0] - wanted)[inside]
    # Half a level of rounding, and 1/64 of a pixel of at most 8 levels twice.
    assert error.max() < 0.5 + 2 * 8 / 64


def test_project_survives_points_at_infinity(textures):
    horizon = np.array([[1, 0, 0], [0, 1, 0], [0, -1 / 16, 1]])
    seen = project(textures, horizon)
    assert not seen[:, 17:].any()
    np.testing.assert_array_equal(seen[:, 0], textures[:, 0])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 50)])
def test_tilt_of_nothing_shrinks_a_little(height, width):
    distance = np.hypot(height, width)
    view = tilted_view(height, width, 0)
    view /= view[2, 2]
    shrink = distance / (distance + 1)
    wanted = about_centre(np.eye(2) * shrink, (height, width, 3))
    np.testing.assert_allclose(view, [*wanted, [0, 0, 1]], atol=1e-12)


def test_tilt_makes_one_corner_larger():
    """Turned about both axes: two opposite corners come near or go far."""
    view = tilted_view(32, 32, 15)
    size = []
    for x, y in ((0, 0), (32, 0), (0, 32), (32, 32)):
        corner = view @ [x, y, 1]
        size.append(1 / corner[2])
    assert np.argmax(size) in (0, 3) and np.argmin(size) == 3 - np.argmax(size)
    assert size[1] == pytest.approx(size[2], rel=0.05)


# --- blur --------------------------------------------------------------------


@pytest.mark.parametrize("table", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", ["motion_blur", "zoom_blur", "gaussian_blur"])
def test_blurs_leave_flat_images(name, table):
    images = np.full([2, 40, 24, 3], 77, np.uint8)
    films = perturb(images, name, table=table).astype(int)
    assert np.abs(films - 77).max() <= 1


@pytest.mark.parametrize("angle", range(-180, 181, 20))
def test_one_angle_for_all_is_that_angle_for_each(textures, angle):
    ours = motion.motion_blur(textures, 6, 1.8, angle)
    wanted = motion.motion_blur(textures, 6, 1.8, np.full(3, angle))
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize(("frame", "angle"), [(0, -180), (5, -135), (10, -90)])
def test_motion_blur_turns(frame, angle):
    film = perturb(point(), "motion_blur", table="cifar")[0, frame, ..., 0]
    rows, columns = np.nonzero(film)
    # A pixel looks along the line, so the point appears on the other side.
    down, right = rows.mean() - 20, columns.mean() - 20
    seen = np.degrees(np.arctan2(-down, -right))
    assert (seen - angle) % 360 == pytest.approx(0, abs=3)
    assert film.sum() == pytest.approx(255, abs=len(rows))


def test_taps_half_way_between_pixels():
    """At -150 degrees the first tap lies half a row up: it stays in its row."""
    film = motion.motion_blur(point(), 10, 2, -150)[0, ..., 0]
    weights = motion.kernel(10, 2)
    # What looks one to the left is seen one to the right.
    assert film[20, 20] == int(255 * weights[0])
    assert film[20, 21] == int(255 * weights[1])
    assert film[21, 22] == int(255 * weights[2])
    assert film[21, 21] == 0


def test_zoom_blur_is_the_mean_of_the_frames_so_far(textures):
    films = perturb(textures, "zoom_blur")
    pictures, total = Pictures(textures), textures.astype(float)
    for frame in range(1, 31):
        zoom = magnified(textures.shape, 1 + 0.004 * frame)
        total += pictures.affine(zoom)
        error = total / (frame + 1) - films[:, frame]
        assert error.min() > -0.001 and error.max() < 1.001
    np.testing.assert_array_equal(films[:, 0], textures)


@pytest.mark.parametrize(
    ("table", "deviation"),
    [("cifar", 0.3 + 30 * 0.015), ("imagenet", 0.25 + 30 * 0.035)],
)
def test_gaussian_blur_grows(table, deviation):
    film = perturb(point(), "gaussian_blur", table=table)[0, ..., 0]
    weights = np.exp(-0.5 * (np.arange(-8, 9) / deviation) ** 2)
    weights /= weights.sum()
    assert film[30, 20, 20] == int(255 * weights[8] ** 2)
    assert film[30, 20, 21] == int(255 * weights[8] * weights[9])
    assert (np.diff(film[:, 20, 20].astype(int)) <= 0).all()


# --- weather -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "step"), [("cifar", 0.015), ("imagenet", 0.02)]
)
def test_brightness_of_grey_adds(table, step):
    images = np.full([1, 8, 8, 3], 100, np.uint8)
    images[0, 0, 0] = 0
    images[0, 0, 1] = 250
    film = perturb(images, "brightness", table=table)[0]
    steps = 255 * step * np.arange(-15, 16)
    for pixel, value in ((film[:, 1, 1], 100), (film[:, 0, 1], 250)):
        wanted = np.clip(value + steps, 0, 255)
        error = wanted[:, None] - pixel
        assert error.min() > -0.001 and error.max() < 1.001
    black = np.maximum(steps, 0) - film[:, 0, 0, 0]
    assert black.min() > -0.001 and black.max() < 1.001


def test_snow_whitens_and_only_adds():
    images = np.full([4, 64, 64, 3], 100, np.uint8)
    films = perturb(images, "snow").astype(float)
    # 0.85 * 100 + 0.15 * (1.5 * 100 + 127.5), where no flake is.
    assert films.min() == 126
    assert films.max() == 255
    flakes = films - films.min()
    # Twice, once upside down.
    np.testing.assert_array_equal(flakes, flakes[:, :, ::-1, ::-1])
    assert 0.01 < (flakes > 0).mean() < 0.6


def test_spatter_only_adds_and_moves_down():
    images = np.full([8, 32, 32, 3], 100, np.uint8)
    light = perturb(images, "spatter").astype(float) - 100
    assert light.min() == 0
    assert (light.max(axis=(1, 2, 3, 4)) > 0).all()
    # Water is bluish: green and blue alike, red less.
    np.testing.assert_array_equal(light[..., 1], light[..., 2])
    wet = (light[..., 1] > 0) & (light[..., 1] < 155)
    ratio = light[wet][:, 0].sum() / light[wet][:, 1].sum()
    assert ratio == pytest.approx(175 / 238, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "step"), [((0.8, 0.2), 0.8), ((0.7, 0.15, 0.1, 0.05), 1.5)]
)
def test_liquid_moves_down(weights, step):
    planes = np.zeros([1, 60, 4])
    planes[0, 10] = 1.0
    rows = np.arange(60)
    for frame in range(1, 20):
        planes = _moved_down(planes, weights)
        mass = planes[0, :, 2]
        assert mass.sum() == pytest.approx(1)
        assert mass @ rows == pytest.approx(10 + frame * step)
    column = np.random.default_rng(0).random(20)
    wanted = np.convolve(column, weights[::-1], mode="same")
    moved = _moved_down(column[None, :, None], weights)[0, :, 0]
    np.testing.assert_allclose(moved, wanted, atol=1e-12)


class _Calm:
    """Streams without noise."""

    def draw(self, sample):
        del sample
        return np.zeros([1, 16, 256])


def test_no_drops_no_change():
    """Every value of 8 bits comes back as it was."""
    images = np.arange(256, dtype=np.uint8)
    images = np.broadcast_to(images[:, None], (1, 16, 256, 3))
    for frame in spatter(images, (0.6, 0.265, 1.75, 0.7, (0.8, 0.2)), _Calm()):
        back = (frame * 255.0).astype(np.uint8)
        np.testing.assert_array_equal(back, images)
