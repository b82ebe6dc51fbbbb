"""Style transfer: statistics, networks, the optimised images, the tree."""

import functools
import os
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from noisymix_tf import stylizing
from noisymix_tf.config.stylize import StylizeConfig
from noisymix_tf.image_trees import writer
from noisymix_tf.stylizing import command, networks
from support import picture_folders as folders
from support.parsing import parsed
from support.usage import assert_usage_error


@pytest.fixture(scope="module")
def network():
    full = stylizing.feature_network("vgg16", seed=1)
    return keras.Model(full.inputs, full.outputs[:2])


def distances(transfer, images, styles):
    """Relative distance of the moments, `[layers, B]`."""
    return np.array(
        [
            tf.reduce_sum((a.mean - b.mean) ** 2 + (a.std - b.std) ** 2, 1)
            / tf.reduce_sum(b.mean**2 + b.std**2, 1)
            for a, b in zip(transfer.moments(images), styles)
        ]
    )


def correlation(a, b):
    """Of the grey levels of two images, at a quarter of the resolution."""
    grey = [x.astype(float).mean(-1).reshape(8, 4, 8, 4) for x in (a, b)]
    small = [g.mean((1, 3)).ravel() for g in grey]
    return np.corrcoef(*small)[0, 1]


def test_adapted_features_have_the_moments_of_the_style():
    generator = np.random.default_rng(0)
    x, y = generator.gamma(2.0, 3.0, (2, 2, 6, 7, 5)).astype(np.float32)
    made = stylizing.adapt(x, stylizing.moments(y)).numpy()
    np.testing.assert_allclose(made.mean((1, 2)), y.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(made.std((1, 2)), y.std((1, 2)), rtol=1e-4)
    centred = [v - v.mean((1, 2), keepdims=True) for v in (made, x)]
    ratio = centred[0] / centred[1]
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] + 0 * ratio, rtol=2e-2)
    # Constant features stay finite.
    for own in (x, np.full([1, 4, 4, 2], 7.0, np.float32)):
        same = stylizing.adapt(own, stylizing.moments(own))
        np.testing.assert_allclose(same, own, rtol=1e-4, atol=1e-4)
    a = stylizing.Moments(tf.constant([[0.0]]), tf.constant([[1.0]]))
    b = stylizing.Moments(tf.constant([[4.0]]), tf.constant([[3.0]]))
    between = a.towards(b, 0.25)
    assert (between.mean.numpy(), between.std.numpy()) == (1.0, 1.5)


def test_random_features_are_he_initialised_functions_of_the_seed(network):
    for layer in (x for x in network.layers if x.weights):
        kernel, bias = (w.numpy() for w in layer.weights)
        expected = np.sqrt(2 / np.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(expected, rel=0.05)
        assert not bias.any()
    other = stylizing.feature_network("vgg16", seed=2)
    first = [m.get_layer("block1_conv1").kernel for m in (network, other)]
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert not network.trainable_weights


def test_layers_leave_eight_rows():
    found = [len(networks.layers_for(side)) for side in (224, 64, 63, 32, 4)]
    assert found == [4, 4, 3, 3, 1]
    assert networks.layers_for(4) == ("block1_conv1",)


def test_weights_of_a_file_are_used(tmp_path):
    """A file in the form in which keras.applications has them."""
    model = keras.applications.VGG16(include_top=False, weights=None)
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 64))
    path = tmp_path / "vgg16_notop.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [x.name.encode() for x in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{w.name}" for w in layer.weights]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for name, weight in zip(names, layer.weights):
                group.create_dataset(name, weight.shape, "float32")
        file["block1_conv1/block1_conv1_kernel"][...] = kernel
        file["block1_conv1/block1_conv1_bias"][...] = 0.5
    image = folders.picture(0, (16, 16))[None].astype(np.float32)
    features = stylizing.feature_network("vgg16", path)(image)
    # Blue, green, red, without ImageNet's mean.
    pixels = image[..., ::-1] - [103.939, 116.779, 123.68]
    middle = np.einsum("hwi,hwio->o", pixels[0, 1:4, 1:4], kernel) + 0.5
    np.testing.assert_allclose(
        features[0][0, 2, 2], np.maximum(middle, 0), rtol=1e-4, atol=1e-2
    )
    keras.Sequential([keras.layers.Input((2,))]).save(tmp_path / "cut.keras")
    half = (tmp_path / "cut.keras").read_bytes()[:200]
    (tmp_path / "cut.keras").write_bytes(half)
    (tmp_path / "bad.keras").write_bytes(b"no archive")
    bad = [("vgg19", path)]
    bad += [("vgg16", tmp_path / f"{x}.keras") for x in ("cut", "bad", "none")]
    for name, file in (*bad, ("vgg16", folders.__file__)):
        assert_usage_error(
            lambda name=name, file=file: stylizing.feature_network(name, file),
            f"cannot be read as weights of {name}",
            "random features",
        )


