"""C-bar against its makers' program, given what that has drawn."""

import pathlib

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions.c_bar import opposite
from support.corruption_oracle import photographs
from support.usage import assert_usage_error

IN_CIFAR = {
    "blue_noise_sample", "brownish_noise", "checkerboard_cutout",
    "circular_motion_blur", "inverse_sparkles", "lines", "pinch_and_twirl",
    "ripple", "sparkles", "transverse_chromatic_abberation",
}  # fmt: skip
IN_IMAGENET = {
    "blue_noise_sample", "brownish_noise", "caustic_refraction",
    "checkerboard_cutout", "cocentric_sine_waves", "inverse_sparkles",
    "perlin_noise", "plasma_noise", "single_frequency_greyscale", "sparkles",
}  # fmt: skip
# Its arrays: an image, and by `NAME-SEVERITY` what it became and, with `-0` and
# so on behind it, what was drawn. Of imagenet_c_bar/corrupt.py at ba4d5a5.
MADE = pathlib.Path(__file__).parents[1] / "golden/c_bar_32.npz"


def test_sets_are_the_published_ones():
    names = corruptions.names
    assert set(names("c_bar", "cifar")) == IN_CIFAR
    assert set(names("c_bar", "imagenet")) == IN_IMAGENET
    assert set(names("c_bar")) == IN_CIFAR | IN_IMAGENET
    # -C is as it was, whatever stands for several of its corruptions.
    own = ("all", "noise", "blur", "weather", "digital", "common", "extra")
    assert not set(names("c_bar")) & set(corruptions.CORRUPTIONS.chosen(own))
    images = np.zeros([1, 32, 32, 3], np.uint8)
    for name in IN_IMAGENET - IN_CIFAR:
        words = f"{name} has no constants for table=cifar"
        own = {"images": images, "name": name, "severity": 1}
        assert_usage_error(corruptions.corrupt, words, **own)


with np.load(MADE) as _made:
    _CASES = sorted(k for k in _made.files if k.count("-") == 1)


@pytest.mark.parametrize("case", _CASES)
def test_equals_the_makers_program_given_its_draws(case):
    with np.load(MADE) as made:
        image, expected = made["image"], made[case]
        drawn = [made[key] for key in made.files if key.startswith(f"{case}-")]
    name, level = case.split("-")
    function = corruptions.CORRUPTIONS.get(name).function
    if name == "blue_noise_sample":
        drawn = [opposite(*drawn)]
    elif name == "brownish_noise":
        drawn = [np.stack([opposite(half) for half in drawn[0]])]
    elif name == "sparkles":
        centres, numbers, lengths = drawn
        drawn = [centres, np.split(lengths, np.cumsum(numbers)[:-1])]
    # What the severity alone decides is ours: the last of the draws.
    own = function.draw(np.random.default_rng(0), image.shape, float(level))
    assert len(own) >= len(drawn)
    result = function.change(image, *drawn, *own[len(drawn) :])
    off = result.clip(0, 255).astype(np.uint8).astype(int) - expected
    # Sums of another order are truncated to the level below here and there.
    assert np.abs(off).max() <= 1 and (off != 0).mean() < 0.002


# Of every draw that is a number: its mean, and the bounds it stays within.
_DRAWS = {
    "checkerboard_cutout": {0: (5.6, 3.2, 8), 1: (np.pi, 0, 2 * np.pi)},
    "ripple": {0: (6.4, 3.2, 9.6), 1: (np.pi, 0, 2 * np.pi)},
    "plasma_noise": {
        0: (3 * np.pi, 0, 6 * np.pi), 1: (5, 4, 6), 2: (0.75, 0.5, 1),
        3: (4.4, 2.4, 6.4),
    },
    "cocentric_sine_waves": {
        0: (16, 0, 32), 1: (5, 0, 10), 2: (1.6, 0, 3.2), 3: (1.6, 0, 3.2),
    },
    "single_frequency_greyscale": {
        0: (0, -np.pi, np.pi), 1: (np.pi, 0, 2 * np.pi),
    },
    "caustic_refraction": {0: (1.25, 0.5, 2), 1: (32, 24, 40)},
    "inverse_sparkles": {0: (16, 8, 24)},
    "sparkles": {0: (16, 0, 32)},
    "blue_noise_sample": {0: (np.pi, 0, 2 * np.pi)},
    "brownish_noise": {0: (np.pi, 0, 2 * np.pi)},
    "pinch_and_twirl": {0: (0, -np.pi / 20, np.pi / 20)},
    "transverse_chromatic_abberation": {0: (1.025, 1, 1.05)},
}  # fmt: skip


@pytest.mark.parametrize("name", _DRAWS)
def test_draws_have_the_published_laws(name):
    draw = corruptions.CORRUPTIONS.get(name).function.draw
    generator = np.random.default_rng(1)
    draws = [draw(generator, (32, 32, 3), 1.0) for _ in range(1500)]
    for place, (mean, least, most) in _DRAWS[name].items():
        values = np.array([np.mean(own[place]) for own in draws])
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - mean) < 4 * error + 1e-9
        every = np.concatenate([np.ravel(own[place]) for own in draws])
        assert least - 1e-9 <= every.min() and every.max() <= most + 1e-9


def test_numbers_of_rays_squares_and_lines():
    def draws(name, level, place, count=500):
        draw = corruptions.CORRUPTIONS.get(name).function.draw
        generator = np.random.default_rng(2)
        own = (draw(generator, (32, 32, 3), level) for _ in range(count))
        return [each[place] for each in own]

    rays = [len(own) for own in draws("inverse_sparkles", 1.0, 1, 2000)]
    assert min(rays) == 50 and max(rays) == 199
    lengths = np.concatenate(draws("inverse_sparkles", 1.0, 1))
    assert abs(lengths.mean() - 8) < 0.1 and abs(lengths.std() - 2) < 0.1
    shorter = [np.concatenate(own) for own in draws("sparkles", 7.0, 1)]
    shorter = np.concatenate(shorter)
    assert shorter.min() >= 1 and abs(shorter.mean() - 2.24) < 0.01
    hidden = np.concatenate(
        [np.ravel(h) for h in draws("checkerboard_cutout", 3.0, 2)]
    )
    assert abs(hidden.mean() - 0.3) < 0.01
    assert {len(own) for own in draws("lines", 2.5, 0)} == {8}
    middles = np.concatenate(draws("lines", 2.5, 0)).reshape(-1, 2, 2).mean(1)
    assert np.abs(middles.mean(0) - 16).max() < 0.7


@pytest.mark.parametrize("name", ["fog", "blue_noise_sample", "brownish_noise"])
def test_a_single_pixel(name):
    with np.errstate(all="raise"):
        corruptions.corrupt(np.full([1, 1, 1, 3], 99, np.uint8), name, 3)


@pytest.mark.parametrize("shape", [(33, 37, 3), (24, 40, 1)])
@pytest.mark.parametrize("name", sorted(IN_CIFAR | IN_IMAGENET))
def test_any_shape_and_grey(name, shape):
    """Odd and unequal sides and one channel keep type, and change something."""
    images = photographs(2, *shape)
    table = "cifar" if name in IN_CIFAR else "imagenet"
    made = corruptions.corrupt(images, name, 5, table=table)
    assert made.shape == images.shape and made.dtype == np.uint8
    assert all((a != b).mean() > 0.02 for a, b in zip(made, images))
    again = corruptions.corrupt(images[1:], name, 5, table=table, indices=[1])
    np.testing.assert_array_equal(again[0], made[1])
