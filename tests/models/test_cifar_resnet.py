import keras
import numpy as np
import pytest

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from support.network_checks import (
    assert_constants,
    assert_normal,
    dropout_rates,
    images_like,
    kernels,
    normalized,
    trainable_count,
)
from support.torch_networks import Network, option_a_resnet


def test_logits_of_published_weights(trained_resnet20, golden):
    arrays = golden("resnet20_logits64.npz")
    np.testing.assert_allclose(
        trained_resnet20(arrays["input"]), arrays["logits_f64"], atol=1e-4
    )


def test_activations_of_published_weights(trained_resnet20, golden):
    arrays = golden("resnet20_logits64.npz")
    layers = {
        "conv1": "stem",
        "bn1": "stem_bn",
        "layer1": "stage1",
        "layer2": "stage2",
        "layer3": "stage3",
    }
    outputs = keras.Model(
        trained_resnet20.input,
        {k: trained_resnet20.get_layer(v).output for k, v in layers.items()},
    )(arrays["input"][:2])
    for name, output in outputs.items():
        expected = arrays[f"act2__{name}"].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(output, expected, atol=1e-4)


def test_accuracy_of_published_weights(trained_resnet20, cifar10_test):
    """Published: 91.73 % on the whole test set."""
    images, labels = cifar10_test
    logits = trained_resnet20.predict(images, batch_size=500, verbose=0)
    accuracy = np.mean(logits.argmax(-1) == labels)
    assert accuracy == pytest.approx(0.9173, abs=2e-4)


@pytest.mark.parametrize("side", [16, 19])
@pytest.mark.parametrize("depth", [8, 14])
def test_logits_are_those_of_the_pytorch_network(depth, side):
    network = Network(seed=side)
    images = images_like([3, side, side, 3])
    expected = option_a_resnet(
        network, normalized(images), (depth - 2) // 6, 4, 10
    )
    model = models.cifar_resnet(depth, width=0.25, input_shape=(side, side, 3))
    models.load_torch_weights(model, network.state)
    np.testing.assert_allclose(model(images), expected, atol=1e-4)
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize(
    # The paper's Table 6 says 0.27, 0.46, 0.66, 0.85 and 1.7 million.
    "depth, count",
    [
        (20, 269_722),
        (32, 464_154),
        (44, 658_586),
        (56, 853_018),
        (110, 1_727_962),
    ],
)
def test_published_parameter_counts(depth, count):
    model = models.cifar_resnet(depth)
    assert trainable_count(model) == count
    assert model.name == f"resnet{depth}"


@pytest.mark.parametrize("depth", [20, 56])
def test_registered(depth):
    built = models.build(f"resnet{depth}", width=0.25)
    direct = models.cifar_resnet(depth, width=0.25)
    assert built.get_config() == direct.get_config()


@pytest.mark.parametrize("width", [0.2, 0.22, 1.0])
def test_a_shortcut_subsamples_and_adds_empty_channels(width):
    """Also in a narrow network that does not double them: 3 to 6, 3 to 7."""
    model = models.cifar_resnet(8, width=width)
    points = "stage1", "stage2_block1_shortcut_pad"
    x, y = keras.Model(
        model.input, [model.get_layer(name).output for name in points]
    )(images_like([2, 32, 32, 3]))
    before = (y.shape[-1] - x.shape[-1]) // 2
    expected = np.zeros(y.shape, np.float32)
    expected[..., before : before + x.shape[-1]] = x[:, ::2, ::2]
    np.testing.assert_array_equal(y, expected)


def test_constants():
    assert_constants(models.build("resnet20", width=0.25), num_norms=19)
    model = models.build("resnet20", width=0.25, dropout=0.2)
    assert dropout_rates(model) == [0.2] * 9


def test_initial_weights():
    model = models.cifar_resnet(56, seed=4)
    scaled = [
        np.ravel(kernel) * (fan_in / 2) ** 0.5
        for kernel, fan_in, _ in kernels(model)
    ]
    scaled.append(np.ravel(model.get_layer("logits").kernel) * 32**0.5)
    assert_normal(np.concatenate(scaled))
    assert_normal(scaled[-1])
    assert np.abs(model.get_layer("logits").bias).max() <= 1 / 8


@pytest.mark.parametrize("depth", [2, 18, 52])
def test_depths_that_do_not_exist(depth):
    with pytest.raises(UsageError, match=f"depth {depth}.*6 n"):
        models.cifar_resnet(depth)
