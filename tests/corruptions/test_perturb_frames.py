"""Frames of perturbations: the benchmark's own, closed forms, crops."""

import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import generate, perturb
from noisymix_tf.corruptions.geometry import project, tilted_view, turn
from noisymix_tf.corruptions.pictures import about_centre
from noisymix_tf.corruptions.spatter import moved_down
from support.corruption_oracle import LegacyStreams, photographs

# The oracle's numbering of the perturbations, part of its seeds.
ORDER = (
    "gaussian_noise shot_noise motion_blur zoom_blur spatter brightness "
    "translate rotate tilt scale snow speckle_noise gaussian_blur shear".split()
)
STOCHASTIC = ("shot_noise", "speckle_noise", "snow", "spatter")
# By the last bit of a float this share of the values may differ by one level.
ROUNDING_SHARE = {"motion_blur": 1e-4, "brightness": 0.005}


def with_legacy_draws(images, name):
    entry = corruptions.PERTURBATIONS.get(name)
    streams = LegacyStreams(ORDER.index(name) * 100_003, range(len(images)))
    frames = entry.function(images, entry.constant("cifar"), streams)
    return np.stack([generate.to_uint8(frame) for frame in frames], axis=1)


@pytest.mark.parametrize("name", ORDER[1:])
def test_frames_of_cifar(golden, name):
    sets = ("cifar", "extra")
    main, extra = (golden(f"perturbations_p_{name}.npz") for name in sets)
    # Where there is no drop the makers divide zero by zero; not so here.
    stored = "spatter_nansafe" if name == "spatter" else name
    wanted = (extra if stored in extra else main)[stored]
    make = with_legacy_draws if name in STOCHASTIC else perturb
    error = np.abs(make(main["input"], name).astype(int) - wanted)
    share = ROUNDING_SHARE.get(name, 0)
    assert error.max() <= (1 if share else 0)
    assert (error > 0).mean() <= share


def test_constants():
    for name, constants in {
        "motion_blur": [(10, 3, range(-120, 1, 4)), None],
        "zoom_blur": [0.004] * 2,
        "gaussian_blur": [(0.25, 0.035, 6.0), (0.35, 0.014, 7.0)],
        "snow": [(0.3, 3, 14, 4), (0.28, 2, 10, 2.5)],
        "spatter": [
            (0.65, 0.27, 3.7, 0.69, (0.7, 0.15, 0.1, 0.05)),
            (0.6, 0.25, 1.75, 0.7, (0.8, 0.2)),
        ],
        "brightness": [0.02] * 2,
        "translate": [range(-20, 21), range(-15, 16)],
        "rotate": [range(-15, 16)] * 2,
        "tilt": [1.0] * 2,
        "scale": [pytest.approx(np.linspace(0.4, 1.15, 31))] * 2,
        "shear": [range(-15, 16)] * 2,
    }.items():
        entry = corruptions.PERTURBATIONS.get(name)
        assert [entry.imagenet, entry.tiny] == constants, name
    # Without a spread of its noise no flakes; grey in single precision.
    entry = corruptions.PERTURBATIONS.get("snow")
    grey = np.uint8([[[[105] * 3]]])
    frames = entry.function(grey, (0, 2, 10, 2), LegacyStreams(0, [0]))
    assert {*generate.to_uint8(np.array([*frames])).flat} == {132}


def test_views_keep_the_centre_and_brightness_of_grey_adds():
    matrix = about_centre(turn(30) * 1.2, (20, 50, 3))
    np.testing.assert_allclose(matrix @ [25, 10, 1], [25, 10])
    # A tilt of nothing shrinks a little.
    distance, view = np.hypot(20, 50), tilted_view(20, 50, 0)
    wanted = about_centre(np.eye(2) * distance / (distance + 1), (20, 50, 3))
    np.testing.assert_allclose(view[:2] / view[2, 2], wanted, atol=1e-12)
    np.testing.assert_allclose(view[2] / view[2, 2], [0, 0, 1], atol=1e-12)
    images = photographs(2, 32, 40)
    seen = project(images, np.array([[1, 0, 0], [0, 1, 0], [0, -1 / 16, 1]]))
    assert not seen[:, 17:].any()
    np.testing.assert_array_equal(seen[:, 0], images[:, 0])
    grey = np.array([100, 0, 250])[None, None, :, None]
    film = perturb(np.repeat(grey, 3, axis=-1).astype("u1"), "brightness")[0]
    steps = 255 * 0.015 * np.arange(-15, 16)[:, None, None, None]
    error = np.clip(grey + steps, 0, 255) - film
    assert error.min() > -0.001 and error.max() < 1.001


@pytest.mark.parametrize("weights", [(0.8, 0.2), (0.7, 0.15, 0.1, 0.05)])
def test_liquid_moves_down(weights):
    column = np.random.default_rng(0).random(20)
    wanted = np.convolve(column, weights[::-1], mode="same")
    moved = moved_down(column[None, :, None], weights)[0, :, 0]
    np.testing.assert_allclose(moved, wanted, atol=1e-12)


@pytest.mark.parametrize("name", ORDER)
def test_crop_is_the_centre(name):
    images = photographs(1, 41, 50)
    cropped = perturb(images, name, crop=32)
    centre = np.s_[..., 4:36, 9:41, :]  # 4.5 rounded to the even whole number
    wanted = perturb(images[centre], name)
    if name in "zoom_blur translate rotate tilt scale shear".split():
        # What comes in is what lies outside of the crop.
        wanted = perturb(images, name)[centre]
    np.testing.assert_array_equal(cropped, wanted)


@pytest.mark.parametrize("name", ["shot_noise", "zoom_blur", "snow", "tilt"])
def test_only_the_films_are_large(name, monkeypatch):
    images = photographs(60, 16, 16)
    # Private: six images at a time.
    monkeypatch.setattr(generate, "_FILM_VALUES", 6 * images[0].size)
    perturb(images[:1], name)  # Loads what is loaded on first use.
    tracemalloc.start()
    films = perturb(images, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The batch in floats would be 370 kB a frame.
    assert peak - films.nbytes < 370_000