def test_statistics_come_near_the_style_and_contents_stay(network):
    transfer = stylizing.Transfer(network, steps=40)
    images = np.array([folders.picture(i, (32, 32), 4) for i in range(2)])
    styles = transfer.moments(np.array([folders.stripes(i) for i in (5, 6)]))
    made = transfer(images, styles).numpy()
    assert made.dtype == np.uint8 and made.shape == images.shape
    before = distances(transfer, images, styles)
    assert (distances(transfer, made, styles) < 0.4 * before).all()
    for i in range(2):
        own = correlation(made[i], images[i])
        assert own > 0.4 and own > correlation(made[i], images[1 - i]) + 0.3
    # Images of a batch do not act on each other.
    one = [stylizing.Moments(*(x[1:] for x in layer)) for layer in styles]
    alone = transfer(images[1:], one).numpy()[0].astype(int)
    assert np.abs(alone - made[1]).mean() < 1.0
    # Sizes may be odd; without a style the content stays.
    odd = np.array([folders.picture(i, (9, 14)) for i in range(2)])
    assert transfer(odd, styles).shape == (2, 9, 14, 3)
    options = {"style_strength": 0.0, "style_weight": 1.0}
    plain = stylizing.Transfer(network, steps=10, **options)
    kept = plain(images, styles).numpy().astype(int)
    moved = np.abs(made.astype(int) - images).mean()
    assert np.abs(kept - images).mean() < 0.25 * moved


def test_styles_are_drawn_by_seed_and_name(tmp_path):
    styles = stylizing.Styles(folders.make_styles(tmp_path / "s", 3))
    folders.save(tmp_path / "s" / ".hidden.png", folders.stripes(0))
    folders.save(tmp_path / "s" / "deep" / "er" / "4.jpg", folders.stripes(0))
    assert len(stylizing.Styles(tmp_path / "s")) == 4
    names = [f"cat/{i}.png" for i in range(600)]
    drawn = [styles.draw(0, name) for name in names]
    assert drawn == [styles.draw(0, name) for name in names]
    assert drawn != [styles.draw(1, name) for name in names]
    # Three standard deviations of a binomial: 35.
    assert np.abs(np.bincount(drawn, minlength=3) - 200).max() < 35
    grey = tmp_path / "s" / "0.png"
    Image.fromarray(np.full([20, 40], 9, np.uint8)).save(grey)
    assert (styles.read(0, 8).numpy() == 9).all()
    grey.write_bytes(b"no image")
    assert_usage_error(lambda: styles.read(0, 8), "Cannot read the style")
    grey.rename(tmp_path / "s" / os.fsdecode(b"\xe9.png"))
    assert_usage_error(
        lambda: stylizing.Styles(tmp_path / "s"), "udce9.png' is no line of"
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images of two sizes, and styles."""
    root = tmp_path_factory.mktemp("inputs")
    folders.make(root / "photos", size=(12, 16))
    odd = root / "photos" / "train" / "dog" / "1.png"
    folders.save(odd, folders.picture(9, (17, 13)))
    folders.make_styles(root / "styles")
    return root


def run(inputs, output, **changes):
    values = {
        "data_dir": inputs / "photos",
        "styles": inputs / "styles",
        "output_dir": output,
        "steps": 2,
        "batch_size": 2,
        **changes,
    }
    command.run(parsed(StylizeConfig, **values))


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """A tree that was made at once."""
    root = tmp_path_factory.mktemp("tree") / "whole"
    run(inputs, root)
    return root


def test_tree_has_the_training_images_in_their_sizes(inputs, whole):
    made = folders.tree(whole)
    photos = inputs / "photos" / "train"
    assert list(made) == list(folders.tree(photos))
    for name in made:
        image, original = map(folders.read, (whole / name, photos / name))
        assert image.shape == original.shape and (image != original).any()
    assert (whole / "sheet.png").exists()
    assert folders.settings(whole)["features"] == "random"


def test_a_killed_writer_goes_on_to_the_same_bytes(
    inputs, whole, tmp_path, monkeypatch
):
    calls = []

    def dying(image, path, image_format):
        calls.append(path)
        if len(calls) == 2:
            path.with_name(f".{path.name}.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        save(image, path, image_format)

    save = writer.save
    monkeypatch.setattr(writer, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path / "tree")
    first = calls[0], calls[0].stat().st_mtime_ns
    assert not (tmp_path / "tree" / "sheet.png").exists()
    monkeypatch.setattr(writer, "save", save)
    run(inputs, tmp_path / "tree")
    assert folders.tree(tmp_path / "tree") == folders.tree(whole)
    assert first == (calls[0], calls[0].stat().st_mtime_ns)


def test_what_cannot_be_used_is_one_line(inputs, whole, tmp_path):
    before = folders.tree(whole)
    # Only sizes were compared.
    changed = shutil.copytree(inputs, tmp_path / "changed")
    path = next((changed / "photos" / "train").rglob("*.png"))
    folders.save(path, 255 - folders.read(path))
    two_styles = folders.make_styles(tmp_path / "s", 2)
    for changes, *words in (
        ({"steps": 3, "train_examples": 2}, "steps 3 (was 2); images 2"),
        ({"styles": two_styles}, "of other settings", "pictures 2"),
        ({"data_dir": changed / "photos"}, "of other settings: names"),
        ({"output_dir": inputs}, "is not empty and holds no image"),
        ({"styles": None}, "--styles is missing"),
        ({"styles": "nowhere"}, "--styles=nowhere does not exist"),
        ({"output_dir": None}, "--output_dir is missing"),
        ({"data_dir": None}, "needs --data_dir"),
        ({"data_dir": "nowhere"}, "--data_dir=nowhere does not exist"),
        ({"dataset": "nothing"}, "Unknown dataset 'nothing'"),
        ({"train_examples": 99}, "only 6"),
        ({"vgg_weights": "nowhere.h5"}, "--vgg_weights=nowhere.h5 cannot"),
    ):
        call = functools.partial(run, inputs, whole, **changes)
        assert_usage_error(call, *words)
    assert folders.tree(whole) == before
