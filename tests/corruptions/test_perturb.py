"""Perturbation sequences: names, seeds, shapes, crops and bad input."""

import re
import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import perturb
from noisymix_tf.corruptions.perturbations import sequence
from noisymix_tf.errors import UsageError
from support.corruption_oracle import photographs

CIFAR = (
    "gaussian_noise",
    "shot_noise",
    "motion_blur",
    "zoom_blur",
    "spatter",
    "brightness",
    "translate",
    "rotate",
    "tilt",
    "scale",
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
    assert len(names()) == 14
    assert names()[-3:] == held_out
    by_family = [names(family) for family in sequence.FAMILIES]
    assert sorted(sum(by_family, ())) == sorted(names())


def test_bad_tag():
    with pytest.raises(UsageError, match=r"'loud'.*cifar, imagenet"):
        corruptions.perturbation_names("loud")


@pytest.fixture
def open_registry(monkeypatch):
    registry = corruptions.PERTURBATIONS
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.mark.usefixtures("open_registry")
def test_a_new_perturbation_plugs_in():
    @corruptions.perturbation(
        "fade",
        family="weather",
        sets=("cifar_extra",),
        cifar=0.25,
        imagenet=0.5,
        frames=(5, 3),
    )
    def fade(images, step, streams):
        for frame in range(round(1 / step) + 1):
            yield images / 255.0 * (1 - frame * step)

    assert "fade" in corruptions.perturbation_names("cifar_extra")
    images = np.full([1, 32, 32, 3], 200, np.uint8)
    films = perturb(images, "fade")
    assert films[0, :, 0, 0, 0].tolist() == [200, 150, 100, 50, 0]
    films = perturb(images, "fade", table="imagenet")
    assert films[0, :, 0, 0, 0].tolist() == [200, 100, 0]


@pytest.mark.usefixtures("open_registry")
@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_number_of_frames_is_found(count):
    @corruptions.perturbation(
        "still",
        family="blur",
        sets=(),
        cifar=count,
        imagenet=count,
        frames=(3, 3),
    )
    def still(images, count, streams):
        for _ in range(count):
            yield images

    with pytest.raises(ValueError, match="zip"):
        perturb(photographs(), "still")


def test_registration_is_checked():
    with pytest.raises(ValueError, match="3 constants"):
        corruptions.perturbation(
            "hum", family="noise", sets=(), cifar=(1, 2), imagenet=(1, 2, 3)
        )
    with pytest.raises(ValueError, match="known sets"):
        corruptions.perturbation(
            "hum", family="blur", sets=("mnist",), cifar=1, imagenet=1
        )


# --- seeds -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_batch_size_and_order_do_not_matter(name):
    images = photographs(batch=5)
    whole = perturb(images, name, seed=5)
    for start in range(0, 5, 2):
        part = slice(start, start + 2)
        some = perturb(images[part], name, seed=5, indices=np.arange(5)[part])
        np.testing.assert_array_equal(some, whole[part])
    order = np.array([4, 0, 2])
    shuffled = perturb(images[order], name, seed=5, indices=order)
    np.testing.assert_array_equal(shuffled, whole[order])


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_matter(name, monkeypatch):
    images = photographs(batch=5)
    whole = perturb(images, name)
    monkeypatch.setattr(sequence, "_BLOCK_VALUES", 2 * images[0].size)
    np.testing.assert_array_equal(perturb(images, name), whole)


@pytest.mark.parametrize("name", NAMES)
def test_everything_in_the_seed_counts_where_there_is_chance(name):
    images = np.repeat(photographs(batch=1), 2, axis=0)
    base = perturb(images, name, seed=1)
    np.testing.assert_array_equal(perturb(images, name, seed=1), base)
    chance = name in STOCHASTIC
    assert (base[0] != base[1]).any() == chance
    assert (perturb(images, name, seed=2) != base).any() == chance


@pytest.mark.parametrize("name", NAMES)
def test_difficulty_changes_the_pixels_of_noise_only(name):
    images = photographs()
    easy, hard, hardest = (
        perturb(images, name, difficulty=d).astype(int) for d in (1, 2, 3)
    )
    if name in NOISE:
        error = [np.abs(f - images[:, None]).mean() for f in (easy, hard)]
        assert error[0] * 1.2 < error[1]
        assert error[1] * 1.2 < np.abs(hardest - images[:, None]).mean()
    else:
        np.testing.assert_array_equal(easy, hard)
        np.testing.assert_array_equal(easy, hardest)


def test_draws_are_not_those_of_the_corruptions():
    images = np.full([1, 64, 64, 3], 128, np.uint8)
    film = perturb(images, "speckle_noise")[:, 1] - 127.5
    still = corruptions.corrupt(images, "speckle_noise", 1) - 127.5
    correlation = np.corrcoef(film.ravel(), still.ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(images.size)


def test_input_is_left_alone_and_the_global_state_too():
    images = photographs()
    copy = images.copy()
    images.flags.writeable = False
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for name in NAMES:
        perturb(images, name)
    np.testing.assert_array_equal(images, copy)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# --- shapes ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 21, 1), (33, 20, 3)])
@pytest.mark.parametrize("table", corruptions.TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_any_shape(name, table, shape):
    images = photographs(2, *shape)
    films = perturb(images, name, table=table)
    frames = {
        ("motion_blur", "cifar"): 21,
        ("translate", "cifar"): 16,
        ("translate", "imagenet"): 41,
    }.get((name, table), 31)
    assert films.shape == (2, frames, *shape)
    assert films.dtype == np.uint8
    assert corruptions.PERTURBATIONS.get(name).frames[table] == frames


@pytest.mark.parametrize("name", NAMES)
def test_large_images(name):
    images = photographs(1, 300, 260)
    films = perturb(images, name)
    assert films.shape[0] == 1 and films.shape[2:] == (300, 260, 3)
    # Neighbouring frames are alike: a sequence, not a heap of pictures.
    steps = np.abs(np.diff(films[:, ::5, ::5, ::5].astype(int), axis=1))
    assert steps.mean() < 60


# Noise of channels is independent, and drops of water are not grey.
@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in (*NOISE, "spatter")]
)
def test_grey_is_one_channel_of_a_grey_rgb_image(name):
    grey = photographs(channels=1)
    one = perturb(grey, name)[..., 0].astype(int)
    three = perturb(np.repeat(grey, 3, axis=-1), name)
    for channel in range(3):
        # The brightness of a grey pixel is a sum of three, with rounding.
        error = np.abs(one - three[..., channel])
        assert error.max() <= (1 if name == "snow" else 0)


def test_the_table_follows_the_size():
    small, large = photographs(1, 63, 80), photographs(1, 64, 80)
    for images, table in ((small, "cifar"), (large, "imagenet")):
        auto = perturb(images, "brightness")
        chosen = perturb(images, "brightness", table=table)
        np.testing.assert_array_equal(auto, chosen)
    other = perturb(small, "brightness", table="imagenet")
    assert (other != perturb(small, "brightness")).any()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_films_are_large(name, monkeypatch):
    images = photographs(60, 16, 16)
    monkeypatch.setattr(sequence, "_BLOCK_VALUES", 6 * images[0].size)
    perturb(images[:1], name)  # Loads what is loaded on first use.
    tracemalloc.start()
    films = perturb(images, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A block of six, its temporaries and Pillow; the batch in floats would be
    # 370 kB a frame.
    assert peak - films.nbytes < 370_000


# --- crops -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_crop_is_the_centre(name):
    images = photographs(2, 41, 50)
    cropped = perturb(images, name, crop=32)
    centre = np.s_[:, 4:36, 9:41]  # 4.5 rounded to the even whole number
    if corruptions.PERTURBATIONS.get(name).moves:
        wanted = perturb(images, name)[:, :, *centre[1:]]
    else:
        wanted = perturb(images[centre], name)
    np.testing.assert_array_equal(cropped, wanted)


@pytest.mark.parametrize("name", ["translate", "rotate", "tilt", "shear"])
def test_with_a_margin_nothing_black_comes_in(name):
    white = np.full([1, 64, 64, 3], 255, np.uint8)
    assert (perturb(white, name, table="cifar", crop=40) == 255).all()
    assert (perturb(white[:, :40, :40], name, table="cifar") == 0).any()


# --- bad input ---------------------------------------------------------------

GOOD = np.zeros([2, 32, 32, 3], np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "rain"}, r"perturbation 'rain'.*Known: .*gaussian_noise"),
        ({"difficulty": 0}, "Difficulty 0.*1, 2 or 3"),
        ({"difficulty": 4}, "Difficulty 4"),
        ({"difficulty": True}, "Difficulty True"),
        ({"difficulty": 1.5}, "Difficulty 1.5"),
        ({"images": GOOD.astype(np.float32)}, "float32.*cast to uint8"),
        ({"images": GOOD[0]}, r"\[32, 32, 3\].*missing axis"),
        ({"images": GOOD[..., :2]}, "C = 1 or 3"),
        ({"images": GOOD[:0]}, "at least one image"),
        ({"table": "mnist"}, "'mnist'.*auto, cifar, imagenet"),
        ({"seed": -1}, "at least 0, got -1"),
        ({"indices": [0]}, "2 ints"),
        ({"crop": 33}, "from 1 to 32.*got 33"),
        ({"crop": 0}, "got 0"),
        ({"crop": 16.0}, "got 16.0"),
        ({"crop": True}, "got True"),
    ],
)
def test_bad_input(arguments, message):
    call = {"images": GOOD, "name": "rotate", **arguments}
    with pytest.raises(UsageError) as caught:
        perturb(**call)
    text = str(caught.value)
    assert re.search(message, text)
    assert "\n" not in text
