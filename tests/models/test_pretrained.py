"""What training begins from: models made anew, and networks of Keras."""

import functools
import importlib
import random
from unittest import mock

import h5py
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal as same

from noisymix_tf import models
from noisymix_tf.models.graph import head_of
from noisymix_tf.models.pretrained import adapted
from noisymix_tf.models.unwrap import model_fingerprint
from noisymix_tf.training import precision, segments
from support.usage import assert_usage_error

L = keras.layers
DOWNLOAD = []
IMAGES = np.random.default_rng(0).integers(0, 256, [3, 8, 8, 3])
IMAGES = IMAGES.astype(np.float32)


def body():
    layers = [L.Conv2D(4, 3), L.BatchNormalization(), L.Conv2D(6, 3)]
    own = [keras.Input([8, 8, 3]), *layers, L.GlobalAveragePooling2D()]
    return keras.Sequential(own, name="body")


def arithmetic(ending="softmax"):
    images = keras.Input([8, 8, 3], dtype="uint8")
    h = body()(images / 127.5 - 1.0)
    return keras.Model([images], L.Dense(5, ending, name="scores")(h))


def layers():
    head = L.Dropout(0.5), L.Dense(5), L.Softmax(), L.Activation("linear")
    first = keras.Input([8, 8, 3]), L.Rescaling(1 / 127.5, -1.0)
    return keras.Sequential([*first, body(), *head])


def operation():
    images = keras.Input([8, 8, 3])
    h = L.Reshape([1, 1, 6])(body()(L.Rescaling(1 / 127.5, -1.0)(images)))
    h = L.Reshape([5])(L.Conv2D(5, 1)(h))
    return keras.Model(images, keras.ops.softmax(h))


@pytest.mark.parametrize("make", [arithmetic, layers, operation])
def test_a_classifier_is_made_anew(make):
    """The same function, less its softmax; all of it can be trained."""
    model = make()
    count = len(model.trainable_weights)
    for weight in model.weights:  # Biases and statistics, too.
        weight.assign(weight + 0.1)
    model.trainable = False
    before = model_fingerprint(model)
    made = adapted(model, 5)
    logits = made(IMAGES)
    same(keras.ops.softmax(logits), model(IMAGES))
    assert len(made.trainable_weights) == count
    # Other classes under another precision, from the seed.
    with precision.dtype_policy("mixed_bfloat16"):
        one, two, other = (adapted(model, 3, seed=seed) for seed in (1, 1, 2))
    assert model_fingerprint(one) == model_fingerprint(two)
    for each, like in ((one, made), (other, one)):
        *rest, kernel, _ = each.get_weights()
        for pair in zip(rest, like.get_weights()):
            same(*pair)
        assert not np.array_equal(kernel, like.get_weights()[-2])
    assert head_of(one).compute_dtype == one(IMAGES).dtype == "float32"
    assert one(IMAGES).shape == (3, 3)
    # Pixels are not rounded before they are normalised.
    tensors = segments.cut_points(one)
    first, *_, last = (tensors[tap].dtype for tap in segments.cut(one)[0])
    assert (first, last) == ("float32", "bfloat16")
    assert model_fingerprint(model) == before


def test_what_cannot_be_made_anew_is_refused():
    class Own(L.Flatten):
        def __init__(self, units):  # Of which its `get_config` knows nothing.
            super().__init__()

    images = keras.Input([8, 8, 3])
    scores = {k: L.Dense(k)(Own(k)(images)) for k in (1, 5)}
    for model, words in (
        (arithmetic("sigmoid"), "net ends in sigmoid"),
        (arithmetic("relu"), "net ends in what is not known"),
        (keras.Model(images, scores[1]), "has no head"),
        (keras.Model(images, scores[5]), "net cannot be made anew (Error"),
    ):
        call = functools.partial(adapted, model, 5, name="net")
        assert_usage_error(call, words)


HEADS = {"MobileNetV3Small": "logits", "EfficientNetB0": "predictions"}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_of_a_nested_network(name):
    """The last weights, also of a 1 x 1 convolution, whatever the axis."""
    inputs = keras.Input([32, 32, 3])
    options = {"input_shape": inputs.shape[1:], "classifier_activation": None}
    options |= {"weights": None, "classes": 7}
    network = getattr(keras.applications, name)(**options)
    h = keras.ops.softmax(network(L.RandomFlip(seed=0)(inputs)))
    model = keras.Model(inputs, L.Activation("linear", dtype="float32")(h))
    head = head_of(model)
    assert head is network.get_layer(HEADS[name]) and head.bias.shape == (7,)


def test_a_model_without_a_head_is_refused():
    pooled = L.Dense(8, name="pooled"), L.Reshape([4, 2])
    for why, layers in (
        ("no layer has weights", [L.Softmax()]),
        ("is the last layer", [L.Dense(8), L.BatchNormalization()]),
        ("'pooled'", [*pooled, L.GlobalAveragePooling1D()]),
    ):
        layers = [keras.Input([4, 4, 1]), L.Flatten(), *layers]
        call = functools.partial(head_of, keras.Sequential(layers))
        assert_usage_error(call, "no head", why)
    own = type("Own", (keras.Model,), {})()
    assert_usage_error(lambda: head_of(own), "no functional or Sequential")


