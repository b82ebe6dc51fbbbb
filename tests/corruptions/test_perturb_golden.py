"""Perturbation sequences against the benchmark's own frames and flips."""

import functools

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import core, perturb
from noisymix_tf.corruptions.perturbations.geometry import turn
from noisymix_tf.corruptions.perturbations.sampling import about_centre
from noisymix_tf.corruptions.pictures import Pictures
from noisymix_tf.corruptions.streams import Streams

# The oracle's numbering of the perturbations, part of its seeds.
ORDER = (
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
    "snow",
    "speckle_noise",
    "gaussian_blur",
    "shear",
)
MAIN = ORDER[:10]
EXTRA = ORDER[10:]
STOCHASTIC = (
    "gaussian_noise",
    "shot_noise",
    "spatter",
    "snow",
    "speckle_noise",
)

# Of the values, this share may differ, by one level: where the exact result is
# a whole number, the last bit of a float decides what truncation makes of it.
ROUNDING_SHARE = {"motion_blur": 1e-4, "brightness": 0.005}


class _Legacy(np.random.RandomState):
    """NumPy's old generator under the names of the new one."""

    def standard_normal(self, shape, dtype=np.float64):
        return super().standard_normal(shape).astype(dtype)


class LegacyStreams(Streams):
    """The oracle's draws: each image has a legacy seed of its own."""

    def __iter__(self):
        place = ORDER.index(self.key)
        for index in self.indices.tolist():
            yield _Legacy((place * 100_003 + index) % 2**32)


def with_legacy_draws(images, name):
    """What `perturb` computes, from the draws of the oracle."""
    entry = corruptions.PERTURBATIONS.get(name)
    streams = LegacyStreams(name, np.arange(len(images)))
    frames = entry.function(images, entry.constant("cifar"), streams)
    return np.stack([core.to_uint8(frame) for frame in frames], axis=1)


def assert_same_frames(ours, wanted, name):
    error = np.abs(ours.astype(int) - wanted)
    share = ROUNDING_SHARE.get(name, 0.0)
    assert error.max() <= (1 if share else 0)
    assert (error > 0).mean() <= share


# --- frames ------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in MAIN if n not in STOCHASTIC])
def test_frames(golden, name):
    file = golden("perturbations_p_cifar.npz")
    assert_same_frames(perturb(file["input"], name), file[name], name)


@pytest.mark.parametrize("name", [n for n in EXTRA if n not in STOCHASTIC])
def test_frames_of_extra_ones(golden, name):
    wanted = golden("perturbations_p_extra.npz")[name]
    images = golden("perturbations_p_cifar.npz")["input"][: len(wanted)]
    assert_same_frames(perturb(images, name), wanted, name)


def test_frames_of_shot_noise_given_its_draws(golden):
    file = golden("perturbations_p_cifar.npz")
    ours = with_legacy_draws(file["input"], "shot_noise")
    np.testing.assert_array_equal(ours, file["shot_noise"])


@pytest.mark.parametrize("name", ["snow", "speckle_noise", "spatter"])
def test_frames_of_extra_ones_given_their_draws(golden, name):
    file = golden("perturbations_p_extra.npz")
    wanted = file["spatter_nansafe" if name == "spatter" else name]
    images = golden("perturbations_p_cifar.npz")["input"][: len(wanted)]
    np.testing.assert_array_equal(with_legacy_draws(images, name), wanted)


def test_spatter_without_drops_is_the_image_not_black(golden):
    """The makers divide zero by zero there; all other frames agree."""
    file = golden("perturbations_p_cifar.npz")
    images, wanted = file["input"], file["spatter"]
    ours = with_legacy_draws(images, "spatter")
    black = ~wanted.any(axis=(2, 3, 4))
    assert black.any()
    clean = np.broadcast_to(images[:, None], ours.shape)
    np.testing.assert_array_equal(ours[black], clean[black])
    np.testing.assert_array_equal(ours[~black], wanted[~black])


@pytest.mark.parametrize("name", ["rotate", "scale"])
def test_frames_about_the_centre_of_older_tools(golden, name):
    """The same maps about (16.5, 16.5): only the centre is different."""
    wanted = golden("perturbations_p_extra.npz")[f"{name}_oldcenter"]
    images = golden("perturbations_p_cifar.npz")["input"][: len(wanted)]
    steps = corruptions.PERTURBATIONS.get(name).cifar
    pictures = Pictures(images)
    for frame, step in enumerate(steps):
        linear = turn(-step) if name == "rotate" else np.eye(2) / step
        matrix = about_centre(linear, images.shape, centre=(16.5, 16.5))
        np.testing.assert_array_equal(pictures.affine(matrix), wanted[:, frame])


# --- distances and flips -----------------------------------------------------


@pytest.fixture(scope="module")
def images500(golden, cifar10_test):
    """The first 500 CIFAR-10 test images, in the official order."""
    images = cifar10_test[0][:500]
    file = golden("perturbations_p_cifar.npz")
    np.testing.assert_array_equal(
        images[file["cifar10_test_index"]], file["input"]
    )
    return images


@pytest.fixture(scope="module")
def films500(images500):
    """A function from a name to what it makes of the 500 images, once."""
    return functools.cache(functools.partial(perturb, images500))


@pytest.mark.parametrize("name", STOCHASTIC)
def test_distances(golden, images500, films500, name):
    table = golden("perturbations_p_flip.json")["table"]
    wanted = table["spatter_nansafe" if name == "spatter" else name]
    # A picture's film does not depend on the pictures beside it.
    images = images500[: wanted["n_images"]]
    films = films500(name)[: len(images)].astype(np.int16)
    clean = np.abs(films - images[:, None]).mean(axis=(0, 2, 3, 4))
    steps = np.abs(np.diff(films, axis=1)).mean(axis=(0, 2, 3, 4))
    if name in corruptions.perturbation_names("noise"):
        # Every frame, to four deviations of the mean of 1.5 million values.
        rel = 0.005
        np.testing.assert_allclose(clean, wanted["mad_to_clean_255"], rtol=rel)
        np.testing.assert_allclose(
            steps, wanted["mad_consecutive_255"], rtol=rel
        )
    else:
        # A few flakes or drops per image: 500 images are worth 4 %.
        for ours, oracle in (
            (clean, wanted["mad_to_clean_255"]),
            (steps, wanted["mad_consecutive_255"]),
        ):
            assert ours.mean() == pytest.approx(np.mean(oracle), rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["motion_blur", "spatter", "gaussian_noise"])
def test_flip_probabilities(
    golden, trained_resnet20, films500, cifar10_test, name
):
    table = golden("perturbations_p_flip.json")["table"]
    wanted = table["spatter_nansafe" if name == "spatter" else name]
    films = films500(name)
    noise = name in corruptions.perturbation_names("noise")
    if noise:  # Each frame is as good as any other.
        films = films[:, :12]
    frames = films.reshape(-1, 32, 32, 3)
    answers = trained_resnet20.predict(
        frames, batch_size=500, verbose=0
    ).argmax(-1)
    answers = answers.reshape(films.shape[:2])
    before = answers[:, :1] if noise else answers[:, :-1]
    flips = (answers[:, 1:] != before).mean()
    tolerance = 3 * wanted["flip_prob_se"] if name in STOCHASTIC else 0.002
    assert flips == pytest.approx(wanted["flip_prob"], abs=tolerance)
    if name not in STOCHASTIC:
        right = answers == cifar10_test[1][:500, None]
        np.testing.assert_allclose(
            right.mean(axis=0), wanted["frame_accuracy"], atol=0.0021
        )
