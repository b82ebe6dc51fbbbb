"""Weather against closed forms, plain loops and the user's own pictures."""

import itertools

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.corruptions import frost_textures, plasma, snow, spatter
from noisymix_tf.errors import UsageError
from support.corruption_oracle import photographs


def test_brightness_of_grey_adds():
    images = np.full([1, 8, 8, 3], 100, np.uint8)
    images[0, 0, 0] = 0
    images[0, 0, 1] = 250
    bright = corruptions.corrupt(images, "brightness", 5)
    assert (bright[0, 1:] == 176).all()  # 100 + 0.3 * 255 = 176.5, truncated
    assert (bright[0, 0, 0] == 76).all()
    assert (bright[0, 0, 1] == 255).all()


# --- snow --------------------------------------------------------------------


def test_snow_without_flakes_only_whitens():
    images = np.full([1, 8, 8, 3], 102, np.uint8)
    noise = np.zeros([1, 8, 8])
    # 0.8 * 0.4 + 0.2 * (1.5 * 0.4 + 0.5)
    snowy = snow.snowfall(images, noise, [-90.0], 1, 0.5, 8, 3, 0.8)
    np.testing.assert_allclose(snowy, 0.54, atol=1e-6)


def test_a_flake_falls_and_appears_twice():
    images = np.zeros([1, 9, 15, 1], np.uint8)
    noise = np.zeros([1, 9, 15])
    noise[0, 2, 3] = 1.0
    snowy = snow.snowfall(images, noise, [-90.0], 1, 0.5, 1, 1.0, 1.0)
    weights = np.exp([0.0, -0.5, -2.0])
    wanted = np.floor(255 * weights / weights.sum()) / 255
    streak = np.zeros([9, 15])
    streak[2:5, 3] = wanted
    np.testing.assert_allclose(
        snowy[0, ..., 0], streak + streak[::-1, ::-1], atol=1e-6
    )


# --- fog ---------------------------------------------------------------------


def test_plasma_by_the_rule():
    """Corners, then squares, then diamonds, one point after the other."""
    uniform = np.random.default_rng(0).random([2, 8 * 8 - 1])
    for numbers, clouds in zip(uniform, plasma.plasma(uniform, 1.7)):
        np.testing.assert_allclose(clouds, _plasma(numbers, 1.7), atol=1e-12)


def _plasma(numbers, decay):
    size = step = round(np.sqrt(len(numbers) + 1))
    reach, numbers = 100.0, iter(numbers)
    field = np.zeros([size, size])
    while step > 1:
        half = step // 2
        whole, between = range(0, size, step), range(half, size, step)
        square = [(r, c) for r in (-half, half) for c in (-half, half)]
        cross = [(half, 0), (-half, 0), (0, half), (0, -half)]
        for rows, columns, neighbours in (
            (between, between, square),
            (whole, between, cross),
            (between, whole, cross),
        ):
            for row, column in itertools.product(rows, columns):
                around = [
                    field[(row + r) % size, (column + c) % size]
                    for r, c in neighbours
                ]
                shift = reach * reach * (2 * next(numbers) - 1)
                field[row, column] = np.mean(around) + shift
        step, reach = half, reach / decay
    return (field - field.min()) / (field.max() - field.min())


def test_fog_of_a_flat_image_lies_between_its_limits():
    images = np.full([20, 32, 32, 3], 128, np.uint8)
    thickness, unit = 0.75, 128 / 255
    foggy = corruptions.corrupt(images, "fog", 3)
    dark = unit * unit / (unit + thickness)
    # The thinnest and the thickest place of every image's clouds.
    assert (foggy.min(axis=(1, 2, 3)) == int(dark * 255)).all()
    assert (foggy.max(axis=(1, 2, 3)) == 128).all()


def test_black_images_stay_black_in_fog():
    images = np.zeros([2, 16, 16, 3], np.uint8)
    assert not corruptions.corrupt(images, "fog", 5).any()


# --- frost -------------------------------------------------------------------


def test_drawn_frost_is_frost_coloured():
    pictures = frost_textures.textures()
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.dtype == np.uint8
        red, green, blue = picture.mean(axis=(0, 1))
        assert red < green < blue
        assert 70 < red
        assert 10 < picture.std() < 60


def test_drawn_frost_is_the_same_every_time():
    drawn = frost_textures._drawn(frost_textures._ICES[1], 1)
    np.testing.assert_array_equal(drawn, frost_textures.textures()[1])


@pytest.fixture
def folder(tmp_path):
    """Two pictures, flat but for their place in red and green."""
    for value, name in ((10, "a.png"), (200, "b.PNG")):
        picture = np.full([60, 80, 3], value, np.uint8)
        picture[..., 0] = np.arange(60)[:, None]
        picture[..., 1] = np.arange(80)
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_frost_from_the_users_folder(folder):
    images = np.full([300, 16, 16, 3], 50, np.uint8)
    icy = corruptions.corrupt(
        images, "frost", 1, table="imagenet", frost_folder=folder
    )
    # One times the image and 0.4 times the picture, truncated.
    blue = icy[..., 2]
    assert (blue == blue[:, :1, :1]).all()
    assert set(np.unique(blue)) == {50 + 4, 50 + 80}
    assert abs((blue[:, 0, 0] == 54).sum() - 150) < 4 * np.sqrt(75)
    rows = np.arange(60)[None, : 60 - 16]
    starts = np.floor(50 + 0.4 * rows[0])
    assert set(icy[:, 0, 0, 0]) <= set(starts.astype(int))
    steps = icy[:, 15, 0, 0].astype(int) - icy[:, 0, 0, 0]
    assert set(steps) <= {5, 6, 7}
    assert len(set(icy[:, 0, 0, 1])) > 20


