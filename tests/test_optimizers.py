"""The optimizer against its equations, and the schedule's end points."""

import keras
import numpy as np
import pytest

from noisymix_tf.config import OptimizerConfig
from noisymix_tf.training import setup
from noisymix_tf.training.optimizers import L2SGD


def _numpy_sgd(w, gradients, rates, momentum, nesterov, l2):
    """PyTorch's documented update, in float64."""
    buffer = np.zeros_like(w)
    for gradient, rate in zip(gradients, rates):
        g = gradient + l2 * w
        buffer = momentum * buffer + g
        w = w - rate * (g + momentum * buffer if nesterov else buffer)
    return w


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_updates_follow_the_equations_under_a_schedule(momentum, nesterov):
    if nesterov and not momentum:
        nesterov = False
    rng = np.random.default_rng(0)
    w0 = rng.normal(size=5)
    gradients = rng.normal(size=[20, 5])
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 20, alpha=1e-5)
    optimizer = L2SGD(schedule, momentum=momentum, nesterov=nesterov, l2=5e-2)
    w = keras.Variable(w0.astype("float32"))
    rates = []
    for gradient in gradients:
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([gradient.astype("float32")], [w])
    expected = _numpy_sgd(w0, gradients, rates, momentum, nesterov, 5e-2)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)


def test_config_round_trip():
    optimizer = L2SGD(0.1, momentum=0.9, nesterov=True, l2=3e-4)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.l2 == 3e-4 and copy.nesterov and copy.momentum == 0.9


def test_schedule_is_the_cosine_of_the_reference():
    config = OptimizerConfig(epochs=3, learning_rate=0.1)
    schedule = setup.optimizer(config, steps_per_epoch=10)._learning_rate
    low = config.final_learning_rate / config.learning_rate
    for step in (0, 7, 15, 29, 30):
        cosine = 0.5 * (1 + np.cos(np.pi * step / 30))
        np.testing.assert_allclose(
            float(schedule(step)), 0.1 * (low + (1 - low) * cosine), rtol=1e-5
        )


def test_decoupled_decay_is_keras_own():
    config = OptimizerConfig(weight_decay=1e-3, weight_decay_mode="decoupled")
    optimizer = setup.optimizer(config, steps_per_epoch=10)
    assert optimizer.weight_decay == 1e-3 and optimizer.l2 == 0.0
