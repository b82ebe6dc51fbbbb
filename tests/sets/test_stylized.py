"""Style transfer: statistics, networks, the optimised images."""

import functools

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format
from numpy.testing import assert_allclose as close

from noisymix_tf.commands.stylize import StyleConfig
from noisymix_tf.sets import stylized as lib
from support import picture_folders as folders
from support.usage import assert_usage_error


@pytest.fixture(scope="module")
def network():
    full = lib.feature_network("vgg16", seed=1)
    return keras.Model(full.inputs, full.outputs[:2])


def distances(transfer, images, styles):
    own, norms = transfer.moments(images), functools.partial(tf.norm, axis=1)
    pairs = [(tf.concat(a, 1), tf.concat(b, 1)) for a, b in zip(own, styles)]
    return np.array([norms(a - b) ** 2 / norms(b) ** 2 for a, b in pairs])


def correlation(a, b):
    grey = [x.mean(-1).reshape(8, 4, 8, 4).mean((1, 3)) for x in (a, b)]
    return np.corrcoef(*map(np.ravel, grey))[0, 1]


def test_adapted_features_have_the_moments_of_the_style():
    generator = np.random.default_rng(0)
    x, y = generator.gamma(2.0, 3.0, (2, 2, 6, 7, 5)).astype(np.float32)
    made = lib.adapt(x, lib.moments(y)).numpy()
    close(made.mean((1, 2)), y.mean((1, 2)), rtol=1e-5)
    close(made.std((1, 2)), y.std((1, 2)), rtol=1e-4)
    centred = [v - v.mean((1, 2), keepdims=True) for v in (made, x)]
    ratio = centred[0] / centred[1]
    close(ratio, ratio[:, :1, :1] + 0 * ratio, rtol=2e-2)
    # Constant features stay finite.
    for own in (x, np.full([1, 4, 4, 2], 7.0, np.float32)):
        same = lib.adapt(own, lib.moments(own))
        close(same, own, rtol=1e-4, atol=1e-4)
    a = lib.Moments(tf.constant([[0.0]]), tf.constant([[1.0]]))
    b = lib.Moments(tf.constant([[4.0]]), tf.constant([[3.0]]))
    between = a.towards(b, 0.25)
    assert (between.mean.numpy(), between.std.numpy()) == (1.0, 1.5)


def test_random_features_are_he_initialised_functions_of_the_seed(network):
    for kernel, bias in (x.get_weights() for x in network.layers if x.weights):
        expected = np.sqrt(2 / np.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(expected, rel=0.05)
        assert not bias.any()
    other = lib.feature_network("vgg16", seed=2)
    first = [m.get_layer("block1_conv1").kernel for m in (network, other)]
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert not network.trainable_weights
    found = [lib.depth_for(side) for side in (64, 63, 32, 4)]
    assert found == [4, 3, 3, 1]  # Layers that leave eight rows.


def test_weights_of_a_file_are_used(tmp_path):
    model = keras.applications.VGG16(include_top=False, weights=None)
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 64))
    path = tmp_path / "vgg16_notop.h5"
    bias = np.full([64], 0.5)
    model.get_layer("block1_conv1").set_weights([kernel, bias])
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    image = folders.picture(0, (16, 16))[None].astype(np.float32)
    features = lib.feature_network("vgg16", path)(image)
    # Blue, green, red, without ImageNet's mean.
    pixels = image[..., ::-1] - [103.939, 116.779, 123.68]
    middle = np.einsum("hwi,hwio->o", pixels[0, 1:4, 1:4], kernel) + 0.5
    close(features[0][0, 2, 2], np.maximum(middle, 0), rtol=1e-4, atol=1e-2)
    files = [tmp_path / f"{name}.keras" for name in ("cut", "bad", "none")]
    keras.Sequential([keras.layers.Input((2,))]).save(files[0])
    files[0].write_bytes(files[0].read_bytes()[:200])
    files[1].write_bytes(b"no archive")
    bad = [("vgg16", file) for file in (*files, folders.__file__)]
    for name, file in (*bad, ("vgg19", path)):
        words = (f"cannot be read as weights of {name}", "random features")
        given = {"name": name, "weights": file}
        assert_usage_error(lib.feature_network, *words, **given)


@pytest.mark.slow
def test_statistics_come_near_the_style_and_contents_stay(network):
    transfer = lib.Transfer(network, StyleConfig(steps=60))
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
    one = [lib.Moments(*(x[1:] for x in layer)) for layer in styles]
    alone = transfer(images[1:], one).numpy()[0].astype(int)
    assert np.abs(alone - made[1]).mean() < 1.0
    # Sizes may be odd; without a style the content stays.
    odd = np.array([folders.picture(i, (9, 14)) for i in range(2)])
    assert transfer(odd, styles).shape == (2, 9, 14, 3)
    options = {"style_strength": 0.0, "style_weight": 1.0}
    plain = lib.Transfer(network, StyleConfig(steps=10, **options))
    kept = plain(images, styles).numpy().astype(int)
    moved = np.abs(made.astype(int) - images).mean()
    assert np.abs(kept - images).mean() < 0.25 * moved
