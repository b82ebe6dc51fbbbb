"""Style transfer: statistics, networks, the optimised images, the tree."""

import dataclasses
import os
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from noisymix_tf import UsageError, stylizing
from noisymix_tf.config.stylize import StylizeConfig
from noisymix_tf.image_trees import writer
from noisymix_tf.stylizing import command, networks
from support import picture_folders as folders


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


# Statistics


def test_adapted_features_have_the_moments_of_the_style():
    generator = np.random.default_rng(0)
    x, y = generator.gamma(2.0, 3.0, (2, 2, 6, 7, 5)).astype(np.float32)
    made = stylizing.adapt(x, stylizing.moments(y)).numpy()
    np.testing.assert_allclose(made.mean((1, 2)), y.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(made.std((1, 2)), y.std((1, 2)), rtol=1e-4)
    centred = [v - v.mean((1, 2), keepdims=True) for v in (made, x)]
    ratio = centred[0] / centred[1]
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] + 0 * ratio, rtol=2e-2)
    own = stylizing.adapt(x, stylizing.moments(x))
    np.testing.assert_allclose(own, x, rtol=1e-4, atol=1e-4)


def test_constant_features_stay_finite():
    flat = np.full([1, 4, 4, 2], 7.0, np.float32)
    target = stylizing.moments(flat)
    np.testing.assert_allclose(stylizing.adapt(flat, target), flat, rtol=1e-5)


def test_moments_towards_others():
    a = stylizing.Moments(tf.constant([[0.0]]), tf.constant([[1.0]]))
    b = stylizing.Moments(tf.constant([[4.0]]), tf.constant([[3.0]]))
    between = a.towards(b, 0.25)
    assert (between.mean.numpy(), between.std.numpy()) == (1.0, 1.5)


# Networks


