"""What holds for every registered network."""

import functools
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import config, models
from noisymix_tf.errors import UsageError
from support import ROOT
from support.network_checks import images_like, segments

NAMES = models.MODELS.names()
# One network of each builder, for what takes long.
FAMILIES = (
    "preact_resnet18",
    "wide_resnet28_4",
    "wide_resnet40_2",
    "resnet20",
    "resnet50",
)
SIDE = 32
SHAPE = (SIDE, SIDE, 3)


def small(name, **arguments):
    """A narrow network for images of 32 pixels and 10 classes."""
    arguments = {
        "width": 0.125,
        "input_shape": SHAPE,
        "num_classes": 10,
    } | arguments
    return models.build(name, **arguments)


@functools.cache
def built(name, seed=0):
    """A small network that several tests look at and none changes."""
    return small(name, seed=seed)


@functools.cache
def twins(name):
    """Two builds with equal arguments, whatever was drawn before them."""
    keras.utils.set_random_seed(1)
    first = small(name, seed=5, dropout=0.1)
    keras.utils.set_random_seed(2)
    return first, small(name, seed=5, dropout=0.1)


def test_names():
    assert set(NAMES) == {
        "preact_resnet18",
        "preact_wide_resnet18",
        "wide_resnet28_4",
        "wide_resnet40_2",
        "resnet20",
        "resnet56",
        "resnet50",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_its_name_a_flagfile_and_a_word_in_the_help(name):
    assert built(name).name == name
    lines = (ROOT / f"flags/model/{name}.flags").read_text().splitlines()
    assert f"--model={name}" in lines
    (field,) = (
        f
        for f in config.ModelConfig.__dataclass_fields__.values()
        if f.name == "model"
    )
    assert name in field.metadata["help"]


def test_defaults_are_the_networks_own():
    for name in NAMES:
        model = models.build(name, width=0.0625)
        large = name == "resnet50"
        shape = (224, 224, 3) if large else (32, 32, 3)
        assert model.input_shape == (None, *shape)
        assert model.output_shape == (None, 1000 if large else 10)


# A build is a pure function of its arguments.


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_weights_and_other_seeds_others(name):
    first, second = (model.weights for model in twins(name))
    other = small(name, seed=6, dropout=0.1).weights
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    drawn = 0
    for a, b in zip(first, other, strict=True):
        if np.ptp(a) > 0:
            drawn += 1
            assert np.any(a != b)
    convolutions = sum(v.name == "kernel" for v in first)
    assert drawn >= convolutions > 10


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_layers_start_alike(name):
    starts = [
        tuple(np.ravel(v)[:4])
        for v in small(name, width=0.25).trainable_variables
        if v.name == "kernel"
    ]
    assert len(set(starts)) == len(starts)


def test_the_global_seed_is_left_alone():
    keras.utils.set_random_seed(7)
    undisturbed = np.asarray(keras.random.normal([4]))
    keras.utils.set_random_seed(7)
    for name in FAMILIES:
        small(name)
    np.testing.assert_array_equal(keras.random.normal([4]), undisturbed)


@pytest.mark.parametrize("name", NAMES)
def test_layer_names_do_not_depend_on_earlier_builds(name):
    first, second = twins(name)
    assert first.get_config() == second.get_config()


# Input and output.


@pytest.mark.parametrize("name", FAMILIES)
def test_uint8_and_float32_images_give_the_same_logits(name):
    model = built(name)
    images = images_like([3, *SHAPE])
    expected = model(images.astype(np.float32))
    for x in (images, tf.constant(images)):
        logits = model(x)
        assert logits.dtype == tf.float32
        np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_normalisation_per_channel(name):
    mean, std = (0.48, 0.45, 0.4), (0.23, 0.22, 0.25)
    model = small(name, mean=mean, std=std)
    tap = keras.Model(model.input, model.get_layer("normalize").output)
    images = images_like([2, *SHAPE])
    expected = (images / 255.0 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(tap(images), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64, 3), (224, 224, 3), (72, 40, 3)])
