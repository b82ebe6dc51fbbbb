"""By other ways to compute them: sizes and constants beyond CIFAR's; frost."""

import functools
import math
import types

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from noisymix_tf import corruptions
from noisymix_tf.corruptions import blur, filters, weather
from noisymix_tf.corruptions.generate import to_uint8
from noisymix_tf.corruptions.weather import textures
from support.corruption_oracle import generators, photographs
from support.released_sets import noise, save_image
from support.usage import assert_usage_error


def corrupt(images, name, severity, seed=0, **options):
    options = {"table": "imagenet", **options}
    return corruptions.corrupt(images, name, severity, seed, **options)


@pytest.mark.parametrize(
    "severity, radius, sigma", [(1, 3, 0.1), (4, 8, 0.5), (5, 10, 0.5)]
)
def test_defocus_is_a_mean_over_a_disk(severity, radius, sigma):
    images = photographs(2, 40, 53)
    squares = np.arange(-max(radius, 8), max(radius, 8) + 1) ** 2
    disk = (squares[:, None] + squares <= radius**2).astype(float)
    # The edge is smoothed by three taps, of a disk above 8 pixels by five.
    smooth = {"mode": "mirror", "truncate": (1 if radius <= 8 else 2) / sigma}
    disk = ndimage.gaussian_filter(disk / disk.sum(), sigma, **smooth)
    disk = disk[None, ..., None]
    wanted = ndimage.correlate(images / 255, disk, mode="mirror")
    error = 255 * wanted - corrupt(images, "defocus_blur", severity)
    assert -1e-3 < error.min() and error.max() < 1 + 1e-3


def test_taps_at_whole_degrees():
    """Restated by operations: the last bit decides half-way between pixels."""
    taps, angles, wanted = 29, range(-180, 181), []
    for radians in (math.pi * angle / 180 for angle in angles):
        line = taps * math.sin(radians), taps * math.cos(radians)
        for tap in range(taps):
            places = [tap * side / math.hypot(*line) for side in line]
            wanted.append([math.ceil(place - 0.5) for place in places])
    ours = filters.line(taps, angles).reshape(-1, 2)
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize(
    "reach, shape", [(1, (11, 17, 1)), (2, (8, 9, 3)), (4, (8, 9, 3))]
)
def test_glass_copies_one_pixel_after_the_other(reach, shape):
    images = photographs(3, *shape)
    inner = [max(size - 2 * reach, 0) for size in shape[:2]]
    draws = np.random.default_rng(reach)
    offsets = draws.integers(-reach, reach, [3, 3, *inner, 2])
    wanted = images.copy()
    for image, passes in zip(wanted, offsets):
        for steps in passes:
            for row, column in np.argwhere(np.ones(inner))[::-1]:
                down, right = steps[row, column]
                # A border is not overwritten, wider at the top and left.
                row, column = row + reach + 1, column + reach + 1
                image[row, column] = image[row + down, column + right]
    np.testing.assert_array_equal(blur.scatter(images, offsets, reach), wanted)


@pytest.mark.parametrize(
    ("severity", "shares", "height", "width"),
    [(1, (2, 0.7, 0.1), 40, 56), (5, (0.12, 0.01, 0.02), 56, 40)],
)
def test_elastic_transform_is_what_scipy_makes(severity, shares, height, width):
    name = "elastic_transform"
    (image,) = images = photographs(1, height, width)
    strength, smoothness, shift = np.multiply(shares, 40 * 244 / 224)
    ours = corrupt(images, name, severity, 3)
    (generator,) = generators(3, name, severity, 1)
    shifts, noise = np.split(generator.uniform(-1, 1, 6 + 2 * 40 * 56), [6])
    # A third of the shorter side away from the centre, as (x, y).
    corners = np.array([[1, 1], [1, -1], [-1, -1]])
    before = 13 * corners + [width // 2, height // 2]
    after = before + shift * shifts.reshape(3, 2)
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows, np.ones(rows.shape)], axis=-1) @ back
    x, y = np.moveaxis(np.round(places * 32) / 32, -1, 0)
    noise = strength * noise.reshape(2, height, width)
    sigmas, rule = [0, smoothness, smoothness], {"mode": "reflect", "order": 1}
    right, down = ndimage.gaussian_filter(noise, sigmas, truncate=3)
    wanted = []
    for plane in np.moveaxis(image / 255, -1, 0):
        plane = ndimage.map_coordinates(plane, [y, x], order=1, mode="mirror")
        moved = [rows + down, columns + right]
        wanted.append(ndimage.map_coordinates(plane, moved, **rule))
    error = 255 * np.stack(wanted, axis=-1) - ours[0]
    # Half-way between two 32nds of a pixel either is right.
    assert ((error < -1e-3) | (error > 1 + 1e-3)).mean() < 0.02
    assert np.abs(error - 0.5).max() < 2


