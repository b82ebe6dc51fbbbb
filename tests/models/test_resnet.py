import keras
import numpy as np
import pytest

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from support.network_checks import (
    assert_constants,
    assert_normal,
    assert_uniform,
    dropout_rates,
    images_like,
    kernels,
    normalized,
    trainable_count,
)
from support.torch_networks import Network, bottleneck_resnet


@pytest.mark.parametrize("side", [64, 45])
def test_logits_are_those_of_the_pytorch_network(side):
    network = Network(seed=side)
    images = images_like([2, side, side, 3])
    x = normalized(images, models.IMAGENET_MEAN, models.IMAGENET_STD)
    expected = bottleneck_resnet(network, x, (3, 4, 6, 3), 4, 10)
    model = models.build(
        "resnet50", width=1 / 16, input_shape=(side, side, 3), num_classes=10
    )
    models.load_torch_weights(model, network.state)
    error = np.abs(model(images) - expected).max()
    assert error < 1e-4 * np.abs(expected).max()


def test_defaults_are_imagenets():
    model = models.build("resnet50")
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    tap = keras.Model(model.input, model.get_layer("normalize").output)
    images = images_like([1, 224, 224, 3])
    expected = normalized(
        images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(tap(images), expected, atol=1e-5)


@pytest.mark.parametrize(
    # torchvision's documentation.
    "depth, count",
    [(50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_published_parameter_counts(depth, count):
    model = models.resnet(depth)
    assert trainable_count(model) == count
    assert model.name == f"resnet{depth}"


@pytest.mark.parametrize("side", [224, 64, 33])
def test_stages(side):
    model = models.build("resnet50", width=0.125, input_shape=(side, side, 3))
    stages = [model.get_layer(f"stage{i}") for i in (1, 2, 3, 4)]
    for index, stage in enumerate(stages):
        wanted = -(-side // (4 * 2**index))
        assert stage.output.shape[1:] == (wanted, wanted, 32 * 2**index)
        assert isinstance(stage, keras.layers.ReLU)


def test_constants():
    assert_constants(models.build("resnet50", width=0.125), num_norms=53)
    model = models.build("resnet50", width=0.125, dropout=0.2)
    assert dropout_rates(model) == [0.2] * 16


def test_initial_weights():
    model = models.build("resnet50", width=0.5, seed=4)
    scaled = [
        np.ravel(kernel) * (fan_out / 2) ** 0.5
        for kernel, _, fan_out in kernels(model)
    ]
    assert_normal(np.concatenate(scaled))
    logits = model.get_layer("logits")
    assert_uniform(np.ravel(logits.kernel) * 32)
    assert_uniform(np.ravel(logits.bias) * 32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            np.testing.assert_array_equal(layer.gamma, 1)


def test_depths_that_do_not_exist():
    with pytest.raises(UsageError, match=r"depth 18.*give 50, 101, 152"):
        models.resnet(18)


def test_smallest_images():
    models.resnet(50, width=0.0625, input_shape=(32, 32, 3))
    with pytest.raises(UsageError, match="at least 32 pixels"):
        models.resnet(50, width=0.0625, input_shape=(31, 32, 3))
