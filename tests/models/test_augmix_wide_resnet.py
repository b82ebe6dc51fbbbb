import numpy as np
import pytest

from noisymix_tf import models
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
from support.torch_networks import Network, augmix_wide_resnet


@pytest.mark.parametrize("shortcut", ["conv_shortcut", "convShortcut"])
@pytest.mark.parametrize(
    # With a widening of one, the first stage has no projection.
    "depth, widen, side",
    [(10, 1, 16), (16, 2, 17)],
)
def test_logits_are_those_of_the_pytorch_network(depth, widen, side, shortcut):
    network = Network(seed=depth)
    images = images_like([3, side, side, 3])
    blocks = (depth - 4) // 6
    expected = augmix_wide_resnet(
        network, normalized(images), blocks, 4, 4 * widen, 10, shortcut
    )
    model = models.augmix_wide_resnet(
        depth, widen, width=0.25, input_shape=(side, side, 3)
    )
    models.load_torch_weights(model, network.state)
    np.testing.assert_allclose(model(images), expected, atol=1e-4)
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize(
    # 2.2 million is the published figure.
    "classes, count",
    [(10, 2_243_546), (100, 2_243_546 + 90 * 129)],
)
def test_parameter_counts(classes, count):
    model = models.build("wide_resnet40_2", num_classes=classes)
    assert trainable_count(model) == count
    assert model.name == "wide_resnet40_2"


def test_constants():
    assert_constants(models.build("wide_resnet40_2", width=0.125), num_norms=37)
    model = models.build("wide_resnet40_2", width=0.125, dropout=0.3)
    assert dropout_rates(model) == [0.3] * 18


def test_dropout_lies_before_the_second_convolution():
    model = models.augmix_wide_resnet(10, 1, dropout=0.3)
    layer = model.get_layer("stage1_block1_conv2")
    assert layer.input is model.get_layer("stage1_block1_dropout").output
    layer = model.get_layer("stage1_block1_dropout")
    assert layer.input is model.get_layer("stage1_block1_bn2_relu").output


def test_initial_weights():
    model = models.build("wide_resnet40_2", num_classes=100, seed=2)
    scaled = [
        np.ravel(kernel) * (fan_out / 2) ** 0.5
        for kernel, _, fan_out in kernels(model)
    ]
    assert_normal(np.concatenate(scaled))
    logits = model.get_layer("logits")
    assert_uniform(np.ravel(logits.kernel) * 128**0.5)
    np.testing.assert_array_equal(logits.bias, 0)
