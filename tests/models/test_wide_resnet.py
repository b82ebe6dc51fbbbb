import keras
import numpy as np
import pytest

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from support.network_checks import (
    assert_uniform,
    dropout_rates,
    images_like,
    trainable_count,
)


@pytest.mark.parametrize("classes, count", [(10, 5_853_098), (100, 5_876_228)])
def test_published_parameter_counts(classes, count):
    model = models.build("wide_resnet28_4", num_classes=classes)
    assert trainable_count(model) == count


def test_batch_norm_constants():
    for layer in models.wide_resnet(10, 1).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            last = layer.name == "final_bn"
            assert layer.momentum == (0.1 if last else 0.9)
            assert layer.epsilon == 1e-5


@pytest.mark.parametrize("rate, expected", [(None, 0.1), (0.3, 0.3), (0.0, 0)])
def test_dropout(rate, expected):
    model = models.build("wide_resnet28_4", width=0.0625, dropout=rate)
    assert dropout_rates(model) == ([expected] * 12 if expected else [])


def test_dropout_draws_are_seeded():
    images = images_like([4, 32, 32, 3])
    a, b, c = (
        models.wide_resnet(10, 1, dropout=0.5, seed=s)(images, training=True)
        for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_initial_weights_follow_pytorchs_default():
    model = models.build("wide_resnet28_4", seed=3)
    kernels, biases = [], []
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            bound = np.prod(layer.kernel.shape[:-1]) ** -0.5
            kernels.append(np.ravel(layer.kernel) / bound)
            biases.append(np.ravel(layer.bias) / bound)
    assert_uniform(np.concatenate(kernels))
    assert_uniform(np.concatenate(biases))


@pytest.mark.parametrize("depth", [4, 12, 27])
@pytest.mark.parametrize(
    "build", [models.wide_resnet, models.augmix_wide_resnet]
)
def test_depths_that_do_not_exist(build, depth):
    with pytest.raises(UsageError, match=f"depth {depth}"):
        build(depth, 1)
