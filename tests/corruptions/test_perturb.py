"""Perturbation sequences: names, seeds, shapes, crops and bad input."""

import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import perturb
from noisymix_tf.corruptions.perturbations import sequence
from support.corruption_oracle import photographs
from support.usage import assert_usage_error

CIFAR = (
    *("gaussian_noise", "shot_noise", "motion_blur", "zoom_blur", "spatter"),
    *("brightness", "translate", "rotate", "tilt", "scale"),
)
NOISE = ("gaussian_noise", "shot_noise", "speckle_noise")
NAMES = corruptions.perturbation_names()
STOCHASTIC = NOISE + ("snow", "spatter")

# --- what is registered ------------------------------------------------------


def test_names_by_tag():
    names = corruptions.perturbation_names
    assert names("cifar") == CIFAR
    with_snow = ["snow" if name == "spatter" else name for name in CIFAR]
    assert names("imagenet") == tuple(with_snow)
    held_out = ("speckle_noise", "gaussian_blur", "shear")
    assert set(names("cifar_extra")) == {*held_out, "snow"}
    assert set(names("imagenet_extra")) == {*held_out, "spatter"}
    assert names("noise") == NOISE
    assert len(names()) == 14 and names()[-3:] == held_out
    by_family = [names(family) for family in sequence.FAMILIES]
    assert sorted(sum(by_family, ())) == sorted(names())
    assert_usage_error(lambda: names("loud"), "'loud'", "cifar, imagenet")


def test_a_new_perturbation_plugs_in(monkeypatch):
    """One that yields too few frames or too many is found."""
    registry = corruptions.PERTURBATIONS
    # The private entries, so that other tests do not see the new ones.
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    shared = {"family": "weather", "cifar": 0.25, "imagenet": 0.5}
    for frames in (4, 5, 6):

        @corruptions.perturbation(
            f"fade{frames}", sets=("cifar_extra",), frames=(frames, 3), **shared
        )
        def fade(images, step, streams):
            for frame in range(round(1 / step) + 1):
                yield images / 255.0 * (1 - frame * step)

    assert "fade5" in corruptions.perturbation_names("cifar_extra")
    images = np.full([1, 32, 32, 3], 200, np.uint8)
    films = perturb(images, "fade5")
    assert films[0, :, 0, 0, 0].tolist() == [200, 150, 100, 50, 0]
    films = perturb(images, "fade5", table="imagenet")
    assert films[0, :, 0, 0, 0].tolist() == [200, 100, 0]
    for wrong in ("fade4", "fade6"):
        with pytest.raises(ValueError, match="zip"):
            perturb(images, wrong)
    with pytest.raises(ValueError, match="3 constants"):
        corruptions.perturbation(
            "hum", family="noise", sets=(), cifar=(1, 2), imagenet=(1, 2, 3)
        )
    with pytest.raises(ValueError, match="known sets"):
        corruptions.perturbation("hum", sets=("mnist",), **shared)


# --- seeds -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_image_becomes_the_same_in_any_batch(name, monkeypatch):
    images = photographs(5, 12, 16)
    whole = perturb(images, name, seed=5)
    order = np.array([4, 0, 2])
    some = perturb(images[order], name, seed=5, indices=order)
    np.testing.assert_array_equal(some, whole[order])
    # Private: how much is computed at a time, here two images.
    monkeypatch.setattr(sequence, "_BLOCK_VALUES", 2 * images[0].size)
    np.testing.assert_array_equal(perturb(images, name, seed=5), whole)


@pytest.mark.parametrize("name", NAMES)
def test_index_seed_and_difficulty_count_where_there_is_chance(name):
    twins = np.repeat(photographs(1), 2, axis=0)
    made = perturb(twins, name, seed=1)
    chance = name in STOCHASTIC
    assert (made[0] != made[1]).any() == chance
    assert (perturb(twins, name, seed=2) != made).any() == chance
    for difficulty in (2, 3):
        harder = perturb(twins, name, seed=1, difficulty=difficulty)
        assert (harder != made).any() == (name in NOISE)


# --- shapes ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 21, 1), (70, 66, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_any_shape(name, shape):
    images = photographs(2, *shape)
    for table in corruptions.TABLES:
        films = perturb(images, name, table=table)
        frames = {
            ("motion_blur", "cifar"): 21,
            ("translate", "cifar"): 16,
            ("translate", "imagenet"): 41,
        }.get((name, table), 31)
        assert films.shape == (2, frames, *shape)
        assert films.dtype == np.uint8
        assert corruptions.PERTURBATIONS.get(name).frames[table] == frames


# Noise of channels is independent, and drops of water are not grey.
@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in (*NOISE, "spatter")]
)
def test_grey_is_one_channel_of_a_grey_rgb_image(name):
    grey = photographs(1, channels=1)
    one = perturb(grey, name).astype(int)
    three = perturb(np.repeat(grey, 3, axis=-1), name)
    # The brightness of a grey pixel is a sum of three, with rounding.
    assert np.abs(one - three).max() <= (1 if name == "snow" else 0)


def test_the_table_follows_the_shorter_side():
    small, large = photographs(1, 63, 80), photographs(1, 80, 64)
    for images, table in ((small, "cifar"), (large, "imagenet")):
        auto = perturb(images, "brightness")
        for other in corruptions.TABLES:
            chosen = perturb(images, "brightness", table=other)
            assert (auto == chosen).all() == (other == table)


@pytest.mark.parametrize("name", ["shot_noise", "zoom_blur", "snow", "tilt"])
def test_only_the_films_are_large(name, monkeypatch):
    images = photographs(60, 16, 16)
    # Private: six images at a time.
    monkeypatch.setattr(sequence, "_BLOCK_VALUES", 6 * images[0].size)
    perturb(images[:1], name)  # Loads what is loaded on first use.
    tracemalloc.start()
    films = perturb(images, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A block of six, its temporaries and Pillow; the batch in floats would be
    # 370 kB a frame.
    assert peak - films.nbytes < 370_000


@pytest.mark.parametrize("name", NAMES)
def test_crop_is_the_centre(name):
    images = photographs(1, 41, 50)
    cropped = perturb(images, name, crop=32)
    centre = np.s_[:, 4:36, 9:41]  # 4.5 rounded to the even whole number
    if name in ("zoom_blur", "translate", "rotate", "tilt", "scale", "shear"):
        # What comes in is what lies outside of the crop.
        wanted = perturb(images, name)[:, :, *centre[1:]]
    else:
        wanted = perturb(images[centre], name)
    np.testing.assert_array_equal(cropped, wanted)


# --- bad input ---------------------------------------------------------------

GOOD = np.zeros([2, 32, 32, 3], np.uint8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "rain"}, ["perturbation 'rain'", "Known: gaussian_noise"]),
        ({"difficulty": 0}, ["Difficulty 0", "1, 2 or 3"]),
        ({"difficulty": True}, ["Difficulty True"]),
        ({"images": GOOD.astype("f4")}, ["float32", "cast to uint8"]),
        ({"table": "mnist"}, ["'mnist'", "auto, cifar, imagenet"]),
        ({"seed": -1}, ["at least 0, got -1"]),
        ({"indices": [0]}, ["2 ints"]),
        ({"crop": 33}, ["from 1 to 32", "got 33"]),
        ({"crop": 0}, ["got 0"]),
        ({"crop": 16.0}, ["got 16.0"]),
        ({"crop": True}, ["got True"]),
    ],
)
def test_bad_input(arguments, words):
    call = {"images": GOOD, "name": "rotate", **arguments}
    assert_usage_error(lambda: perturb(**call), *words)
