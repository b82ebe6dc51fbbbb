"""The networks' layers: values, constants, dropout, initial weights."""

import functools

import keras
import numpy as np
import pytest

from noisymix_tf import models
from support.network_checks import images_like, normalized, trainable_count
from support.torch_networks import (
    Network,
    augmix_wide_resnet,
    bottleneck_resnet,
    preact_resnet,
)

augmix = functools.partial(models.augmix_wide_resnet, width=0.25)
SMALL = {"width": 1 / 16, "num_classes": 10, "mean": 0.5, "std": 0.5}
# A network for images of any size, and the same in NumPy.
CASES = {
    "preact": (
        functools.partial(models.build, "preact_resnet18", **SMALL),
        lambda n, x: preact_resnet(n, x, [2] * 4, 4, 10),
    ),
    "bottleneck": (
        functools.partial(models.build, "resnet50", **SMALL),
        lambda n, x: bottleneck_resnet(n, x, (3, 4, 6, 3), 4, 10),
    ),
    # With a widening of one, the first stage has no projection.
    "augmix": (
        functools.partial(augmix, 10, 1),
        lambda n, x: augmix_wide_resnet(n, x, 1, 4, 4, 10, "conv_shortcut"),
    ),
    "augmix wide": (
        functools.partial(augmix, 16, 2),
        lambda n, x: augmix_wide_resnet(n, x, 2, 4, 8, 10, "convShortcut"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_pytorch_network(case):
    """Of images of several sizes, even and odd, by one and the same model."""
    build, oracle = CASES[case]
    network = Network(seed=1)
    model = build(input_shape=(None, None, 1))
    for shape in ([3, 32, 32, 1], [2, 37, 45, 1]):
        images = images_like(shape)
        expected = oracle(network, normalized(images))
        if shape[0] == 3:
            models.load_torch_weights(model, network.state)
        largest = np.abs(expected).max()
        assert largest > 1
        np.testing.assert_allclose(model(images), expected, atol=1e-4 * largest)


def test_published_weights_give_the_published_activations(
    trained_resnet20, golden
):
    arrays = golden("resnet20_logits64.npz")
    model = trained_resnet20
    outputs = [model.get_layer(f"stage{i}").output for i in (1, 2, 3)]
    model = keras.Model(model.input, [*outputs, model.output])
    *features, logits = model(arrays["input"])
    np.testing.assert_allclose(logits, arrays["logits_f64"], atol=1e-4)
    for number, ours in enumerate(features, start=1):
        theirs = arrays[f"act2__layer{number}"].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=1e-4)


@pytest.mark.slow
def test_accuracy_of_published_weights(trained_resnet20, cifar10_test):
    """Published: 91.73 % on the whole test set."""
    images, labels = cifar10_test
    logits = trained_resnet20.predict(images, batch_size=500, verbose=0)
    accuracy = np.mean(logits.argmax(-1) == labels)
    assert accuracy == pytest.approx(0.9173, abs=2e-4)


def test_a_shortcut_without_parameters_in_a_narrow_network():
    """Where the channels do not double, from 3 to 7; sides are odd."""
    model = models.cifar_resnet(8, width=0.22, input_shape=(13, 19, 3))
    points = "stage1", "stage2_block1_shortcut_pad"
    outputs = [model.get_layer(name).output for name in points]
    x, y = keras.Model(model.input, outputs)(images_like([2, 13, 19, 3]))
    assert (x.shape[-1], y.shape[-1]) == (3, 7)
    expected = np.zeros(y.shape, np.float32)
    expected[..., 2:5] = x[:, ::2, ::2]
    np.testing.assert_array_equal(y, expected)


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
    model, dropped = (
        models.build(name, width=0.0625, dropout=r) for r in (None, 0.3)
    )
    for each, expected in ((model, rate), (dropped, 0.3)):
        rates = [layer.rate for layer in each.layers if hasattr(layer, "rate")]
        assert rates == [expected] * (blocks if expected else 0)
    layer = dropped.get_layer("stage1_block1_dropout")
    assert layer.input is dropped.get_layer(f"stage1_block1_{before}").output
    wide = name == "wide_resnet28_4"
    seen = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            seen += 1
            forgets = wide and layer.name == "final_bn"
            assert layer.momentum == (0.1 if forgets else 0.9)
            assert layer.epsilon == 1e-5
            np.testing.assert_array_equal(layer.gamma, 1)
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.use_bias == wide
    assert seen == norms


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
        np.testing.assert_array_equal(dense.bias, 0)
    else:
        _assert_law("uniform", dense.bias * scale, *biases)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 269_722),
        ("resnet56", 853_018),
        ("wide_resnet40_2", 2_243_546),
    ],
)
def test_published_parameter_counts(name, count):
    assert trainable_count(models.build(name)) == count


@pytest.mark.slow
@pytest.mark.parametrize("depth, count", [(101, 44_549_160), (152, 60_192_808)])
def test_published_parameter_counts_of_large_networks(depth, count):
    model = models.resnet(depth)
    assert trainable_count(model) == count
    assert model.name == f"resnet{depth}"