def test_clouds_and_drops():
    images = photographs(2, 20, 37)
    foggy = corrupt(images, "fog", 4, 5)
    draws = generators(5, "fog", 4, 2)
    uniform = np.stack([draw.random(64 * 64 - 1) for draw in draws])
    unit, clouds = images / 255, filters.plasma(uniform, 1.5)[:, :20, :37, None]
    brightest = unit.max(axis=(1, 2, 3), keepdims=True)
    wanted = (unit + 2.5 * clouds) * brightest / (brightest + 2.5)
    np.testing.assert_array_equal(foggy, to_uint8(wanted))
    drops = np.pad(np.ones([1, 10, 10]), ((1, 0), (5, 5), (10, 17)))
    drawn = types.SimpleNamespace(draw=lambda sample: drops)
    spatter = corruptions.CORRUPTIONS.get("spatter").function
    for liquid, amount in (("water", 0.5), ("mud", 1.0)):
        given = images, (0.65, 0.3, 0.7, 0.69, amount, liquid), drawn
        wet = to_uint8(spatter(*given))
        assert ((wet == images).all(axis=(1, 2, 3)) == [True, False]).all()


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(["a.png", "b.PNG"]):
        save_image(tmp_path / name, noise(62, 92, 3, seed=seed))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


@pytest.mark.parametrize(
    "table, weights",
    [
        ("cifar", "1 .2  1 .3  .9 .4  .85 .4  .75 .45"),
        ("imagenet", "1 .4  .8 .6  .7 .7  .65 .7  .6 .75"),
        ("tiny", "1 .3  .9 .4  .8 .45  .75 .5  .7 .55"),
    ],
)
def test_frost_adds_a_part_of_a_picture(folder, table, weights):
    grid = (np.mgrid[:19, :28] + 0.5) / 0.3 - 0.5
    sample = functools.partial(ndimage.map_coordinates, order=1, mode="nearest")
    images, pictures = photographs(6, 8, 11), textures(str(folder))
    assert len(pictures) == 2
    weights = np.reshape(weights.split(), [5, 2]).astype(float)
    for severity, (clear, icy) in enumerate(weights, 1):
        options = {"table": table, "frost_folder": folder}
        ours = corrupt(images, "frost", severity, 4, **options)
        draws = generators(4, "frost", severity, len(images))
        for image, iced, draw in zip(images, ours, draws):
            picture = pictures[draw.integers(2)]
            if table == "cifar":
                picture = picture[2::5, 2::5]
            if table == "tiny":
                planes = np.moveaxis(picture.astype(float), -1, 0)
                picture = np.dstack([sample(plane, grid) for plane in planes])
            height, width = picture.shape[:2]
            row, column = draw.integers(height - 8), draw.integers(width - 11)
            ice = picture[row : row + 8, column : column + 11]
            wanted = np.clip(clear * image + icy * ice, 0, 255)
            assert np.abs(iced - np.floor(wanted)).max() <= (table == "tiny")


def test_pictures_of_frost(tmp_path):
    Image.new("RGB", (80, 60), (10, 200, 100)).save(tmp_path / "a.png")
    images = np.zeros([2, 100, 70, 3], np.uint8)
    icy = corrupt(images, "frost", 3, frost_folder=tmp_path)
    assert (icy == [7, 140, 70]).all()
    # Of a tiny picture one pixel is left.
    (tmp_path / "tiny").mkdir()
    Image.new("RGB", (2, 2), (10, 200, 100)).save(tmp_path / "tiny" / "a.png")
    own = {"table": "cifar", "frost_folder": tmp_path / "tiny"}
    assert (corrupt(images, "frost", 3, **own) == [4, 80, 40]).all()
    pictures = textures(None)
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.dtype == np.uint8 and 10 < picture.std() < 60
        red, green, blue = picture.mean(axis=(0, 1))
        assert 70 < red < green < blue
    # Private: one picture, drawn once more.
    again = weather._drawn(*weather._ICES[1], 1)
    np.testing.assert_array_equal(again, pictures[1])


def test_the_version_tells_the_pictures(folder):
    plain, own = corruptions.version(), corruptions.version(folder)
    assert plain == str(corruptions.VERSION)
    assert own.startswith(plain + "+") and corruptions.version(folder) == own
    other = folder / "other" / "a.png"
    version = functools.partial(corruptions.version, other.parent)
    other.parent.mkdir()
    assert_usage_error(version, f"No picture of frost in '{other.parent}'")
    other.write_bytes(b"no picture")
    assert_usage_error(version, "a.png' cannot be read")
    save_image(other, noise(60, 90, 3))
    assert version() not in (plain, own)
