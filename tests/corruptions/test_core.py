"""What is registered, seeds, shapes and bad input of the corruptions."""

import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import core, streams
from noisymix_tf.errors import UsageError
from support.corruption_oracle import (
    COMMON,
    DETERMINISTIC,
    EXTRA,
    STOCHASTIC,
    photographs,
)

# --- what is registered ------------------------------------------------------


def test_names_are_the_benchmarks_in_its_order():
    assert corruptions.names("common") == COMMON
    assert corruptions.names("extra") == EXTRA
    assert corruptions.names() == COMMON + EXTRA


def test_families_hold_every_name_once():
    by_family = [corruptions.names(f) for f in corruptions.FAMILIES]
    assert sorted(sum(by_family, ())) == sorted(COMMON + EXTRA)
    assert "spatter" in corruptions.names("weather")
    assert "elastic_transform" in corruptions.names("digital")


def test_a_new_corruption_plugs_in(monkeypatch):
    monkeypatch.setattr(
        core.CORRUPTIONS, "_entries", dict(core.CORRUPTIONS._entries)
    )

    @corruptions.corruption(
        "darken",
        family="weather",
        cifar=(0.9, 0.8, 0.7, 0.6, 0.5),
        imagenet=(0.5, 0.4, 0.3, 0.2, 0.1),
        extra=True,
    )
    def darken(images, factor, streams):
        return images / 255.0 * factor

    images = np.full([1, 32, 32, 3], 200, np.uint8)
    assert "darken" in corruptions.names("extra")
    assert (corruptions.corrupt(images, "darken", 5) == 100).all()
    dark = corruptions.corrupt(images, "darken", 5, table="imagenet")
    assert (dark == 20).all()


# --- seeds -------------------------------------------------------------------


@pytest.mark.parametrize("name", corruptions.names())
def test_batch_size_and_order_do_not_matter(name):
    images = photographs(batch=7)
    whole = corruptions.corrupt(images, name, 3, seed=5)
    for start in range(0, 7, 3):
        part = slice(start, start + 3)
        some = corruptions.corrupt(
            images[part], name, 3, seed=5, indices=np.arange(7)[part]
        )
        np.testing.assert_array_equal(some, whole[part])
    order = np.array([4, 0, 6, 2])
    shuffled = corruptions.corrupt(
        images[order], name, 3, seed=5, indices=order
    )
    np.testing.assert_array_equal(shuffled, whole[order])


@pytest.mark.parametrize("name", corruptions.names())
def test_blocks_do_not_matter(name, monkeypatch):
    images = photographs(batch=5)
    whole = corruptions.corrupt(images, name, 4)
    monkeypatch.setattr(core, "_BLOCK_VALUES", 2 * images[0].size)
    np.testing.assert_array_equal(corruptions.corrupt(images, name, 4), whole)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_everything_in_the_seed_counts(name):
    images = np.repeat(photographs(batch=1), 2, axis=0)
    base = corruptions.corrupt(images, name, 3, seed=1)
    again = corruptions.corrupt(images, name, 3, seed=1)
    np.testing.assert_array_equal(base, again)
    assert (base[0] != base[1]).any()
    assert (corruptions.corrupt(images, name, 3, seed=2) != base).any()


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


def test_input_is_left_alone_and_the_global_state_too():
    images = photographs()
    copy = images.copy()
    images.flags.writeable = False
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for name in corruptions.names():
        corruptions.corrupt(images, name, 5)
    np.testing.assert_array_equal(images, copy)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# --- shapes and tables -------------------------------------------------------


SHAPES = [(32, 32, 1), (20, 37, 3), (9, 8, 1), (300, 8, 3), (65, 130, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("table", corruptions.TABLES)
@pytest.mark.parametrize("name", corruptions.names())
def test_any_shape(name, table, shape):
    images = photographs(2, *shape)
    for severity in corruptions.SEVERITIES:
        out = corruptions.corrupt(images, name, severity, table=table)
        assert out.shape == images.shape
        assert out.dtype == np.uint8


# Those whose draws do not depend on the number of channels and which do not
# bring a colour of their own.
COLOURLESS = (
    *(name for name in DETERMINISTIC if name != "saturate"),
    *("glass_blur", "motion_blur", "snow", "fog", "elastic_transform"),
)


@pytest.mark.parametrize("name", COLOURLESS)
def test_grey_is_one_channel_of_a_grey_rgb_image(name):
    grey = photographs(channels=1)
    rgb = np.repeat(grey, 3, axis=-1)
    one = corruptions.corrupt(grey, name, 3)[..., 0].astype(int)
    three = corruptions.corrupt(rgb, name, 3)[..., 0]
    # JPEG converts RGB to luma and back, with rounding; snow adds luma.
    rounded = name in ("jpeg_compression", "snow")
    assert np.abs(one - three).max() <= (1 if rounded else 0)


@pytest.mark.parametrize("name", ["frost", "spatter"])
def test_grey_images_get_the_brightness_of_a_colour(name):
    grey = np.full([3, 32, 32, 1], 60, np.uint8)
    one = corruptions.corrupt(grey, name, 3)[..., 0].astype(float)
    three = corruptions.corrupt(np.repeat(grey, 3, axis=-1), name, 3)
    luma = three @ [0.299, 0.587, 0.114]
    assert np.abs(one - luma).max() <= 1.5
    assert (one != 60).any()


def test_the_table_follows_the_size():
    small, large = photographs(1, 63, 80), photographs(1, 64, 80)
    for images, table in ((small, "cifar"), (large, "imagenet")):
        auto = corruptions.corrupt(images, "contrast", 2)
        chosen = corruptions.corrupt(images, "contrast", 2, table=table)
        np.testing.assert_array_equal(auto, chosen)
    other = corruptions.corrupt(small, "contrast", 2, table="imagenet")
    assert (other != corruptions.corrupt(small, "contrast", 2)).any()


# --- bad input ---------------------------------------------------------------

GOOD = np.zeros([2, 32, 32, 3], np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "rain"}, r"'rain'.*Known: .*gaussian_noise"),
        ({"severity": 0}, "Severity 0.*1, 2, 3, 4 or 5"),
        ({"severity": 6}, "Severity 6"),
        ({"severity": True}, "Severity True"),
        ({"severity": 2.5}, "Severity 2.5"),
        ({"images": GOOD.astype(np.float32)}, "float32.*cast to uint8"),
        ({"images": GOOD[0]}, r"\[32, 32, 3\].*missing axis"),
        ({"images": GOOD[..., :2]}, "C = 1 or 3"),
        ({"images": GOOD[:0]}, "at least one image"),
        ({"images": GOOD[:, :0]}, "at least one image"),
        ({"table": "mnist"}, "'mnist'.*auto, cifar, imagenet"),
        ({"seed": -1}, "at least 0, got -1"),
        ({"seed": 0.5}, "got 0.5"),
        ({"indices": [0]}, "2 ints"),
        ({"indices": [0, -1]}, "at least 0"),
        ({"indices": [0.0, 1.0]}, "float64"),
        ({"frost_folder": 7}, "path of a folder.*got 7"),
        ({"name": "frost", "frost_folder": "no/such"}, "'no/such'.*.png"),
    ],
)
def test_bad_input(arguments, message):
    call = {"images": GOOD, "name": "contrast", "severity": 1, **arguments}
    with pytest.raises(UsageError) as caught:
        corruptions.corrupt(**call)
    text = str(caught.value)
    assert re.search(message, text)
    assert "\n" not in text


def test_bad_tag():
    with pytest.raises(UsageError, match=r"'loud'.*common, extra, noise"):
        corruptions.names("loud")
