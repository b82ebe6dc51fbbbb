"""DeepAugment: perturbations, the autoencoder, the tree."""

import shutil

import keras
import numpy as np
import pytest

from noisymix_tf import deep_augment
from noisymix_tf.config.deepaugment import DeepAugmentConfig
from noisymix_tf.deep_augment import activations, autoencoder, command, weights
from noisymix_tf.image_trees import writer
from support import picture_folders as folders
from support.parsing import parsed
from support.usage import assert_usage_error

STEPS = 60


def generator(*words):
    return np.random.default_rng([0, *words])


KERNEL = generator(1).normal(size=(3, 3, 8, 400)).astype(np.float32)
CODE = generator(2).uniform(-1, 1, (2, 20, 24, 30)).astype(np.float32)


@pytest.mark.parametrize(
    ("perturb", "plain"),
    [(each, KERNEL) for each in weights.PERTURBATIONS]
    + [(each, CODE) for each in activations.PERTURBATIONS],
)
def test_perturbations_are_functions_of_the_generator(perturb, plain):
    before = plain.copy()
    np.testing.assert_array_equal(perturb(plain, generator(3), 0.0), plain)
    made = perturb(plain, generator(3), 1.0)
    assert made.shape == plain.shape and (made != plain).any()
    np.testing.assert_array_equal(perturb(plain, generator(3), 1.0), made)
    assert (perturb(plain, generator(4), 1.0) != made).any()
    np.testing.assert_array_equal(plain, before)


def test_shares_of_weights():
    def made(name, strength=1.0):
        return getattr(weights, name)(KERNEL, generator(5), strength)

    assert np.mean(made("zero") == 0) == pytest.approx(0.5, abs=0.01)
    assert np.mean(made("zero", 0.5) == 0) == pytest.approx(0.25, abs=0.01)
    assert np.mean(made("negate") == -KERNEL) == pytest.approx(0.5, abs=0.01)
    ratio = made("negate_filters") / KERNEL
    assert (ratio == ratio[:1, :1, :1]).all()
    assert np.mean(ratio == -1) == pytest.approx(0.4, abs=0.08)
    transposed = made("transpose")
    is_moved = (transposed == KERNEL.transpose(1, 0, 2, 3)).all((0, 1, 2))
    assert np.mean(is_moved) == pytest.approx(0.5, abs=0.08)
    assert (transposed == KERNEL).all((0, 1, 2))[~is_moved].all()
    swapped = made("swap")
    assert sorted(swapped.sum((0, 1, 2))) == sorted(KERNEL.sum((0, 1, 2)))
    kept = (swapped == KERNEL).all((0, 1, 2))
    assert np.mean(kept) == pytest.approx(0.5, abs=0.08)
    factors = made("scale") / KERNEL
    assert 0 < factors.std() and np.abs(factors - 1).max() < 2
    assert factors.mean() == pytest.approx(1, abs=0.02)


def test_shares_of_the_code():
    def made(name):
        return getattr(activations, name)(CODE, generator(6), 1.0)

    zeros = (made("zero") == 0).all((0, 3))
    assert np.mean(zeros) == pytest.approx(0.2, abs=0.06)
    negative = (made("negate") == -CODE).all((0, 3))
    assert np.mean(negative) == pytest.approx(0.1, abs=0.05)
    swapped = made("swap")
    assert sorted(swapped.sum((0, 1, 2))) == sorted(CODE.sum((0, 1, 2)))
    mirrored = made("flip")
    options = [CODE, np.flip(CODE, 1), np.flip(CODE, 2)]
    found = np.array([(mirrored == o).all((0, 1, 2)) for o in options])
    assert found.any(axis=0).all() and 0 < np.sum(~found[0]) < 12
    moved = made("shift")
    places = [
        np.roll(CODE, (i - 1, j - 1), (1, 2)) for i, j in np.ndindex(3, 3)
    ]
    found = np.array([(moved == place).all((0, 1, 2)) for place in places])
    assert found.any(axis=0).all() and 4 < np.sum(~found[4]) < 26
    assert 0 < np.abs(made("mix") - CODE).max() < 0.1 * 30


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of two sizes, of which one is no multiple of 4."""
    root = folders.make(tmp_path_factory.mktemp("photos"), size=(24, 32))
    folders.save(root / "train" / "dog" / "1.png", folders.picture(9, (21, 26)))
    return root


def run(photos, output, **changes):
    values = {
        "autoencoder_steps": STEPS,
        "autoencoder_crops": 48,
        "autoencoder_batch_size": 8,
        "autoencoder_width": 16,
        "learning_rate": 4e-3,
        "batch_size": 2,
        **changes,
    }
    places = {"data_dir": photos, "output_dir": output}
    command.run(parsed(DeepAugmentConfig, **places, **values))


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A tree that was made at once."""
    root = tmp_path_factory.mktemp("tree") / "whole"
    run(photos, root)
    return root


