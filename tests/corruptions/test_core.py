"""Registries, seeds, shapes, severities and bad input of both kinds."""

import functools
import itertools
import math

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import (
    core,
    corrupt,
    generate,
    perturb,
    selection,
)
from support.corruption_oracle import COMMON, DETERMINISTIC, EXTRA, photographs
from support.released_sets import save_image
from support.usage import assert_usage_error

FILMS = tuple(
    "gaussian_noise shot_noise motion_blur zoom_blur spatter brightness "
    "translate rotate tilt scale".split()
)
HELD_OUT = ("speckle_noise", "gaussian_blur", "shear")
# Every corruption ("c") and every perturbation ("p").
ALL = [("c", name) for name in COMMON + EXTRA]
ALL += [("p", name) for name in (*FILMS, "snow", *HELD_OUT)]
# Those without chance.
CALM = {(suite, name) for name in DETERMINISTIC for suite in "cp"}
CALM |= {("p", name) for name in (*FILMS[6:], "shear", "motion_blur")}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """`make((suite, name), images)`; frost has a picture, not drawn first."""
    folder = tmp_path_factory.mktemp("frost")
    save_image(folder / "frost.png", photographs(1, 90, 120)[0])

    def make(kind, images, severity=3, **arguments):
        if kind[0] == "p":
            return perturb(images, kind[1], **arguments)
        arguments["frost_folder"] = folder
        return corrupt(images, kind[1], severity, **arguments)

    return make


def test_names_are_the_benchmarks_in_its_order():
    names, films = corruptions.names, corruptions.perturbation_names
    assert names("common") == COMMON and names("extra") == EXTRA
    assert names() == COMMON + EXTRA
    assert_usage_error(lambda: names("loud"), "'loud'", "common, extra, c_bar")
    assert_usage_error(lambda: films("loud"), "'loud'", "cifar, imagenet, tiny")
    for each, kind in (names, core.Corruption), (films, core.Perturbation):
        assert sorted(sum(map(each, kind.FAMILIES), ())) == sorted(each())
    assert films("cifar") == FILMS
    assert films("imagenet") == (*FILMS[:4], "snow", *FILMS[5:])
    assert set(films("cifar_extra")) == {*HELD_OUT, "snow"}
    assert set(films("imagenet_extra")) == {*HELD_OUT, "spatter"}
    assert films("tiny") == (*FILMS[:2], "zoom_blur", "snow", *FILMS[5:])
    assert films("tiny_extra") == films("imagenet_extra")
    assert len(films()) == 14 and films()[-3:] == HELD_OUT


def test_new_ones_plug_in(monkeypatch):
    for registry in (corruptions.CORRUPTIONS, corruptions.PERTURBATIONS):
        # Private: entries of this test alone.
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    tables = {"cifar": (5, 4, 3, 2, 1), "imagenet": (50, 40, 30, 20, 10)}
    add = functools.partial(corruptions.corruption, family="weather", **tables)

    @add("dark", extra=True)
    def dark(images, factor, streams):
        return images / 255.0 * (factor / 100)

    images = np.full([1, 32, 32, 3], 200, np.uint8)
    assert "dark" in corruptions.names("extra")
    assert (corrupt(images, "dark", 5) == 2).all()
    assert (corrupt(images, "dark", 1, table="imagenet") == 100).all()
    words = "dark has no constants for table=tiny"
    assert_usage_error(lambda: corrupt(images, "dark", 1, table="tiny"), words)
    wrong = {"a known family": {"family": "sound"}, "5 constants": {"tiny": ()}}
    for words, options in wrong.items():
        with pytest.raises(ValueError, match=words):
            add("hum", **options)(dark)
    tables = {"sets": ("cifar_extra",), "cifar": 5, "imagenet": 3}
    add = functools.partial(corruptions.perturbation, **tables)
    for frames in ({"cifar": n, "imagenet": 3} for n in (4, 5, 6)):

        @add(f"fade{frames['cifar']}", family="weather", frames=frames)
        def fade(images, count, streams):
            for frame in range(count):
                yield images / 255.0 * (1 - frame / 4)

    assert "fade5" in corruptions.perturbation_names("cifar_extra")
    film = perturb(images, "fade5")[0, :, 0, 0, 0]
    assert film.tolist() == [200, 150, 100, 50, 0]
    assert perturb(images, "fade5", table="imagenet").shape[1] == 3
    for wrong in ("fade4", "fade6"):
        with pytest.raises(ValueError, match="zip"):
            perturb(images, wrong)
    with pytest.raises(ValueError, match="3 constants"):
        add("hum", family="noise", cifar=(1, 2), imagenet=(1, 2, 3))(fade)
    with pytest.raises(ValueError, match="known sets"):
        add("hum", family="blur", sets=("mnist",))(fade)


