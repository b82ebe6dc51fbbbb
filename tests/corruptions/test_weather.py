"""Weather: the user's own pictures, and what the benchmark's pixels lack."""

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.corruptions import frost_textures, plasma, spatter
from support.corruption_oracle import generators, photographs
from support.usage import assert_usage_error


def test_clouds_are_as_large_as_the_smallest_power_of_two():
    images = photographs(2, 20, 37)
    foggy = corruptions.corrupt(images, "fog", 4, 5, table="imagenet")
    draws = generators(5, "fog", 4, 2)
    uniform = np.stack([draw.random(64 * 64 - 1) for draw in draws])
    wanted = plasma.foggy(images, plasma.plasma(uniform, 1.5), 2.5)
    np.testing.assert_array_equal(foggy, corruptions.core.to_uint8(wanted))


def test_images_without_drops_stay_as_they_are():
    images = photographs(2)
    noise = np.zeros([2, 32, 32])
    noise[1, 10:20, 10:20] = 1.0
    for liquid, amount in (("water", 0.5), ("mud", 1.0)):
        splashed = spatter.splashed(images, noise, 0.7, 0.69, amount, liquid)
        pixels = corruptions.core.to_uint8(splashed)
        np.testing.assert_array_equal(pixels[0], images[0])
        assert (pixels[1] != images[1]).any()


@pytest.fixture
def folder(tmp_path):
    """Two pictures of frost and something else."""
    for seed, name in enumerate(["a.png", "b.PNG"]):
        picture = np.random.default_rng(seed).integers(0, 256, [60, 90, 3])
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


FROST = {
    "cifar": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "imagenet": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
}


@pytest.mark.parametrize("table", corruptions.TABLES)
def test_frost_adds_a_part_of_a_picture(folder, table):
    """For small images it takes every fifth pixel, from the third on."""
    pictures = frost_textures.textures(str(folder))
    assert len(pictures) == 2
    images = photographs(6, 8, 11)
    for severity, (clear, icy) in enumerate(FROST[table], 1):
        ours = corruptions.corrupt(
            images, "frost", severity, 4, table=table, frost_folder=folder
        )
        draws = generators(4, "frost", severity, len(images))
        for image, iced, draw in zip(images, ours, draws):
            picture = pictures[draw.integers(2)]
            if table == "cifar":
                picture = picture[2::5, 2::5]
            height, width = picture.shape[:2]
            row, column = draw.integers(height - 8), draw.integers(width - 11)
            ice = picture[row : row + 8, column : column + 11]
            wanted = np.clip(clear * image + icy * ice, 0, 255)
            np.testing.assert_array_equal(iced, wanted.astype(np.uint8))


def test_pictures_grow_where_images_are_larger(tmp_path):
    for value, name in ((10, "a.png"), (200, "b.jpg")):
        picture = np.full([60, 80, 3], value, np.uint8)
        Image.fromarray(picture).save(tmp_path / name)
    images = np.zeros([2, 100, 70, 3], np.uint8)
    icy = corruptions.corrupt(images, "frost", 3, frost_folder=tmp_path)
    assert set(np.unique(icy)) <= {7, 140}


def test_drawn_frost_is_frost_coloured_and_the_same_every_time():
    pictures = frost_textures.textures(None)
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.dtype == np.uint8
        red, green, blue = picture.mean(axis=(0, 1))
        assert 70 < red < green < blue
        assert 10 < picture.std() < 60
    # Private: one picture, drawn once more.
    again = frost_textures._drawn(frost_textures._ICES[1], 1)
    np.testing.assert_array_equal(again, pictures[1])


def test_the_version_tells_the_pictures(folder, tmp_path_factory):
    plain, own = corruptions.version(), corruptions.version(folder)
    assert plain == str(corruptions.VERSION)
    assert own.startswith(plain + "+") and corruptions.version(folder) == own
    other = tmp_path_factory.mktemp("other")

    def refused(words):
        assert_usage_error(lambda: corruptions.version(other), words)

    refused(f"No picture of frost in '{other}'")
    (other / "a.png").write_bytes(b"no picture")
    refused("a.png' cannot be read")
    (other / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert corruptions.version(other) != own
