"""What holds for every registered network."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import config, models
from support import ROOT
from support.network_checks import images_like, segments
from support.usage import assert_usage_error

SHAPE = (32, 32, 3)
IMAGES = images_like([4, *SHAPE])
# The shallowest network of each builder, and how often it halves the image.
SHALLOW = {
    "preact": (functools.partial(models.preact_resnet, "p", blocks=[1] * 4), 3),
    "wide": (functools.partial(models.wide_resnet, 10, 1), 2),
    "augmix": (functools.partial(models.augmix_wide_resnet, 10, 1), 2),
    "cifar": (functools.partial(models.cifar_resnet, 8), 2),
    "bottleneck": (functools.partial(models.resnet, 50, num_classes=10), 5),
}


def small(name, policy="float32", **arguments):
    defaults = {"width": 0.25, "input_shape": SHAPE, "seed": 5, "dropout": 0.1}
    keras.config.set_dtype_policy(policy)
    try:
        return SHALLOW[name][0](**{**defaults, **arguments})
    finally:
        keras.config.set_dtype_policy("float32")


@functools.cache
def built(name):
    """A small network that several tests look at and none changes."""
    keras.utils.set_random_seed(1)
    return small(name)


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
    np.testing.assert_allclose(tap(images), expected, atol=1e-5)


@pytest.mark.parametrize("name", SHALLOW)
def test_a_build_is_a_pure_function_of_its_arguments(name):
    """Whatever was drawn before; it draws from no global seed itself."""
    first = built(name)
    keras.utils.set_random_seed(7)
    undisturbed = np.asarray(keras.random.normal([4]))
    keras.utils.set_random_seed(7)
    second = small(name)
    np.testing.assert_array_equal(keras.random.normal([4]), undisturbed)
    assert first.get_config() == second.get_config()
    # All are of Keras, so that it loads a saved model without this package.
    assert {type(x).__module__.split(".")[0] for x in first.layers} == {"keras"}
    other = small(name, seed=6)
    pairs = zip(first.weights, second.weights, other.weights, strict=True)
    drawn = 0
    for a, b, c in pairs:
        np.testing.assert_array_equal(a, b)
        if np.ptp(a) > 0:
            drawn += 1
            assert np.any(a != c)
    assert drawn >= sum(v.name == "kernel" for v in first.weights) >= 8
    dropout, again = (model(IMAGES, training=True) for model in (first, second))
    np.testing.assert_array_equal(dropout, again)


@pytest.mark.parametrize("name", SHALLOW)
def test_pixels_of_bytes_taps_and_gradients(name):
    """Bytes are taken as they are; the taps cut; every variable learns."""
    model, halvings = built(name), SHALLOW[name][1]
    expected = model(IMAGES.astype(np.float32))
    assert expected.dtype == tf.float32 and expected.shape == (4, 10)
    np.testing.assert_array_equal(model(IMAGES), expected)
    h = IMAGES
    for part in segments(model, models.default_taps("resnet20")):
        h = part(h)
    np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-6)
    side = 32 // 2**halvings
    assert model.get_layer("pool").input.shape[1:3] == (side, side)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(IMAGES) ** 2)
    variables = model.trainable_variables
    for variable, gradient in zip(
        variables, tape.gradient(loss, [v.value for v in variables])
    ):
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0), variable.path


@pytest.mark.parametrize("name", ["cifar", "preact"])
def test_mixed_precision_keeps_pixels_and_logits_in_float32(name):
    policy = {"cifar": "mixed_bfloat16", "preact": "mixed_float16"}[name]
    model = small(name, policy)
    assert model.get_layer("stage1").compute_dtype == policy[6:]
    assert model.get_layer("normalize").output.dtype == "float32"
    logits, expected = model(IMAGES), small(name)(IMAGES)
    assert logits.dtype == tf.float32
    atol = 0.05 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(logits, expected, atol=atol)
    assert np.any(logits != expected)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SHALLOW]


@pytest.mark.parametrize("name", ["cifar", *SLOW])
def test_compiles_under_xla(name):
    logits = tf.function(built(name), jit_compile=True)(IMAGES)
    np.testing.assert_allclose(logits, built(name)(IMAGES), 1e-4, 1e-5)


@pytest.mark.slow
def test_a_saved_model_loads_without_this_package(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    constants = {"mean": (0.48, 0.45, 0.4), "std": (0.2, 0.3, 0.25)}
    for name in SHALLOW:
        policy = "mixed_bfloat16" if name == "cifar" else "float32"
        model = small(name, policy, **constants)
        model(IMAGES, training=True)  # moves the running statistics
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model(IMAGES))
    script = """if True:
        import pathlib, sys
        sys.modules["noisymix_tf"] = None
        import keras, numpy as np
        for path in sorted(pathlib.Path().glob("*.keras")):
            logits = keras.models.load_model(path)(np.load("images.npy"))
            expected = np.load(path.with_suffix(".npy"))
            np.testing.assert_array_equal(logits, expected)
            print(path.stem)
    """
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == sorted(SHALLOW), done.stderr


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
        (lambda: _build(dropout=-0.1), "dropout is -0.1"),
        (lambda: _build(std=(0.5, 0.0, 0.5)), "std is"),
        (lambda: _build(std=(0.5, 0.5)), "std has 2 values"),
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