@pytest.mark.parametrize("kind", ALL, ids="-".join)
def test_an_image_becomes_the_same_in_any_batch(make, kind, monkeypatch):
    images = photographs(5, 12, 16)
    whole, order = make(kind, images, seed=5), np.array([4, 0, 2])
    some = make(kind, images[order], seed=5, indices=order)
    np.testing.assert_array_equal(some, whole[order])
    # Private: how much is computed at a time, here two images.
    for name in ("_IMAGE_VALUES", "_FILM_VALUES"):
        monkeypatch.setattr(generate, name, 2 * images[0].size)
    np.testing.assert_array_equal(make(kind, images, seed=5), whole)
    twins = np.repeat(photographs(1), 2, axis=0)
    made = make(kind, twins, seed=1)
    assert (made[0] == made[1]).all() == (kind in CALM)
    assert (make(kind, twins, seed=2) == made).all() == (kind in CALM)
    for difficulty in (2, 3) if kind[0] == "p" else ():
        harder = make(kind, twins, seed=1, difficulty=difficulty)
        assert (harder != made).any() == ("noise" in kind[1])


@pytest.mark.parametrize("shape", [(20, 37, 3), (9, 8, 1), (70, 66, 3)])
@pytest.mark.parametrize("kind", ALL, ids="-".join)
def test_any_shape(make, kind, shape):
    images = photographs(2, *shape)
    for table in corruptions.TABLES[: 2 if kind == ("p", "motion_blur") else 3]:
        for severity in corruptions.SEVERITIES if kind[0] == "c" else (1,):
            made = make(kind, images, severity, table=table)
            assert made.dtype == np.uint8 and made.shape[-3:] == shape
            assert len(made) == 2 and made.ndim == (4 if kind[0] == "c" else 5)


GREY = [k for k in ALL if "noise" not in k[1] and k[1] != "saturate"]


@pytest.mark.parametrize("kind", GREY, ids="-".join)
def test_grey_is_the_brightness_of_a_grey_rgb_image(make, kind):
    grey = photographs(2, channels=1) // 3
    one = make(kind, grey)[..., 0].astype(float)
    three = make(kind, np.repeat(grey, 3, axis=-1))
    error = np.abs(one - three @ [0.299, 0.587, 0.114]).max()
    # Frost and drops have a colour; JPEG and snow round on the way.
    coloured = kind[1] in ("frost", "spatter", "jpeg_compression", "snow")
    assert error < (1.6 if coloured else 1e-6)


def test_saturation_of_grey_and_brightness_of_black():
    images = np.full([1, 8, 8, 3], 200, np.uint8)
    assert (corrupt(images, "saturate", 5) == [200, 160, 160]).all()
    assert (corrupt(images[..., :1], "saturate", 5) == 200).all()
    # 255 * 0.015 * 15.
    assert (perturb(0 * images, "brightness")[:, -1] == 57).all()


@pytest.mark.parametrize("kind", [("c", "pixelate"), ("p", "spatter")])
def test_the_table_follows_the_shorter_side(make, kind):
    for images in (photographs(1, 63, 80), photographs(1, 80, 64)):
        made = [make(kind, images, table=name) for name in corruptions.TABLES]
        equal = [(make(kind, images) == pixels).all() for pixels in made]
        assert equal == [len(images[0]) == 63, len(images[0]) == 80, False]


def test_constants_go_evenly_from_one_to_the_next():
    assert core.between(0.2, 0.6, 0.25) == pytest.approx(0.3)
    low, high = (8, 0.5, "water"), (11, 1, "mud")
    assert core.between(low, high, 0.5) == (10, 0.75, "mud")
    entry = corruptions.CORRUPTIONS.get("gaussian_noise")
    assert entry.constant("imagenet", 4.5) == pytest.approx(0.32)
    assert entry.constant("imagenet", 4) == 0.26
    assert entry.constant("imagenet", 0.5) == entry.constant("imagenet", 1)


