"""The networks' layers: values, constants, dropout, initial weights."""

import functools

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import models
from support import torch_networks
from support.network_checks import images_like, normalized, trainable_count

BATCH_NORM = keras.layers.BatchNormalization
preact = functools.partial(models.build, "preact_resnet18", width=1 / 16)
resnet50 = functools.partial(models.build, "resnet50", width=1 / 16)
resnet50 = functools.partial(resnet50, num_classes=10, mean=0.5, std=0.5)
augmix = functools.partial(models.augmix_wide_resnet, width=0.25)


@pytest.mark.parametrize(
    ("build", "oracle", "arguments"),
    [
        (preact, "preact_resnet", ([2] * 4, 4)),
        (resnet50, "bottleneck_resnet", ((3, 4, 6, 3), 4)),
        # With a widening of one, the first stage has no projection.
        (augmix, "augmix_wide_resnet", ("conv_shortcut", 1, 4, 4)),
        (augmix, "augmix_wide_resnet", ("convShortcut", 2, 4, 8)),
    ],
)
def test_logits_are_those_of_the_pytorch_network(build, oracle, arguments):
    """Of images of several sizes, even and odd, by one and the same model."""
    network = torch_networks.Network(seed=1)
    size = {1: (10, 1), 2: (16, 2)}[arguments[1]] if build is augmix else ()
    model = build(*size, input_shape=(None, None, 1))
    for shape in ([3, 32, 32, 1], [2, 37, 45, 1]):
        images = images_like(shape)
        x = normalized(images)
        expected = getattr(torch_networks, oracle)(network, x, *arguments, 10)
        if shape[0] == 3:
            models.load_torch_weights(model, network.state)
        largest = np.abs(expected).max()
        assert largest > 1
        assert_allclose(model(images), expected, atol=1e-4 * largest)


def test_published_weights_give_the_published_activations(
    trained_resnet20, golden
):
    arrays, model = golden("resnet20_logits64.npz"), trained_resnet20
    outputs = [model.get_layer(f"stage{i}").output for i in (1, 2, 3)]
    model = keras.Model(model.input, [*outputs, model.output])
    *features, logits = model(arrays["input"])
    assert_allclose(logits, arrays["logits_f64"], atol=1e-4)
    for number, ours in enumerate(features, start=1):
        theirs = arrays[f"act2__layer{number}"].transpose(0, 2, 3, 1)
        assert_allclose(ours[: len(theirs)], theirs, atol=1e-4)


def test_a_shortcut_without_parameters_in_a_narrow_network():
    """Where the channels do not double, from 3 to 7; sides are odd."""
    model = models.cifar_resnet(8, width=0.22, input_shape=(13, 19, 3))
    points = "stage1", "stage2_block1_shortcut_pad"
    outputs = [model.get_layer(name).output for name in points]
    x, y = keras.Model(model.input, outputs)(images_like([2, 13, 19, 3]))
    expected = np.zeros([2, 7, 10, 7], np.float32)
    expected[..., 2:5] = x[:, ::2, ::2]
    assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("name", "norms", "rate", "blocks", "before"),
    [
        ("preact_resnet18", 16, 0.0, 8, "conv1"),
        ("wide_resnet28_4", 25, 0.1, 12, "conv1"),
        ("wide_resnet40_2", 37, 0.0, 18, "bn2_relu"),
        ("resnet20", 19, 0.0, 9, "bn1_relu"),
        ("resnet50", 53, 0.0, 16, "bn2_relu"),
    ],
)
def test_constants(name, norms, rate, blocks, before):
    """Of batch normalisation; biases; where dropout is and how much."""
    build = functools.partial(models.build, name, width=0.0625)
    model, dropped = build(), build(dropout=0.3)
    for each, expected in ((model, rate), (dropped, 0.3)):
        rates = [layer.rate for layer in each.layers if hasattr(layer, "rate")]
        assert rates == [expected] * (blocks if expected else 0)
    layer = dropped.get_layer("stage1_block1_dropout")
    assert layer.input is dropped.get_layer(f"stage1_block1_{before}").output
    wide = name == "wide_resnet28_4"
    assert sum(isinstance(x, BATCH_NORM) for x in model.layers) == norms
    for layer in model.layers:
        if isinstance(layer, BATCH_NORM):
            forgets = wide and layer.name == "final_bn"
            assert layer.momentum == (0.1 if forgets else 0.9)
            assert layer.epsilon == 1e-5
            assert_array_equal(layer.gamma, 1)
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.use_bias == wide


def _assert_law(law, *arrays):
    """Second and fourth moments, of a normal or a uniform law, at 4 sigma."""
    values = np.concatenate([np.ravel(a) for a in arrays])
    moments = (1 / 3, 1 / 5, 1 / 9) if law == "uniform" else (1, 3, 105)
    second, fourth, eighth = moments
    assert law != "uniform" or np.abs(values).max() <= 1
    for power, expected, square in ((2, second, fourth), (4, fourth, eighth)):
        sigma = np.sqrt((square - expected**2) / values.size)
        assert abs((values**power).mean() - expected) < 4 * sigma
    assert abs(values.mean()) < 4 * np.sqrt(second / values.size)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("preact_resnet18", "uniform"),
        ("wide_resnet28_4", "uniform"),
        ("wide_resnet40_2", "fan_out"),
        ("resnet20", "fan_in"),
        ("resnet50", "fan_out"),
    ],
)
def test_initial_weights(name, law):
    """PyTorch's default, or He's normal law of inputs or of outputs."""
    shape = {"num_classes": 100, "input_shape": (32, 32, 3)}
    model = models.build(name, width=0.25, seed=2, **shape)
    kernels, biases = [], []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            *window, fan_in, fan_out = layer.kernel.shape
            area = np.prod(window)
            fan = {"fan_in": area * fan_in / 2, "fan_out": area * fan_out / 2}
            scale = fan.get(law, area * fan_in) ** 0.5
            kernels.append(layer.kernel * scale)
            biases += [layer.bias * scale] if layer.use_bias else []
    # Each layer draws numbers of its own.
    assert len({float(np.ravel(k)[0]) for k in kernels}) == len(kernels)
    _assert_law(law, *kernels)
    dense = model.get_layer("logits")
    scale = dense.kernel.shape[0] ** 0.5
    if law == "fan_in":
        _assert_law(law, dense.kernel * (scale / 2**0.5))
    else:
        _assert_law("uniform", dense.kernel * scale)
    if name == "wide_resnet40_2":
        assert_array_equal(dense.bias, 0)
    else:
        _assert_law("uniform", dense.bias * scale, *biases)


LARGE = ("resnet101", 44_549_160), ("resnet152", 60_192_808)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 269_722),
        ("resnet56", 853_018),
        ("wide_resnet40_2", 2_243_546),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in LARGE),
    ],
)
def test_published_parameter_counts(name, count):
    large = name in dict(LARGE)
    model = models.resnet(int(name[6:])) if large else models.build(name)
    assert trainable_count(model) == count
    assert model.name == name
