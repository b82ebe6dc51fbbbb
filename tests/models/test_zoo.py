"""What holds for every registered network."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import config, models
from support import ROOT
from support.network_checks import images_like
from support.usage import assert_usage_error

SHAPE = (32, 32, 3)
IMAGES = images_like([4, *SHAPE])
# The shallowest network of each builder.
SHALLOW = {
    "preact": functools.partial(models.preact_resnet, "p", blocks=[1] * 4),
    "wide": functools.partial(models.wide_resnet, 10, 1),
    "augmix": functools.partial(models.augmix_wide_resnet, 10, 1),
    "cifar": functools.partial(models.cifar_resnet, 8),
    "bottleneck": functools.partial(models.resnet, 50, num_classes=10),
}


def small(name, policy="float32", **arguments):
    defaults = {"width": 0.25, "input_shape": SHAPE, "seed": 5, "dropout": 0.1}
    keras.config.set_dtype_policy(policy)
    try:
        return SHALLOW[name](**(defaults | arguments))
    finally:
        keras.config.set_dtype_policy("float32")


def test_every_model_has_a_name_a_flagfile_and_a_word_in_the_help():
    expected = "preact_resnet18 preact_wide_resnet18 wide_resnet28_4"
    expected += " wide_resnet40_2 resnet20 resnet56 resnet50"
    assert list(models.MODELS.names()) == expected.split()
    field = config.ModelConfig.__dataclass_fields__["model"]
    for name in models.MODELS.names():
        flagfile = ROOT / f"flags/model/{name}.flags"
        assert f"--model={name}" in flagfile.read_text().splitlines()
        assert name in field.metadata["help"]


@pytest.mark.parametrize("name", models.MODELS.names())
def test_defaults_are_the_networks_own(name):
    """Sizes, classes and normalisation, of ImageNet for ResNet-50."""
    large = name == "resnet50"
    side, classes = (224, 1000) if large else (32, 10)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mean, std = (mean, std) if large else (0.5, 0.5)
    model = models.build(name, width=0.0625)
    assert model.name == name
    assert model.input_shape == (None, side, side, 3)
    assert model.output_shape == (None, classes)
    images = images_like([1, side, side, 3])
    tap = keras.Model(model.input, model.get_layer("normalize").output)
    expected = (images / 255.0 - np.array(mean)) / np.array(std)
    assert_allclose(tap(images), expected, atol=1e-5)


@pytest.mark.parametrize("name", SHALLOW)
def test_a_build_is_a_pure_function_of_its_arguments(name):
    """Whatever was drawn before; it draws from no global seed itself."""
    keras.utils.set_random_seed(1)
    first = small(name)
    keras.utils.set_random_seed(7)
    undisturbed = np.asarray(keras.random.normal([4]))
    keras.utils.set_random_seed(7)
    second, other = small(name), small(name, seed=6)
    assert_array_equal(keras.random.normal([4]), undisturbed)
    assert first.get_config() == second.get_config()
    # All are of Keras, so that it loads a saved model without this package.
    assert {type(x).__module__.split(".")[0] for x in first.layers} == {"keras"}
    for a, b, c in zip(first.weights, second.weights, other.weights):
        assert_array_equal(a, b)
        assert np.ptp(a) == 0 or np.any(a != c)
    # Dropout is seeded, too.
    a, b, c = (model(IMAGES, training=True) for model in (first, second, first))
    assert_array_equal(a, b)
    assert np.any(a != c)


@pytest.mark.parametrize("name", ["cifar", "preact"])
def test_mixed_precision_keeps_pixels_and_logits_in_float32(name):
    policy = {"cifar": "mixed_bfloat16", "preact": "mixed_float16"}[name]
    model = small(name, policy)
    assert model.get_layer("stage1").compute_dtype == policy[6:]
    assert model.get_layer("normalize").output.dtype == "float32"
    logits, expected = model(IMAGES), small(name)(IMAGES)
    assert logits.dtype == tf.float32 and np.any(logits != expected)
    atol = 0.05 * max(1, np.abs(expected).max())
    assert_allclose(logits, expected, atol=atol)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SHALLOW]


@pytest.mark.parametrize("name", ["cifar", *SLOW])
def test_compiles_under_xla(name):
    model = small(name)
    logits = tf.function(model, jit_compile=True)(IMAGES)
    assert_allclose(logits, model(IMAGES), rtol=1e-4, atol=1e-5)


def _build(**arguments):
    arguments = {"mean": (0.5, 0.5, 0.5), "width": 0.0625} | arguments
    models.cifar_resnet(8, **arguments)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _build(input_shape=(3, 32, 3)), "at least 4 pixels"),
        (lambda: _build(input_shape=(32, 32)), "height, width, channels"),
        (lambda: _build(input_shape=(32, 32, 0)), "no channels"),
        (lambda: _build(input_shape=(32, 32, None)), "height, width, channels"),
        (lambda: _build(input_shape=(32, 32, 1)), "mean has 3 values"),
        (lambda: _build(num_classes=1), "num_classes is 1"),
        (lambda: _build(width=0), "width is 0"),
        (lambda: _build(width=float("nan")), "width is nan"),
        (lambda: _build(width=0.005), "leaves none of 16 channels"),
        (lambda: _build(dropout=1.0), "dropout is 1.0"),
        (lambda: _build(std=(0.5, 0.0, 0.5)), "std is"),
        (lambda: _build(seed=-1), "seed is -1"),
        (lambda: _build(seed=None), "seed is None"),
        (lambda: models.build("resnet_2"), "Unknown model 'resnet_2'"),
        (lambda: models.default_taps("x"), "Known: preact_resnet18"),
        (lambda: models.cifar_resnet(2), "depth 2 for small images"),
        (lambda: models.cifar_resnet(52), "give 6 n + 2"),
        (lambda: models.resnet(18), "give 50, 101, 152"),
        (lambda: models.wide_resnet(4, 1), "depth 4 does"),
        (lambda: models.augmix_wide_resnet(27, 1), "give 6 n + 4"),
        (lambda: small("bottleneck", input_shape=(31, 32, 3)), "at least 32"),
        (lambda: small("preact", input_shape=(7, 32, 3)), "at least 8 pixels"),
    ],
)
def test_bad_arguments(call, words):
    assert_usage_error(call, words)
