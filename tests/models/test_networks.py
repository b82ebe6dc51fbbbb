"""The registered networks, and PyTorch's weights for them; bad input."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import models
from noisymix_tf.training import precision
from support import torch_networks
from support.augmentation import assert_moments
from support.released_sets import noise
from support.torch_networks import normalized
from support.usage import assert_usage_error

BATCH_NORM = keras.layers.BatchNormalization
SMALL = {"width": 1 / 16, "num_classes": 10, "mean": 0.5, "std": 0.5}
preact = functools.partial(models.build, "preact_resnet18", **SMALL)
resnet50 = functools.partial(models.build, "resnet50", **SMALL)
augmix = functools.partial(models.augmix_wide_resnet, width=0.25)
LOGITS = [
    (preact, (), "preact_resnet", [2] * 4, 4),
    (resnet50, (), "bottleneck_resnet", [3, 4, 6, 3], 4),
    # With a widening of one, the first stage has no projection.
    (augmix, (10, 1), "augmix_wide_resnet", "conv_shortcut", 1, 4, 4),
    (augmix, (16, 2), "augmix_wide_resnet", "convShortcut", 2, 4, 8),
]


@pytest.mark.parametrize("case", LOGITS)
def test_logits_are_those_of_the_pytorch_network(case):
    (make, size, name, *arguments), network = case, torch_networks.Network(1)
    model = make(*size, input_shape=(None, None, 1))
    for shape in ([3, 32, 32, 1], [2, 37, 45, 1]):
        images = noise(*shape)
        x, oracle = normalized(images), getattr(torch_networks, name)
        expected = oracle(network, x, *arguments, 10)
        if shape[0] == 3:
            models.load_torch_weights(model, network.state)
        largest = np.abs(expected).max()
        assert largest > 1
        assert_allclose(model(images), expected, atol=1e-4 * largest)


def test_published_weights_counts_and_shortcuts(trained_resnet20, golden):
    arrays, model = golden("resnet20_logits64.npz"), trained_resnet20
    assert_allclose(model(arrays["input"]), arrays["logits_f64"], atol=1e-4)
    for number in (1, 2, 3):
        theirs = arrays[f"act2__layer{number}"].transpose(0, 2, 3, 1)
        layer, images = model.get_layer(f"stage{number}"), arrays["input"]
        ours = keras.Model(model.input, layer.output)(images[: len(theirs)])
        assert_allclose(ours, theirs, atol=1e-4)
    model = models.cifar_resnet(8, width=0.22, input_shape=(13, 19, 3))
    layers = map(model.get_layer, ["stage1", "stage2_block1_shortcut_pad"])
    part = keras.Model(model.input, [layer.output for layer in layers])
    x, y = part(noise(2, 13, 19, 3))
    expected = np.zeros([2, 7, 10, 7], np.float32)
    expected[..., 2:5] = x[:, ::2, ::2]
    assert_array_equal(y, expected)
    for name, count in (("resnet56", 853_018), ("wide_resnet40_2", 2_243_546)):
        variables = models.build(name).trainable_variables
        assert sum(np.prod(v.shape) for v in variables) == count
    # The wide one is the other at twice the width.
    wide = models.build("preact_wide_resnet18", width=1 / 32, num_classes=10)
    one, other = ([v.shape for v in m.weights] for m in (wide, preact()))
    assert one == other


NETWORKS = [
    ("preact_resnet18", 16, 8, "conv1", "uniform", "uniform"),
    ("wide_resnet28_4", 25, 12, "conv1", "uniform", "uniform"),
    ("wide_resnet40_2", 37, 18, "bn2_relu", "fan_out", "uniform"),
    ("resnet20", 19, 9, "bn1_relu", "fan_in", "fan_in"),
    ("resnet50", 53, 16, "bn2_relu", "fan_out", "uniform"),
]
FIRSTS = {"uniform": (0.0497108, -0.404716), "normal": (-0.840208, -1.25572)}


@pytest.mark.parametrize("name, norms, blocks, before, law, last", NETWORKS)
def test_constants_and_initial_weights(name, norms, blocks, before, law, last):
    """PyTorch's default, or He's normal; and the numbers that a seed drew."""
    dropped = models.build(name, width=0.0625, dropout=0.3)
    side, classes = (224, 1000) if name == "resnet50" else (32, 10)
    assert dropped.input_shape == (None, side, side, 3)
    assert dropped.output_shape == (None, classes)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    mean, std = (mean, std) if name == "resnet50" else (0.5, 0.5)
    images = noise(1, side, side, 3)
    expected = normalized(images, mean, std).transpose(0, 2, 3, 1)
    assert_allclose(dropped.get_layer("normalize")(images), expected, atol=1e-5)
    layer = dropped.get_layer("stage1_block1_dropout")
    assert layer.input is dropped.get_layer(f"stage1_block1_{before}").output
    shape = {"num_classes": 100, "input_shape": (32, 32, 3)}
    model = models.build(name, width=0.25, seed=2, **shape)
    wide = name == "wide_resnet28_4"
    for each, rate in ((model, 0.1 * wide), (dropped, 0.3)):
        rates = [layer.rate for layer in each.layers if hasattr(layer, "rate")]
        assert rates == [rate] * (blocks if rate else 0)
    assert sum(isinstance(x, BATCH_NORM) for x in model.layers) == norms
    kernels, biases = [], []
    for layer in model.layers:
        if isinstance(layer, BATCH_NORM):
            forgets = wide and layer.name == "final_bn"
            assert layer.momentum == (0.1 if forgets else 0.9)
            assert layer.epsilon == 1e-5
        if hasattr(layer, "kernel"):
            *window, fan_in, fan_out = layer.kernel.shape
            assert layer.use_bias == (wide or not window)
            area, mine = np.prod(window), law if window else last
            fans = {"fan_in": area * fan_in / 2, "fan_out": area * fan_out / 2}
            kernel = layer.kernel * fans.get(mine, area * fan_in) ** 0.5
            kernels.append(np.ravel(kernel))
            if layer.use_bias:
                biases.append(np.ravel(layer.bias) * (area * fan_in) ** 0.5)
    # Each layer draws numbers of its own.
    assert len({float(k[0]) for k in kernels}) == len(kernels)
    for i, each, values in ((0, law, kernels[:-1]), (1, last, kernels[-1:])):
        each = "uniform" if each == "uniform" else "normal"
        assert_allclose(values[0][0], FIRSTS[each][i], rtol=1e-4)
        assert_moments(each, np.concatenate(values))
    if name == "wide_resnet40_2":
        assert_array_equal(biases, np.zeros([1, 100]))
    else:
        assert_allclose(biases[-1][0], -0.852713, rtol=1e-4)
        assert_moments("uniform", np.concatenate(biases))


@pytest.mark.slow
@pytest.mark.parametrize("depth, count", [(101, 44_549_160), (152, 60_192_808)])
def test_published_parameter_counts_of_deep_networks(depth, count):
    variables = models.resnet(depth).trainable_variables
    assert sum(np.prod(v.shape) for v in variables) == count


IMAGES = noise(4, 32, 32, 3)
# The shallowest network of each builder.
SHALLOW = {
    "preact": functools.partial(models.preact_resnet, "p", blocks=[1] * 4),
    "wide": functools.partial(models.wide_resnet, 10, 1),
    "augmix": functools.partial(models.augmix_wide_resnet, 10, 1),
    "cifar": functools.partial(models.cifar_resnet, 8),
    "bottleneck": functools.partial(models.resnet, 50, num_classes=10),
}


def small(name, **arguments):
    options = {"width": 0.25, "input_shape": IMAGES.shape[1:], "seed": 5}
    return SHALLOW[name](**{**options, "dropout": 0.1, **arguments})


@pytest.mark.parametrize("name", SHALLOW)
def test_a_build_is_a_pure_function_of_its_arguments(name):
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


def test_mixed_precision_keeps_pixels_and_logits_in_float32():
    with precision.dtype_policy("mixed_float16"):
        model = small("preact")
    assert model.get_layer("stage1").compute_dtype == "float16"
    assert model.get_layer("normalize").output.dtype == "float32"
    logits, expected = model(IMAGES), small("preact")(IMAGES)
    assert logits.dtype == tf.float32 and np.any(logits != expected)
    atol = 0.05 * max(1, np.abs(expected).max())
    assert_allclose(logits, expected, atol=atol)


def _cifar(width=0.0625, **options):
    models.cifar_resnet(8, width=width, mean=[0.5] * 3, **options)


def _refused(words, make=_cifar, *args, **options):
    assert_usage_error(lambda: make(*args, **options), words)


def test_bad_arguments():
    _refused("at least 4 pixels", input_shape=(3, 32, 3))
    _refused("height, width, channels", input_shape=(32, 32))
    _refused("at least one channel", input_shape=(32, 32, 0))
    _refused("mean has 3 values", input_shape=(32, 32, 1))
    _refused("num_classes is 1", num_classes=1)
    _refused("width is 0", width=0)
    _refused("width is nan", width=float("nan"))
    _refused("width is inf", width=float("inf"))
    _refused("leaves none of 16 channels", width=0.005)
    _refused("dropout is 1.0", dropout=1.0)
    _refused("std is", std=(0.5, 0.0, 0.5))
    _refused("seed is -1", seed=-1)
    build = functools.partial(models.build, "resnet20")
    for word, value in (("num_classes", 2.5), ("num_classes", "10")):
        _refused(f"{word}={value!r} must be a w", build, **{word: value})
    for given in ({"input_shape": 32}, {"weights": "x"}, {"width": "x"}):
        _refused("'resnet20' cannot be built with wid", build, **given)
    build = functools.partial(models.build, "applications/ResNet50")
    _refused("num_classes=0 must be", build, num_classes=0)
    _refused("cannot be built with width=1.0 and {'me", build, mean=0.5)
    _refused("Unknown model 'resnet_2'", models.build, "resnet_2")
    _refused("small images of depth 2", models.cifar_resnet, 2)
    _refused("give 6 n + 2", models.cifar_resnet, 52)
    _refused("give 50, 101, 152", models.resnet, 18)
    _refused("depth 4 does", models.wide_resnet, 4, 1)
    _refused("give 6 n + 4", models.augmix_wide_resnet, 27, 1)
    _refused("at least 32", small, "bottleneck", input_shape=(31, 32, 3))
    _refused("at least 8 pixels", small, "preact", input_shape=(7, 32, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHALLOW)
def test_compiles_under_xla(name):
    model = small(name)
    logits = tf.function(model, jit_compile=True)(IMAGES)
    assert_allclose(logits, model(IMAGES), rtol=1e-4, atol=1e-5)


PREACT = "full_golden", "tiny_preactresnet18_w0125.npz", "preact_resnet18"
PREACT = pytest.param(PREACT, marks=pytest.mark.slow, id="preact")
WRN = "golden", "tiny_wrn10_1.npz", "wide_resnet28_4"
NAMES = "preact_resnet18", "wide_resnet28_4", "resnet50"
THEIRS = "PreActResNet18", "WideResNet28", "ResNet50"


@pytest.fixture(params=[pytest.param(WRN, id="wrn"), PREACT])
def case(request):
    load, file, name = request.param
    arrays = request.getfixturevalue(load)(file)
    if name == "preact_resnet18":
        model = models.build(name, width=0.125)
    else:
        model = models.wide_resnet(10, 1, dropout=0.0)
    state = {k[3:]: arrays[k] for k in arrays.files if k.startswith("w__")}
    models.load_torch_weights(model, state)
    return arrays, model, state, models.MODELS.get(name).torch_names[0]


def test_logits_and_running_statistics(case):
    arrays, model, state, names = case
    images = arrays["images_uint8"][:8]
    assert_allclose(model(images), arrays["eval_logits_first8"], atol=1e-4)
    logits = model(images, training=True)
    assert_allclose(logits, arrays["train_logits_first8_nomix"], atol=1e-4)
    checked = 0
    for layer in model.layers:
        name = names.of(layer.name)
        key = f"train_nomix_after__{name}.running_"
        if f"{key}mean" not in arrays.files:
            continue
        checked += 1
        # PyTorch keeps the unbiased variance of a batch, Keras the biased.
        count = np.prod([8, *layer.output.shape[1:3]])
        kept = layer.momentum * state[f"{name}.running_var"]
        unbiased = (layer.moving_variance - kept) * count / (count - 1) + kept
        assert_allclose(layer.moving_mean, arrays[f"{key}mean"], atol=1e-5)
        assert_allclose(unbiased, arrays[f"{key}var"], rtol=1e-4)
    assert checked >= 3


@pytest.mark.parametrize("name, theirs", [*zip(NAMES, THEIRS)])
def test_shapes_and_entries_of_every_layer(golden, name, theirs):
    expected = golden("params_and_shapes.json")[f"{theirs}_10"]
    model = models.build(name, num_classes=10)
    (names,) = models.MODELS.get(name).torch_names
    layers = {names.of(x.name): x for x in model.layers if x.weights}
    for stage in "123":
        layers[f"layer{stage}"] = model.get_layer(f"stage{stage}")
    rows = {row["name"]: row for row in expected["layers_in_call_order"]}
    for torch_name, layer in layers.items():
        _, channels, *sides = rows[torch_name]["out_nchw"]
        assert layer.output.shape[1:] == (*sides, channels), torch_name
    # And the other way round: the reference has no layer that is missing.
    for torch_name, row in rows.items():
        if row["n_params"] and not row["type"].startswith("Sequential"):
            assert torch_name in layers


PICTURES = noise(2, 16, 16, 3)
NET = torch_networks.Network()
ARGUMENTS = normalized(PICTURES), "convShortcut", 1, 4, 4, 10
LOGITS = torch_networks.augmix_wide_resnet(NET, *ARGUMENTS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    shape = {"width": 0.25, "input_shape": (16, 16, 3)}
    model = models.augmix_wide_resnet(10, 1, name="mine", **shape)
    model.save(file := tmp_path_factory.mktemp("saved") / "mine.keras")
    return keras.models.load_model(file)


def _named(state, prefix):
    return {f"{prefix}{k}": v for k, v in state.items()}


def _normalizing(state, mean, std, names=("mu", "sigma")):
    values = (np.full((1, 3, 1, 1), value) for value in (mean, std))
    return state | dict(zip(names, values))


SEQUENTIAL = "normalize.mean", "normalize.std"
WRAPS = [
    lambda s: {"epoch": 3, "state_dict": _named(s, "module."), "best": 0.9},
    lambda s: {"model_state_dict": _named(s, "module.model.")},
    lambda s: _normalizing(s, 0.5, 0.5),
    lambda s: _normalizing(_named(s, "model."), 0.5, 0.5, SEQUENTIAL),
    lambda s: s | {"mu": np.float32(0.5)},
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_wrappers_add_is_dropped(model, wrap):
    model.set_weights([np.zeros(v.shape) for v in model.weights])
    models.load_torch_weights(model, wrap(NET.state))
    assert_allclose(model(PICTURES), LOGITS, atol=1e-4)


CONV = "block2.layer.0.conv2.weight"
SPOILED = [
    (lambda s: {k: s[k] for k in s if k != CONV}, f"lack '{CONV}', which 'm"),
    (lambda s: s | {"b.weight": np.zeros(1)}, "hold 'b.weight', which 'mine'"),
    (lambda s: s | {"fc.weight": s["fc.weight"][:9]}, "shape (16, 9) in Ker"),
    (lambda s: s | {"conv1.weight": np.ones(108)}, "weight' has shape (108,)"),
    (lambda s: _normalizing(s, 0.5, 0.25), "sigma (0.25, 0.25, 0.25), 'mi"),
    (lambda s: _normalizing(s, 0.4, 0.5, SEQUENTIAL), "normalize.mean (0.4,"),
    (lambda s: _normalizing(s, 0.5, 0.4, SEQUENTIAL), "'mine' with std (0.5"),
    (lambda s: None, "are a NoneType; give a mapping"),
    (lambda s: {"state_dict": [1.0]}, "are a list"),
]


@pytest.mark.parametrize("spoil, words", SPOILED)
def test_what_does_not_fit_is_refused_and_changes_nothing(model, spoil, words):
    before = model.get_weights()
    state = spoil(NET.state)
    assert_usage_error(lambda: models.load_torch_weights(model, state), words)
    for a, b in zip(model.weights, before, strict=True):
        assert_array_equal(a, b)


def test_weights_of_another_network_or_for_one_that_is_unknown(golden):
    weights, load = golden("resnet20_weights.npz"), models.load_torch_weights
    wide, top = models.wide_resnet(10, 1), keras.layers.Dense(10, name="top")
    other = keras.Sequential([keras.Input((8,)), top])
    assert_usage_error(lambda: load(wide, weights), "conv1.bias")
    assert_usage_error(lambda: load(other, weights), "for its layer 'top'")
