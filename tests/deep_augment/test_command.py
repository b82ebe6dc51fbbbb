"""DeepAugment: perturbations, the autoencoder, the tree."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest

from noisymix_tf import UsageError, deep_augment
from noisymix_tf.config.deepaugment import DeepAugmentConfig
from noisymix_tf.deep_augment import activations, autoencoder, command, weights
from noisymix_tf.image_trees import writer
from support import picture_folders as folders

STEPS = 100


def generator(*words):
    return np.random.default_rng([0, *words])


def kernel():
    return generator(1).normal(size=(3, 3, 8, 400)).astype(np.float32)


def code():
    return generator(2).uniform(-1, 1, (2, 20, 24, 30)).astype(np.float32)


BOTH = [(p, kernel) for p in weights.PERTURBATIONS] + [
    (p, code) for p in activations.PERTURBATIONS
]


# Perturbations


@pytest.mark.parametrize(
    ("perturb", "make"), BOTH, ids=lambda f: getattr(f, "__name__", "")
)
def test_perturbations_are_functions_of_the_generator(perturb, make):
    plain = make()
    np.testing.assert_array_equal(perturb(plain, generator(3), 0.0), plain)
    made = perturb(plain, generator(3), 1.0)
    assert made.shape == plain.shape and (made != plain).any()
    np.testing.assert_array_equal(perturb(plain, generator(3), 1.0), made)
    assert (perturb(plain, generator(4), 1.0) != made).any()
    np.testing.assert_array_equal(plain, make())


def test_shares_of_weights():
    plain = kernel()

    def made(name, strength=1.0):
        return getattr(weights, name)(plain, generator(5), strength)

    assert np.mean(made("zero") == 0) == pytest.approx(0.5, abs=0.01)
    assert np.mean(made("zero", 0.5) == 0) == pytest.approx(0.25, abs=0.01)
    assert np.mean(made("negate") == -plain) == pytest.approx(0.5, abs=0.01)
    ratio = made("negate_filters") / plain
    assert (ratio == ratio[:1, :1, :1]).all()
    assert np.mean(ratio == -1) == pytest.approx(0.4, abs=0.08)
    transposed = made("transpose")
    is_swapped = (transposed == plain.transpose(1, 0, 2, 3)).all((0, 1, 2))
    assert np.mean(is_swapped) == pytest.approx(0.5, abs=0.08)
    assert (transposed == plain).all((0, 1, 2))[~is_swapped].all()
    swapped = made("swap")
    assert sorted(swapped.sum((0, 1, 2))) == sorted(plain.sum((0, 1, 2)))
    kept = (swapped == plain).all((0, 1, 2))
    assert np.mean(kept) == pytest.approx(0.5, abs=0.08)
    factors = made("scale") / plain
    assert 0 < factors.std() and np.abs(factors - 1).max() < 2
    assert factors.mean() == pytest.approx(1, abs=0.02)


def test_shares_of_the_code():
    plain = code()

    def made(name, strength=1.0):
        return getattr(activations, name)(plain, generator(6), strength)

    zeros = (made("zero") == 0).all((0, 3))
    assert np.mean(zeros) == pytest.approx(0.2, abs=0.06)
    negative = (made("negate") == -plain).all((0, 3))
    assert np.mean(negative) == pytest.approx(0.1, abs=0.05)
    swapped = made("swap")
    assert sorted(swapped.sum((0, 1, 2))) == sorted(plain.sum((0, 1, 2)))
    mirrored = made("flip")
    options = [np.flip(plain, axis) for axis in (1, 2)]
    is_flipped = [(mirrored == o).all((0, 1, 2)) for o in options]
    is_plain = (mirrored == plain).all((0, 1, 2))
    assert (is_plain | is_flipped[0] | is_flipped[1]).all()
    assert 0 < np.sum(~is_plain) < 12
    moved = made("shift")
    places = [
        (moved == np.roll(plain, (i, j), (1, 2))).all((0, 1, 2))
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    ]
    assert np.any(places, axis=0).all() and 4 < np.sum(~places[4]) < 26
    assert 0 < np.abs(made("mix") - plain).max() < 0.1 * 30


# The autoencoder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of two sizes, of which one is no multiple of 4."""
    root = folders.make(tmp_path_factory.mktemp("photos"), size=(24, 32))
    folders.save(root / "train" / "dog" / "1.png", folders.picture(9, (21, 26)))
    return root


