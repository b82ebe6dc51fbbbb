"""DeepAugment: perturbations, the autoencoder."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal as same

from noisymix_tf.commands.deepaugment import AutoencoderConfig
from noisymix_tf.sets import deepaugmented
from noisymix_tf.sets.changed import Source
from support import picture_folders as folders


def generator(*words):
    return np.random.default_rng([0, *words])


KERNEL = generator(1).normal(size=(3, 3, 8, 400)).astype(np.float32)
CODE = generator(2).uniform(-1, 1, (2, 20, 24, 30)).astype(np.float32)


def test_perturbations_are_functions_of_the_generator():
    ways = deepaugmented.OF_WEIGHTS, deepaugmented.OF_CODES
    for perturbs, plain in zip(ways, (KERNEL, CODE)):
        before = plain.copy()
        for perturb in perturbs.values():
            same(perturb(plain, generator(3), 0.0), plain, str(perturb))
            made = perturb(plain, generator(3), 1.0)
            assert made.shape == plain.shape and (made != plain).any()
            same(perturb(plain, generator(3), 1.0), made, str(perturb))
            assert (perturb(plain, generator(4), 1.0) != made).any()
        same(plain, before)


def test_shares_of_weights_and_of_the_code_that_are_changed():
    def made(name, strength=1.0):
        return deepaugmented.OF_WEIGHTS[name](KERNEL, generator(5), strength)

    ratio = made("negate_filters") / KERNEL
    assert (ratio == ratio[:1, :1, :1]).all()
    sources = (KERNEL, KERNEL.transpose(1, 0, 2, 3))
    found = [(made("transpose") == each).all((0, 1, 2)) for each in sources]
    assert np.any(found, axis=0).all()
    for share, expected, error in (
        (made("zero") == 0, 0.5, 0.01),
        (made("zero", 0.5) == 0, 0.25, 0.01),
        (made("negate") == -KERNEL, 0.5, 0.01),
        (ratio == -1, 0.4, 0.08),
        (found[1], 0.5, 0.08),
        ((made("swap") == KERNEL).all((0, 1, 2)), 0.5, 0.08),
        (made("scale") / KERNEL, 1.0, 0.02),
    ):
        assert np.mean(share) == pytest.approx(expected, abs=error)
    same(*(np.sort(k.sum((0, 1, 2))) for k in (made("swap"), KERNEL)))
    assert 0 < np.abs(made("scale") / KERNEL - 1).max() < 2

    def made(name):
        return deepaugmented.OF_CODES[name](CODE, generator(6), 1.0)

    changed = [(made("zero") == 0, 0.2), (made("negate") == -CODE, 0.1)]
    for off, share in changed:
        assert np.mean(off.all((0, 3))) == pytest.approx(share, abs=0.06)
    same(*(np.sort(c.sum((0, 1, 2))) for c in (made("swap"), CODE)))
    moves = [np.roll(CODE, (i - 1, j - 1), (1, 2)) for i, j in np.ndindex(3, 3)]
    for name, places, plain, low, high in (
        ("flip", [CODE, np.flip(CODE, 1), np.flip(CODE, 2)], 0, 0, 12),
        ("shift", moves, 4, 4, 26),
    ):
        kept = np.array([(made(name) == x).all((0, 1, 2)) for x in places])
        assert kept.any(axis=0).all() and low < np.sum(~kept[plain]) < high
    assert 0 < np.abs(made("mix") - CODE).max() < 0.1 * 30


IMAGES = np.array([folders.picture(i, (24, 32)) for i in range(2)])
TWO = Source(("a", "b"), ((24, 32),) * 2, IMAGES.__getitem__, "")


@pytest.fixture(scope="module")
def trained():
    sizes = {"steps": 120, "crops": 32, "batch_size": 8, "width": 16}
    sizes = {f"autoencoder_{name}": value for name, value in sizes.items()}
    config = AutoencoderConfig(**sizes, learning_rate=4e-3)
    return deepaugmented.trained(TWO, config)


@pytest.mark.slow
def test_autoencoder_learns_to_reproduce_images(trained):
    model, error = trained
    made = model(IMAGES.astype(np.float32)).numpy()
    assert np.sqrt(np.mean((made - IMAGES) ** 2)) < 0.7 * IMAGES.std()
    assert error < IMAGES.std()
    code = model.get_layer("encoder")(IMAGES.astype(np.float32))
    assert code.shape == (2, 6, 8, 32) and np.abs(code).max() <= 1
    # Exactly so many crops, of each image about as many.
    assert len(deepaugmented._crops(TWO, 7, 0)) == 7
    first, other = (deepaugmented.build(4, seed).weights[0] for seed in (0, 1))
    assert (first != other).numpy().all()
    # Images are padded to a multiple of four.
    image = folders.picture(0, (5, 8))[None]
    padded = deepaugmented.padded(image)
    assert padded.shape == (1, 8, 8, 3)
    same(padded[:, :5], image)
    same(padded[:, 7], image[:, 4])


def test_perturbed_images_differ_and_the_network_is_left_as_it_was(trained):
    trained, _ = trained
    plain = trained(IMAGES.astype(np.float32)).numpy()
    network = deepaugmented.PerturbedNetwork(trained, strength=0.0)
    off = network(IMAGES, generator(0)) - np.clip(np.round(plain), 0, 255)
    off = np.abs(off)
    assert off.max() <= 1 and np.mean(off > 0) < 0.01
    network = deepaugmented.PerturbedNetwork(trained)
    before = trained.get_weights()
    made = [network(IMAGES, generator(i)) for i in range(8)]
    for a, b in zip(trained.get_weights(), before):
        same(a, b)
    assert len({m.tobytes() for m in made}) == 8
    assert max(np.abs(m - plain).mean() for m in made) > 5
    same(network(IMAGES, generator(3)), made[3])
    # What is in the pictures can still be seen in most of them.
    seen = [np.corrcoef(m.ravel(), IMAGES.ravel())[0, 1] for m in made]
    assert np.median(seen) > 0.5