@pytest.mark.parametrize("table", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", corruptions.names())
def test_every_corruption_can_be_had_between(name, table):
    images = photographs(2, 32, 32)
    made = {
        s: corrupt(images, name, s, table=table).astype(int)
        for s in (0.5, 1, 2.5, 4, 4.25, 5)
    }
    # Half of severity 1, rounded; and something between at the others.
    close = np.abs(made[0.5] - (images + (made[1] - images) / 2))
    assert close.max() <= 0.5
    assert np.abs(made[4.25] - images).mean() > 0
    again = corrupt(images, name, 4.0, table=table)
    np.testing.assert_array_equal(again, made[4])


def test_noise_and_light_grow_with_severity_and_share_draws():
    images = np.full([1, 32, 32, 3], 100, np.uint8)

    def strength(name, severity):
        made = corrupt(images, name, severity, table="imagenet")
        return np.abs(made.astype(float) - 100).mean()

    for name in ("gaussian_noise", "impulse_noise", "brightness"):
        found = [strength(name, s) for s in np.arange(1, 10) / 2.0]
        assert all(b > a for a, b in itertools.pairwise(found))
    noise = [
        corrupt(images, "gaussian_noise", s).astype(float) - 100
        for s in (3, 3.5)
    ]
    assert np.corrcoef(*(n.ravel() for n in noise))[0, 1] > 0.99


def test_words_and_ranges_of_severities():
    levels = selection.severity_levels
    assert levels((3, 1, 3)) == (1, 3) and levels(["2", 2.0]) == (2,)
    halves = levels(["0.5:5:0.5"])
    assert halves == (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5)
    assert [type(s) for s in halves[:2]] == [float, int]
    assert levels(["0.1:0.35:0.1", 5]) == (0.1, 0.2, 0.3, 5)
    words = "loud 1:2 1:5:0 5:1:1 1:5:1e-9".split()
    for wrong in (0, 6, -1.5, 5.5, True, math.nan, *words):
        assert_usage_error(lambda w=wrong: levels([w]), repr(wrong)[:4])
    images = photographs(1, 32, 32)
    assert_usage_error(lambda: corrupt(images, "fog", 0.0), "0")


GOOD = np.zeros([2, 32, 32, 3], np.uint8)
CORRUPT = functools.partial(corrupt, name="contrast", severity=1)
PERTURB = functools.partial(perturb, name="rotate")
BOTH = (CORRUPT, PERTURB)


def test_bad_input():
    for calls, arguments, words in (
        (BOTH, {"name": "rain"}, "'rain'. Known: gaussian_noise"),
        (BOTH, {"table": "mnist"}, "auto, cifar, imagenet, tiny"),
        ([PERTURB], {"name": "motion_blur", "table": "tiny"}, "has no const"),
        (BOTH, {"seed": -1}, "at least 0, got -1"),
        (BOTH, {"indices": [0]}, "2 ints"),
        (BOTH, {"indices": [0, -1]}, "at least 0"),
        (BOTH, {"indices": [0.0, 1.0]}, "float64"),
        (BOTH, {"images": GOOD / 255}, "float64: scale to 0..255"),
        (BOTH, {"images": GOOD[0]}, "[32, 32, 3]: add the missing"),
        (BOTH, {"images": GOOD[..., :2]}, "C = 1 or 3"),
        ([CORRUPT], {"severity": 0}, "Severity 0 does not exist: choose 1 "),
        ([CORRUPT], {"severity": True}, "Severity True"),
        ([CORRUPT], {"frost_folder": 7}, "a folder of pictures, got 7"),
        ([CORRUPT], {"name": "frost", "frost_folder": "no"}, "'no'"),
        ([PERTURB], {"difficulty": 4}, "Difficulty 4 does not exist"),
        ([PERTURB], {"crop": 33}, "from 1 to 32"),
        ([PERTURB], {"images": GOOD[:0]}, "at least one image"),
    ):
        for call in calls:
            assert_usage_error(call, words, **{"images": GOOD, **arguments})