@pytest.fixture(scope="module")
def trained(whole):
    return keras.models.load_model(whole / "autoencoder.keras")


IMAGES = np.array([folders.picture(i, (24, 32)) for i in range(2)])


def test_autoencoder_learns_to_reproduce_images(trained, photos):
    paths = sorted((photos / "train" / "cat").iterdir())
    seen = np.array([folders.read(path) for path in paths])
    made = trained(seen.astype(np.float32)).numpy()
    assert np.sqrt(np.mean((made - seen) ** 2)) < 0.7 * seen.std()
    code = trained.get_layer("encoder")(IMAGES.astype(np.float32))
    assert code.shape == (2, 6, 8, 32) and np.abs(code).max() <= 1


def test_first_weights_are_a_function_of_the_seed():
    one, two, other = (
        deep_augment.build(4, seed).get_layer("encoder").get_weights()[0]
        for seed in (0, 0, 1)
    )
    assert (one == two).all() and (one != other).all()


def test_images_are_padded_to_a_multiple_of_four():
    image = folders.picture(0, (5, 8))[None]
    padded = autoencoder.padded(image)
    assert padded.shape == (1, 8, 8, 3)
    np.testing.assert_array_equal(padded[:, :5], image)
    np.testing.assert_array_equal(padded[:, 7], image[:, 4])


def test_perturbed_images_differ_and_the_network_is_left_as_it_was(trained):
    plain = trained(IMAGES.astype(np.float32)).numpy()
    made = deep_augment.PerturbedNetwork(trained, strength=0.0)(
        IMAGES, generator(0)
    )
    off = np.abs(made - np.clip(np.round(plain), 0, 255))
    assert off.max() <= 1 and np.mean(off > 0) < 0.01
    network = deep_augment.PerturbedNetwork(trained)
    before = trained.get_weights()
    made = [network(IMAGES, generator(i)) for i in range(8)]
    for a, b in zip(trained.get_weights(), before):
        np.testing.assert_array_equal(a, b)
    moved = [np.abs(m - plain).mean() for m in made]
    assert len({m.tobytes() for m in made}) == 8 and max(moved) > 5
    np.testing.assert_array_equal(network(IMAGES, generator(3)), made[3])
    # What is in the pictures can still be seen in most of them.
    seen = [np.corrcoef(m.ravel(), IMAGES.ravel())[0, 1] for m in made]
    assert np.median(seen) > 0.5


def test_tree_has_the_training_images_in_their_sizes(photos, whole):
    made = folders.tree(whole)
    assert list(made) == list(folders.tree(photos / "train"))
    for name in made:
        image = folders.read(whole / name)
        assert image.shape == folders.read(photos / "train" / name).shape
    assert (whole / "sheet.png").exists()


def test_killed_in_training_it_trains_the_same_network_again(
    photos, whole, tmp_path
):
    shutil.copy(whole / "manifest.json", tmp_path)
    (tmp_path / ".partial.keras").write_bytes(b"half")
    run(photos, tmp_path)
    assert folders.tree(tmp_path) == folders.tree(whole)
    assert not (tmp_path / ".partial.keras").exists()


def test_killed_while_it_writes_it_goes_on_to_the_same_bytes(
    photos, whole, tmp_path, monkeypatch
):
    tree = shutil.copytree(whole, tmp_path / "tree")
    for name in ("cat/1.png", "dog/0.png", "dog/1.png", "sheet.png"):
        (tree / name).unlink()
    (tree / "dog" / "2.png").write_bytes(b"")
    saved = []

    def counting(image, path, image_format):
        saved.append(path.relative_to(tree).as_posix())
        save(image, path, image_format)

    save = writer.save
    monkeypatch.setattr(writer, "save", counting)
    monkeypatch.setattr(autoencoder, "trained", None)
    run(photos, tree)
    assert folders.tree(tree) == folders.tree(whole)
    assert sorted(saved) == ["cat/1.png", *(f"dog/{i}.png" for i in range(3))]


def test_what_cannot_go_on_is_one_line(photos, whole, tmp_path):
    before = folders.tree(whole)
    for changes, words in (
        ({"strength": 0.5}, "strength 0.5 (was 1.0)"),
        ({"autoencoder_steps": 1}, f"autoencoder_steps 1 (was {STEPS})"),
        ({"image_size": 20}, "image_size 20 (was None)"),
    ):
        assert_usage_error(
            lambda changes=changes: run(photos, whole, **changes),
            "of other settings",
            words,
        )
    assert folders.tree(whole) == before
    shutil.copy(whole / "manifest.json", tmp_path)
    (tmp_path / "autoencoder.keras").write_bytes(b"half")
    assert_usage_error(lambda: run(photos, tmp_path), "is damaged; remove it")
    wild = {"learning_rate": 1e30, "autoencoder_steps": 4}
    assert_usage_error(
        lambda: run(photos, tmp_path / "out", **wild),
        "diverged with --learning_rate=1e",
    )
