"""What is registered, seeds, shapes and bad input of the corruptions."""

import functools

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.corruptions import core, streams
from support.corruption_oracle import (
    COMMON,
    DETERMINISTIC,
    EXTRA,
    photographs,
)
from support.usage import assert_usage_error

NAMES = COMMON + EXTRA


@pytest.fixture(scope="module")
def corrupt(tmp_path_factory):
    """With a picture of frost that need not be drawn first."""
    folder = tmp_path_factory.mktemp("frost")
    picture = Image.fromarray(photographs(1, 90, 120)[0])
    picture.save(folder / "frost.png")
    return functools.partial(corruptions.corrupt, frost_folder=folder)


def test_names_are_the_benchmarks_in_its_order():
    assert corruptions.names("common") == COMMON
    assert corruptions.names("extra") == EXTRA
    assert corruptions.names() == NAMES
    by_family = [corruptions.names(f) for f in corruptions.FAMILIES]
    assert sorted(sum(by_family, ())) == sorted(NAMES)
    assert "spatter" in corruptions.names("weather")
    words = "'loud'", "common, extra, noise"
    assert_usage_error(lambda: corruptions.names("loud"), *words)


def test_a_new_corruption_plugs_in(corrupt, monkeypatch):
    # The private entries, so that other tests do not see the new one.
    entries = dict(corruptions.CORRUPTIONS._entries)
    monkeypatch.setattr(corruptions.CORRUPTIONS, "_entries", entries)
    constants = {
        "cifar": (0.9, 0.8, 0.7, 0.6, 0.5),
        "imagenet": (0.5, 0.4, 0.3, 0.2, 0.1),
    }

    @corruptions.corruption("dark", family="weather", extra=True, **constants)
    def dark(images, factor, streams):
        return images / 255.0 * factor

    images = np.full([1, 32, 32, 3], 200, np.uint8)
    assert "dark" in corruptions.names("extra")
    assert (corrupt(images, "dark", 5) == 100).all()
    assert (corrupt(images, "dark", 5, table="imagenet") == 20).all()
    for wrong in ({"family": "sound"}, {"cifar": (1, 2)}, {"imagenet": ()}):
        arguments = {"family": "weather", **constants, **wrong}
        with pytest.raises(ValueError, match="five constants"):
            corruptions.corruption("hum", **arguments)


# --- seeds -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_image_becomes_the_same_in_any_batch(corrupt, name, monkeypatch):
    images = photographs(5, 20, 24)
    whole = corrupt(images, name, 3, seed=5)
    order = np.array([4, 0, 2])
    some = corrupt(images[order], name, 3, seed=5, indices=order)
    np.testing.assert_array_equal(some, whole[order])
    # Private: how much is computed at a time, here two images.
    monkeypatch.setattr(core, "_BLOCK_VALUES", 2 * images[0].size)
    blocks = corrupt(images, name, 3, seed=5)
    np.testing.assert_array_equal(blocks, whole)


@pytest.mark.parametrize("name", NAMES)
def test_index_and_seed_count_where_there_is_chance(corrupt, name):
    twins = np.repeat(photographs(1), 2, axis=0)
    made = corrupt(twins, name, 3, seed=1)
    chance = name not in DETERMINISTIC
    assert (made[0] != made[1]).any() == chance
    assert (corrupt(twins, name, 3, seed=2) != made).any() == chance


def test_streams_of_severities_and_corruptions_differ():
    draws = [
        generator.random()
        for name in ("gaussian_noise", "speckle_noise")
        for severity in (1, 2)
        for seed in (0, 1)
        for generator in streams.Streams(
            streams.stream_key(seed, name, severity), [0, 1, 2**40]
        )
    ]
    assert len(set(draws)) == len(draws)


# --- shapes and tables -------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 37, 3), (9, 8, 1), (65, 100, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_any_shape(corrupt, name, shape):
    images = photographs(2, *shape)
    for table in corruptions.TABLES:
        for severity in corruptions.SEVERITIES:
            out = corrupt(images, name, severity, table=table)
            assert out.shape == images.shape
            assert out.dtype == np.uint8


@pytest.mark.parametrize(
    "name", [n for n in NAMES if "noise" not in n and n != "saturate"]
)
def test_grey_is_the_brightness_of_a_grey_rgb_image(corrupt, name):
    grey = photographs(3, channels=1) // 3
    one = corrupt(grey, name, 3)[..., 0].astype(float)
    three = corrupt(np.repeat(grey, 3, axis=-1), name, 3)
    error = np.abs(one - three @ [0.299, 0.587, 0.114]).max()
    # Frost and drops have a colour; JPEG and snow round on the way.
    coloured = name in ("frost", "spatter", "jpeg_compression", "snow")
    assert error < (1.6 if coloured else 1e-6)


def test_saturation_of_grey(corrupt):
    """Grey is a red without saturation; one channel has none to change."""
    images = np.full([1, 8, 8, 3], 200, np.uint8)
    assert (corrupt(images, "saturate", 5) == [200, 160, 160]).all()
    assert (corrupt(images[..., :1], "saturate", 5) == 200).all()


def test_the_table_follows_the_shorter_side(corrupt):
    small, large = photographs(1, 63, 80), photographs(1, 80, 64)
    for images, table in ((small, "cifar"), (large, "imagenet")):
        auto = corrupt(images, "contrast", 2)
        for other in corruptions.TABLES:
            chosen = corrupt(images, "contrast", 2, table=other)
            assert (auto == chosen).all() == (other == table)


# --- bad input ---------------------------------------------------------------

GOOD = np.zeros([2, 32, 32, 3], np.uint8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "rain"}, ["'rain'", "Known: gaussian_noise"]),
        ({"severity": 0}, ["Severity 0", "1, 2, 3, 4 or 5"]),
        ({"severity": 6}, ["Severity 6"]),
        ({"severity": True}, ["Severity True"]),
        ({"severity": 1.5}, ["Severity 1.5"]),
        ({"images": GOOD.astype("f4")}, ["float32", "cast to uint8"]),
        ({"images": GOOD[0]}, ["[32, 32, 3]", "missing axis"]),
        ({"images": GOOD[..., :2]}, ["C = 1 or 3"]),
        ({"images": GOOD[:0]}, ["at least one image"]),
        ({"table": "mnist"}, ["'mnist'", "auto, cifar, imagenet"]),
        ({"seed": -1}, ["at least 0, got -1"]),
        ({"seed": 0.5}, ["got 0.5"]),
        ({"indices": [0]}, ["2 ints"]),
        ({"indices": [0, -1]}, ["at least 0"]),
        ({"indices": [0.0, 1.0]}, ["float64"]),
        ({"frost_folder": 7}, ["path of a folder", "got 7"]),
        ({"name": "frost", "frost_folder": "no/such"}, ["'no/such'", ".png"]),
    ],
)
def test_bad_input(arguments, words):
    call = {"images": GOOD, "name": "contrast", "severity": 1, **arguments}
    assert_usage_error(lambda: corruptions.corrupt(**call), *words)