@pytest.mark.parametrize(
    "name, halvings, stages",
    [
        ("preact_resnet18", 3, 4),
        ("wide_resnet28_4", 2, 3),
        ("wide_resnet40_2", 2, 3),
        ("resnet20", 2, 3),
        ("resnet50", 5, 4),
    ],
)
def test_other_image_sizes(name, halvings, stages, shape):
    model = small(name, width=0.0625, input_shape=shape, num_classes=7)
    assert model.output_shape == (None, 7)
    last = model.get_layer(f"stage{stages}").output.shape
    assert last[1:3] == tuple(-(-s // 2**halvings) for s in shape[:2])
    logits = model(images_like([1, *shape]))
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_unknown_size(name):
    """One network takes all sizes, as those built for them do."""
    model = small(name, input_shape=(None, None, 1), mean=0.5, std=0.25)
    for side in (32, 43):
        shape = (side, side, 1)
        fixed = small(name, input_shape=shape, mean=0.5, std=0.25)
        images = images_like([2, *shape])
        np.testing.assert_array_equal(model(images), fixed(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_taps_are_cuts_of_the_network(name):
    model = built(name)
    assert models.default_taps(name) == (
        "normalize",
        "stage1",
        "stage2",
        "stage3",
    )
    h = images = images_like([2, *SHAPE])
    for part in segments(model, models.default_taps(name)):
        h = part(h)
    np.testing.assert_allclose(h, model(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_mixed_precision_keeps_pixels_and_logits_in_float32(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = small(name, seed=1)
        assert model.get_layer("stage1").compute_dtype == policy[6:]
        assert model.get_layer("normalize").output.dtype == "float32"
        images = images_like([4, *SHAPE])
        logits = model(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == tf.float32
    expected = built(name, seed=1)(images)
    # Eight bits of mantissa, through up to 56 layers.
    np.testing.assert_allclose(
        logits, expected, atol=0.05 * max(1, np.abs(expected).max())
    )
    assert np.any(logits != expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_compiles_under_xla(name):
    model = built(name)
    images = images_like([2, *SHAPE]).astype(np.float32)
    expected = model(images)
    compiled = tf.function(model, jit_compile=True)
    np.testing.assert_allclose(compiled(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_variable_learns(name):
    """No layer is cut off from the loss, and none of them puts out NaN."""
    model = small(name, width=0.25)
    images = images_like([4, *SHAPE])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    gradients = tape.gradient(
        loss, [v.value for v in model.trainable_variables]
    )
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(gradient != 0), variable.path


# Saving.


def test_a_saved_model_loads_without_this_package(tmp_path):
    images = images_like([4, *SHAPE])
    np.save(tmp_path / "images.npy", images)
    constants = {"mean": (0.48, 0.45, 0.4), "std": (0.2, 0.3, 0.25)}
    saved = [(name, "float32") for name in FAMILIES]
    saved += [("resnet20", "mixed_bfloat16"), ("resnet50", "mixed_bfloat16")]
    for name, policy in saved:
        keras.config.set_dtype_policy(policy)
        try:
            model = small(name, **constants)
            model(images, training=True)  # moves the running statistics
            model.save(tmp_path / f"{name}-{policy}.keras")
            np.save(tmp_path / f"{name}-{policy}.npy", model(images))
        finally:
            keras.config.set_dtype_policy("float32")
    script = """
        import pathlib, sys
        sys.modules["noisymix_tf"] = None
        import keras, numpy as np
        images = np.load("images.npy")
        for path in sorted(pathlib.Path().glob("*.keras")):
            logits = np.asarray(keras.models.load_model(path)(images))
            expected = np.load(path.with_suffix(".npy"))
            np.testing.assert_array_equal(logits, expected)
            print(path.stem)
        try:
            import noisymix_tf
        except ImportError:
            print("ok")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    names = sorted(f"{name}-{policy}" for name, policy in saved)
    assert done.stdout.split() == [*names, "ok"], done.stderr


# Arguments that cannot be used.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_shape": (3, 32, 3)}, "too small"),
        ({"input_shape": (32, 32)}, "height, width, channels"),
        ({"input_shape": (32, 32, 0)}, "no channels"),
        ({"input_shape": (32, 32, None)}, "height, width, channels"),
        ({"input_shape": (32, 32, 1)}, "mean has 3 values"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"width": 0}, "width is 0"),
        ({"width": -1.0}, "width is -1.0"),
        ({"width": float("nan")}, "width is nan"),
        ({"width": 0.005}, r"leaves none of \d+ channels"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"std": (0.5, 0.0, 0.5)}, "std is"),
        ({"std": (0.5, 0.5)}, "std has 2 values"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments(name, arguments, message):
    arguments = {"mean": (0.5, 0.5, 0.5), "width": 0.0625} | arguments
    with pytest.raises(UsageError, match=message) as error:
        models.build(name, **arguments)
    assert "\n" not in str(error.value)


def test_an_unknown_name():
    with pytest.raises(UsageError, match="Unknown model 'resnet_2'"):
        models.build("resnet_2")
    with pytest.raises(UsageError, match="Known: preact_resnet18"):
        models.default_taps("resnet_2")
