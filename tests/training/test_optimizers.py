"""The optimizer against its equations, and the schedule's end points."""

import keras
import numpy as np
import pytest
import tensorflow as tf

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


@pytest.mark.parametrize("mode", ["l2", "decoupled"])
def test_the_norm_of_all_gradients_is_limited_without_the_decay(mode):
    config = OptimizerConfig(
        learning_rate=0.1,
        momentum=0.0,
        nesterov=False,
        weight_decay=0.2,
        weight_decay_mode=mode,
        clip_norm=2.0,
    )
    optimizer = setup.optimizer(config, steps_per_epoch=1000)
    starts = [np.array([1.0, 2.0]), np.array([[3.0]])]
    variables = [keras.Variable(w.astype("float32")) for w in starts]
    long = [np.array([3.0, 0.0]), np.array([[4.0]])]
    short = [np.array([0.3, 0.0]), np.array([[0.4]])]
    for gradients, factor in ((long, 2.0 / 5.0), (short, 1.0)):
        before = [v.numpy().astype(np.float64) for v in variables]
        rate = float(optimizer.learning_rate)
        optimizer.apply([g.astype("float32") for g in gradients], variables)
        for w, g, v in zip(before, gradients, variables):
            decayed = w - rate * 0.2 * w
            np.testing.assert_allclose(
                v.numpy(), decayed - rate * factor * g, rtol=1e-5
            )


def test_replicas_limit_the_norm_of_their_sum():
    """Gradients [3, 0] and [0, 4] have the norm 5 together."""
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        w = keras.Variable(np.zeros(2, np.float32))
        optimizer = L2SGD(1.0, global_clipnorm=1.0)
        optimizer.build([w])

    @tf.function
    def step():
        def replica():
            index = tf.distribute.get_replica_context()
            index = index.replica_id_in_sync_group
            gradient = tf.gather([[3.0, 0.0], [0.0, 4.0]], index)
            optimizer.apply_gradients([(gradient, w)])

        strategy.run(replica)

    step()
    np.testing.assert_allclose(w.numpy(), [-0.6, -0.8], rtol=1e-6)


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