def configuration(photos, output, **changes):
    values = {
        "data_dir": str(photos),
        "output_dir": str(output),
        "autoencoder_steps": STEPS,
        "autoencoder_crops": 48,
        "autoencoder_batch_size": 8,
        "autoencoder_width": 24,
        "learning_rate": 3e-3,
        "batch_size": 2,
    } | changes
    groups = {}
    for field in dataclasses.fields(DeepAugmentConfig):
        own = {f.name for f in dataclasses.fields(field.type)}
        mine = {k: v for k, v in values.items() if k in own}
        groups[field.name] = field.type(**mine)
    return DeepAugmentConfig(**groups)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A tree that was made at once."""
    root = tmp_path_factory.mktemp("tree") / "whole"
    command.run(configuration(photos, root))
    return root


@pytest.fixture(scope="module")
def trained(whole):
    return keras.models.load_model(whole / "autoencoder.keras")


def images():
    return np.array([folders.picture(i, (24, 32)) for i in range(2)])


def test_autoencoder_learns_to_reproduce_images(trained, photos):
    paths = sorted((photos / "train" / "cat").iterdir())
    seen = np.array([folders.read(path) for path in paths])
    made = trained(seen.astype(np.float32)).numpy()
    assert np.sqrt(np.mean((made - seen) ** 2)) < 0.6 * seen.std()
    code = trained.get_layer("encoder")(images().astype(np.float32))
    assert code.shape == (2, 6, 8, 32) and np.abs(code).max() <= 1


def test_first_weights_are_a_function_of_the_seed():
    one, two, other = (
        deep_augment.build(4, seed).get_layer("encoder").get_weights()
        for seed in (0, 0, 1)
    )
    assert all((a == b).all() for a, b in zip(one, two))
    assert (one[0] != other[0]).all()


def test_images_are_padded_to_a_multiple_of_four():
    image = folders.picture(0, (5, 8))[None]
    padded = autoencoder.padded(image)
    assert padded.shape == (1, 8, 8, 3)
    np.testing.assert_array_equal(padded[:, :5], image)
    np.testing.assert_array_equal(padded[:, 7], image[:, 4])


def test_strength_zero_is_the_plain_autoencoder(trained):
    network = deep_augment.PerturbedNetwork(trained, strength=0.0)
    plain = trained(images().astype(np.float32)).numpy()
    expected = np.clip(np.round(plain), 0, 255).astype(int)
    for seed in range(3):
        made = network(images(), generator(seed)).astype(int)
        assert np.abs(made - expected).max() <= 1
        assert np.mean(made != expected) < 0.01


def test_perturbed_images_differ_and_the_network_is_left_as_it_was(trained):
    network = deep_augment.PerturbedNetwork(trained)
    before = trained.get_weights()
    made = [network(images(), generator(i)) for i in range(8)]
    for a, b in zip(trained.get_weights(), before):
        np.testing.assert_array_equal(a, b)
    plain = trained(images().astype(np.float32)).numpy()
    moved = [np.abs(m - plain).mean() for m in made]
    assert len({m.tobytes() for m in made}) == 8 and max(moved) > 5
    np.testing.assert_array_equal(network(images(), generator(3)), made[3])
    # What is in the pictures can still be seen in most of them.
    seen = [np.corrcoef(m.ravel(), images().ravel())[0, 1] for m in made]
    assert np.median(seen) > 0.5


# The tree


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
    config = configuration(photos, tmp_path)
    (tmp_path / "manifest.json").write_bytes(
        (whole / "manifest.json").read_bytes()
    )
    (tmp_path / ".partial.keras").write_bytes(b"half")
    command.run(config)
    assert folders.tree(tmp_path) == folders.tree(whole)
    assert not (tmp_path / ".partial.keras").exists()


def test_killed_while_it_writes_it_goes_on_to_the_same_bytes(
    photos, whole, tmp_path, monkeypatch
):
    config = configuration(photos, tmp_path / "tree")
    shutil.copytree(whole, tmp_path / "tree")
    for name in ("cat/1.png", "dog/0.png", "dog/1.png", "sheet.png"):
        (tmp_path / "tree" / name).unlink()
    (tmp_path / "tree" / "dog" / "2.png").write_bytes(b"")
    saved = []

    def counting(image, path, image_format):
        saved.append(path.relative_to(tmp_path / "tree").as_posix())
        save(image, path, image_format)

    save = writer.save
    monkeypatch.setattr(writer, "save", counting)
    monkeypatch.setattr(autoencoder, "trained", None)
    command.run(config)
    assert folders.tree(tmp_path / "tree") == folders.tree(whole)
    assert sorted(saved) == [
        "cat/1.png",
        "dog/0.png",
        "dog/1.png",
        "dog/2.png",
    ]


def test_other_settings_are_refused(photos, whole):
    before = folders.tree(whole)
    for changes, words in (
        ({"strength": 0.5}, "strength 0.5 (was 1.0)"),
        ({"autoencoder_steps": 1}, f"autoencoder_steps 1 (was {STEPS})"),
        ({"image_size": 20}, "image_size 20 (was None)"),
    ):
        with pytest.raises(UsageError, match="of other settings") as caught:
            command.run(configuration(photos, whole, **changes))
        assert words in str(caught.value)
    assert folders.tree(whole) == before


def test_a_damaged_autoencoder_is_named(photos, tmp_path, whole):
    config = configuration(photos, tmp_path)
    (tmp_path / "manifest.json").write_bytes(
        (whole / "manifest.json").read_bytes()
    )
    (tmp_path / "autoencoder.keras").write_bytes(b"half")
    with pytest.raises(UsageError, match="is damaged; remove it"):
        command.run(config)


def test_a_training_that_diverges_is_one_line(photos, tmp_path):
    with pytest.raises(UsageError, match="diverged with --learning_rate=1e"):
        command.run(
            configuration(
                photos,
                tmp_path / "out",
                learning_rate=1e30,
                autoencoder_steps=4,
            )
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 1.1},
        {"weight_perturbations": -1},
        {"learning_rate": 0.0},
        {"autoencoder_steps": 0},
        {"autoencoder_crops": 0},
        {"autoencoder_width": 0},
        {"autoencoder_batch_size": 0},
    ],
)
def test_ranges(photos, changes):
    (name,) = changes
    with pytest.raises(UsageError, match=f"--{name}=.* must be"):
        configuration(photos, "out", **changes)