def test_random_features_are_he_initialised_functions_of_the_seed(network):
    layers = [x for x in network.layers if x.weights]
    for layer in layers:
        kernel, bias = (w.numpy() for w in layer.weights)
        expected = np.sqrt(2 / np.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(expected, rel=0.05)
        assert not bias.any()
    other = stylizing.feature_network("vgg16", seed=2)
    first = [m.get_layer("block1_conv1").kernel for m in (network, other)]
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert not network.trainable_weights


def test_layers_leave_eight_rows():
    assert len(networks.layers_for(224)) == len(networks.layers_for(64)) == 4
    assert len(networks.layers_for(63)) == 3
    assert len(networks.layers_for(32)) == 3
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
    network = stylizing.feature_network("vgg16", path)
    image = folders.picture(0, (16, 16))[None].astype(np.float32)
    features = network(image)
    # Blue, green, red, without ImageNet's mean.
    pixels = image[..., ::-1] - [103.939, 116.779, 123.68]
    middle = np.einsum("hwi,hwio->o", pixels[0, 1:4, 1:4], kernel) + 0.5
    np.testing.assert_allclose(
        features[0][0, 2, 2], np.maximum(middle, 0), rtol=1e-4, atol=1e-2
    )
    with pytest.raises(UsageError, match="cannot be read as weights of vgg19"):
        stylizing.feature_network("vgg19", path)
    keras.Sequential([keras.layers.Input((2,))]).save(tmp_path / "cut.keras")
    whole = (tmp_path / "cut.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bad.keras").write_bytes(b"no archive")
    bad_files = ("none.h5", "cut.keras", "bad.keras")
    for bad in (*(tmp_path / name for name in bad_files), folders.__file__):
        with pytest.raises(UsageError, match="random features") as caught:
            stylizing.feature_network("vgg16", bad)
        assert "\n" not in str(caught.value)


# Transfer


@pytest.fixture(scope="module")
def transferred(network):
    transfer = stylizing.Transfer(network, steps=60)
    images = np.array([folders.picture(i, (32, 32), 4) for i in range(2)])
    styles = transfer.moments(np.array([folders.stripes(i) for i in (5, 6)]))
    return transfer, images, styles, transfer(images, styles).numpy()


def test_statistics_come_near_the_style_and_shapes_stay(transferred):
    transfer, images, styles, made = transferred
    assert made.dtype == np.uint8 and made.shape == images.shape
    before = distances(transfer, images, styles)
    after = distances(transfer, made, styles)
    assert (after < 0.4 * before).all()
    for i in range(2):
        assert correlation(made[i], images[i]) > 0.4
        own = correlation(made[i], images[1 - i])
        assert correlation(made[i], images[i]) > own + 0.3


def test_images_of_a_batch_do_not_act_on_each_other(transferred):
    transfer, images, styles, made = transferred
    one = [stylizing.Moments(*(x[1:] for x in layer)) for layer in styles]
    alone = transfer(images[1:], one).numpy()[0].astype(int)
    assert np.abs(alone - made[1]).mean() < 1.0


def test_without_a_style_the_content_stays(transferred, network):
    _, images, styles, made = transferred
    plain = stylizing.Transfer(
        network, steps=10, style_strength=0.0, style_weight=1.0
    )
    kept = plain(images, styles).numpy().astype(int)
    moved = np.abs(made.astype(int) - images).mean()
    assert np.abs(kept - images).mean() < 0.25 * moved


def test_sizes_may_be_odd(transferred):
    transfer, _, styles, _ = transferred
    images = np.array([folders.picture(i, (9, 14)) for i in range(2)])
    assert transfer(images, styles).shape == (2, 9, 14, 3)


# Styles


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
    with pytest.raises(UsageError, match="Cannot read the style"):
        styles.read(0, 8)
    grey.rename(tmp_path / "s" / os.fsdecode(b"\xe9.png"))
    with pytest.raises(UsageError, match=r"udce9.png' is no line of UTF-8"):
        stylizing.Styles(tmp_path / "s")


# The tree


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images of two sizes, and styles."""
    root = tmp_path_factory.mktemp("inputs")
    folders.make(root / "photos", size=(12, 16))
    odd = root / "photos" / "train" / "dog" / "1.png"
    folders.save(odd, folders.picture(9, (17, 13)))
    folders.make_styles(root / "styles")
    return root


def configuration(inputs, output, **changes):
    values = {
        "data_dir": str(inputs / "photos"),
        "styles": str(inputs / "styles"),
        "output_dir": str(output),
        "steps": 2,
        "batch_size": 2,
    } | changes
    groups = {}
    for field in dataclasses.fields(StylizeConfig):
        own = {f.name for f in dataclasses.fields(field.type)}
        mine = {k: v for k, v in values.items() if k in own}
        groups[field.name] = field.type(**mine)
    return StylizeConfig(**groups)


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """A tree that was made at once."""
    root = tmp_path_factory.mktemp("tree") / "whole"
    command.run(configuration(inputs, root))
    return root


def test_tree_has_the_training_images_in_their_sizes(inputs, whole):
    made = folders.tree(whole)
    photos = inputs / "photos" / "train"
    assert list(made) == list(folders.tree(photos))
    for name in made:
        image, original = (
            folders.read(whole / name),
            folders.read(photos / name),
        )
        assert image.shape == original.shape
        assert (image != original).any()
    assert (whole / "sheet.png").exists()
    assert folders.settings(whole)["features"] == "random"


def test_a_killed_writer_goes_on_to_the_same_bytes(
    inputs, whole, tmp_path, monkeypatch
):
    config = configuration(inputs, tmp_path / "tree")
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
        command.run(config)
    first = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in calls[:1]}
    assert not (tmp_path / "tree" / "sheet.png").exists()
    monkeypatch.setattr(writer, "save", save)
    command.run(config)
    assert folders.tree(tmp_path / "tree") == folders.tree(whole)
    for path, (time, content) in first.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (time, content)


def test_other_settings_and_other_folders_are_refused(inputs, whole, tmp_path):
    before = folders.tree(whole)
    for changes, words in (
        ({"steps": 3, "train_examples": 2}, "steps 3 (was 2); images 2"),
        ({"styles": str(folders.make_styles(tmp_path / "s", 2))}, "pictures 2"),
    ):
        with pytest.raises(UsageError, match="of other settings") as caught:
            command.run(configuration(inputs, whole, **changes))
        assert words in str(caught.value)
    with pytest.raises(UsageError, match="is not empty and holds no image"):
        command.run(configuration(inputs, inputs))
    assert folders.tree(whole) == before


def test_an_image_that_has_changed_is_refused(inputs, whole, tmp_path):
    """A tree went on with images of two states; only sizes were compared."""
    changed = shutil.copytree(inputs, tmp_path / "changed")
    path = next((changed / "photos" / "train").rglob("*.png"))
    folders.save(path, 255 - folders.read(path))
    with pytest.raises(UsageError, match=r"of other settings: names"):
        command.run(configuration(changed, whole))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"styles": None}, "--styles is missing"),
        ({"styles": "nowhere"}, "--styles=nowhere does not exist"),
        ({"output_dir": None}, "--output_dir is missing"),
        ({"data_dir": None}, "needs --data_dir"),
        ({"data_dir": "nowhere"}, "--data_dir=nowhere does not exist"),
        ({"dataset": "nothing"}, "Unknown dataset 'nothing'"),
        ({"train_examples": 99}, "only 6"),
        ({"vgg_weights": "nowhere.h5"}, "--vgg_weights=nowhere.h5 cannot"),
    ],
)
def test_what_cannot_be_used_is_one_line(inputs, tmp_path, changes, words):
    output = tmp_path / "out"
    with pytest.raises(UsageError) as caught:
        command.run(configuration(inputs, output, **changes))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not output.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"step_size": 0.0},
        {"style_weight": -1.0},
        {"content_weight": -1.0},
        {"style_strength": 1.5},
        {"image_size": 0},
        {"batch_size": 0},
        {"train_examples": 0},
        {"seed": -1},
    ],
)
def test_ranges(inputs, changes):
    (name,) = changes
    with pytest.raises(UsageError, match=f"--{name}=.* must be"):
        configuration(inputs, "out", **changes)