def test_small_images_take_every_fifth_pixel(folder):
    images = np.zeros([4, 8, 8, 3], np.uint8)
    icy = corruptions.corrupt(images, "frost", 5, frost_folder=folder)
    unrolled = icy[..., 0].astype(float) / 0.45
    steps = (unrolled[:, -1, 0] - unrolled[:, 0, 0]) / 7
    np.testing.assert_allclose(steps, 5, atol=0.5)


def test_pictures_grow_where_images_are_larger(folder):
    images = np.zeros([2, 100, 70, 3], np.uint8)
    icy = corruptions.corrupt(images, "frost", 3, frost_folder=folder)
    assert set(np.unique(icy[..., 2])) <= {7, 140}


def test_the_version_tells_the_pictures(folder, tmp_path_factory):
    plain = corruptions.version()
    assert plain == str(corruptions.VERSION)
    with_folder = corruptions.version(folder)
    assert with_folder.startswith(plain + "+")
    assert corruptions.version(str(folder)) == with_folder
    other = tmp_path_factory.mktemp("other")
    (other / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert corruptions.version(other) != with_folder


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UsageError, match=r"No picture of frost.*\.png"):
        corruptions.version(tmp_path)


def test_a_broken_picture(tmp_path):
    (tmp_path / "frost.png").write_bytes(b"no picture")
    images = np.zeros([1, 32, 32, 3], np.uint8)
    with pytest.raises(UsageError, match=r"frost\.png' cannot be read"):
        corruptions.corrupt(images, "frost", 1, frost_folder=tmp_path)


# --- spatter -----------------------------------------------------------------


def test_distances_are_the_shortest_ways():
    """Closed form of steps to eight neighbours and knight's moves."""
    away = np.random.default_rng(0).random([3, 15, 22]) > 0.02
    rows, columns = np.mgrid[:15, :22]
    for mask, ours in zip(away, spatter.distance(away, 9.0)):
        wanted = np.full(mask.shape, 9.0)
        for row, column in np.argwhere(~mask):
            far = np.maximum(abs(rows - row), abs(columns - column))
            near = np.minimum(abs(rows - row), abs(columns - column))
            way = np.where(
                near <= far - near,
                near * 2.1969 + (far - 2 * near),
                (far - near) * 2.1969 + (2 * near - far) * 1.4,
            )
            wanted = np.minimum(wanted, way)
        np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_outlines_of_a_square():
    planes = np.zeros([2, 12, 14], np.uint8)
    planes[0, 3:8, 4:10] = 200
    # Too faint everywhere: no pixel exceeds the high threshold.
    planes[1, 3:8, 4:10] = 20
    outlines = spatter.edges(planes, 50, 150)
    assert not outlines[1].any()
    inside = np.zeros([12, 14], bool)
    inside[4:7, 5:9] = True
    assert not outlines[0][inside].any()
    for row in (outlines[0][5], outlines[0][6]):
        assert row.sum() == 2
    for column in range(6, 8):
        assert outlines[0][:, column].sum() == 2


def test_faint_outlines_need_a_strong_pixel():
    planes = np.zeros([1, 8, 30], np.uint8)
    planes[0, 4:, :] = 20
    faint = spatter.edges(planes, 50, 150)
    assert not faint.any()
    planes[0, 4:, 20:] = 90
    joined = spatter.edges(planes, 50, 150)
    assert joined[0, :, 2:18].any(axis=0).all()


def test_equalized_by_hand():
    planes = np.array([[[3, 3, 7, 9]], [[5, 5, 5, 5]]], np.uint8)
    wanted = [[[0, 0, 128, 255]], [[5, 5, 5, 5]]]
    np.testing.assert_array_equal(spatter.equalized(planes), wanted)


def test_images_without_drops_stay_as_they_are():
    images = photographs(2)
    noise = np.zeros([2, 32, 32])
    noise[1, 10:20, 10:20] = 1.0
    for liquid, amount in (("water", 0.5), ("mud", 1.0)):
        splashed = spatter.splashed(images, noise, 0.7, 0.69, amount, liquid)
        pixels = corruptions.core.to_uint8(splashed)
        np.testing.assert_array_equal(pixels[0], images[0])
        assert (pixels[1] != images[1]).any()


def test_drops_take_the_colour_of_their_liquid():
    images = np.full([40, 32, 32, 3], 100, np.uint8)
    water = corruptions.corrupt(images, "spatter", 3).astype(float) - 100
    assert (water >= 0).all()
    wet = water.sum(axis=-1) > 60
    red, green, blue = water[wet].T
    assert (red < green).all()
    np.testing.assert_array_equal(green, blue)
    mud = corruptions.corrupt(images, "spatter", 5)
    covered = mud[(mud != 100).all(axis=-1)].astype(float)
    share = (100 - covered) / (100 - np.array([63, 42, 20]))
    assert (share > 0.75).all()
    assert (share <= 1.02).all()