build = functools.partial(models.build, "applications/MobileNet")
small = functools.partial(build, input_shape=(32, 32, 3), num_classes=4)


def test_a_network_of_keras_takes_pixels_and_gives_logits(tmp_path):
    before = random.getstate()
    model, again = small(seed=3), small(seed=3)
    assert random.getstate() == before
    assert model_fingerprint(model) == model_fingerprint(again)
    assert segments.cut(model)[0][0] == "preprocess"
    pixels = IMAGES.repeat(4, 1).repeat(4, 2)
    options = {"classes": 4, "input_shape": (32, 32, 3)}
    plain = keras.applications.MobileNet(weights=None, **options)
    plain.set_weights(model.get_weights())
    logits, module = model(pixels), keras.applications.mobilenet
    expected = plain(module.preprocess_input(pixels.copy()))
    same(keras.ops.softmax(logits), expected)
    model.save(tmp_path / "model.keras")
    same(keras.models.load_model(tmp_path / "model.keras")(pixels), logits)
    other = build(input_shape=(None, 40, 3), num_classes=4, seed=4)
    assert other.input_shape == (None, None, 40, 3)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])


def preprocess_input(pixels):
    return pixels / 255.0


def Tiny(weights, include_top, classes=1000, input_tensor=None, **_):
    """A network in the form of Keras', which downloads a path, or fails."""
    images = keras.Input([32, 32, 3]) if input_tensor is None else input_tensor
    h = L.Dropout(0.5)(L.BatchNormalization()(L.Conv2D(4, 3)(images)))
    if include_top:
        h = L.Dense(classes, "softmax")(L.GlobalAveragePooling2D()(h))
    sources = keras.utils.get_source_inputs(h)
    model = keras.Model(sources, h)
    if weights == "imagenet":
        keras.utils.get_file(DOWNLOAD[0])
        model.load_weights(DOWNLOAD[0])
    return model


def save(model, path):
    """In the form of Keras 2, too, in which all is published."""
    if path.endswith(".weights.h5"):
        return model.save_weights(path)
    form = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
    with h5py.File(path, "w") as file:
        form.save_weights_to_hdf5_group(file, model)


def test_weights_of_a_network_of_keras(tmp_path, monkeypatch):
    """Of its classes, of ImageNet's, without a top: what fits is taken."""
    monkeypatch.setattr(keras.applications, "Tiny", Tiny, raising=False)
    tiny = functools.partial(models.build, "applications/Tiny")
    tiny4 = functools.partial(tiny, num_classes=4)
    files = {}
    for top, classes in ((True, 4), (True, 1000), (False, None), (True, 7)):
        source = Tiny(None, top, classes)
        for weight in source.weights:
            weight.assign(weight + 0.01)
        for ending in ("weights.h5", "h5"):
            path = files[classes, ending] = str(
                tmp_path / f"{classes}.{ending}"
            )
            save(source, path)
            if classes == 7:  # Neither its classes, nor a network without top.
                call = functools.partial(tiny4, weights=path)
                assert_usage_error(call, path, "Tiny for 4 classes, for 1,000")
                continue
            made = tiny4(weights=path).get_weights()
            body = made if classes == 4 else made[:-2]
            assert all(map(np.array_equal, body, source.get_weights()))
            assert [w.shape for w in made[-2:]] == [(4, 4), (4,)]
            assert made[-1].any() == (classes == 4)  # A new head's bias.
    # What Keras downloads: without a top, or all of it.
    get_file = mock.Mock()
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    for make, key in ((tiny4, (None, "h5")), (tiny, (1000, "h5"))):
        DOWNLOAD[:] = [files[key]]
        found, wanted = make(weights="imagenet"), make(weights=files[key])
        assert all(map(np.array_equal, found.weights, wanted.weights))
    get_file.side_effect = OSError("URL fetch failure on https://a")
    call = functools.partial(tiny, weights="imagenet")
    assert_usage_error(call, "cannot be had (URL fetch", "--weights=FILE")


def test_what_a_network_of_keras_cannot_be():
    for change, *words in (
        ({"width": 0.5}, "width=0.5 does nothing to 'applications/MobileNet'"),
        ({"dropout": 0.1}, "dropout=0.1"),
        ({"input_shape": (32, 32, 1)}, "takes colour images", "(32, 32, 1)"),
        ({"input_shape": (8, 8, 3)}, "8 x 8 pixels", "at least 32x32"),
    ):
        assert_usage_error(functools.partial(small, **change), *words)
    call = functools.partial(models.build, "applications/ResNet5")
    assert_usage_error(call, "no network 'ResNet5'", "ResNet50")
    call = functools.partial(models.build, "ResNet50")
    assert_usage_error(call, "Those of Keras are called applications/NAME")
