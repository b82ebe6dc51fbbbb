"""The optimizer against its equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.config import OptimizerConfig
from noisymix_tf.training import setup
from noisymix_tf.training.optimizers import L2SGD


@pytest.mark.parametrize(
    "momentum, nesterov", [(0.9, True), (0.9, False), (0.0, False)]
)
def test_updates_follow_the_equations_under_a_schedule(momentum, nesterov):
    """PyTorch's documented update, in float64; also of a saved copy."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=5)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10, alpha=1e-5)
    optimizer = L2SGD(schedule, momentum=momentum, nesterov=nesterov, l2=5e-2)
    config = keras.optimizers.serialize(optimizer)
    optimizer = keras.optimizers.deserialize(config)
    variable = keras.Variable(w.astype("float32"))
    buffer = np.zeros_like(w)
    for gradient in rng.normal(size=[10, 5]):
        rate = float(optimizer.learning_rate)
        optimizer.apply([gradient.astype("float32")], [variable])
        g = gradient + 5e-2 * w
        buffer = momentum * buffer + g
        w = w - rate * (g + momentum * buffer if nesterov else buffer)
    np.testing.assert_allclose(variable.numpy(), w, rtol=1e-5)


@pytest.mark.parametrize("mode", ["l2", "decoupled"])
def test_the_norm_of_all_gradients_is_limited_without_the_decay(mode):
    """And each of the two decays shrinks the weights once."""
    plain = {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}
    decay = {"weight_decay": 0.2, "weight_decay_mode": mode}
    config = OptimizerConfig(**plain, **decay, clip_norm=2.0)
    optimizer = setup.optimizer(config, steps_per_epoch=1000)
    assert optimizer.l2 == (0.2 if mode == "l2" else 0.0)
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    for gradients, factor in (
        ([[3.0, 0.0], [[4.0]]], 2.0 / 5.0),
        ([[0.3, 0.0], [[0.4]]], 1.0),
    ):
        before = [v.numpy().astype(np.float64) for v in variables]
        rate = float(optimizer.learning_rate)
        optimizer.apply([np.float32(g) for g in gradients], variables)
        for w, g, v in zip(before, gradients, variables):
            expected = w - rate * 0.2 * w - rate * factor * np.array(g)
            np.testing.assert_allclose(v.numpy(), expected, rtol=1e-5)


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

    def replica():
        context = tf.distribute.get_replica_context()
        gradients = tf.constant([[3.0, 0.0], [0.0, 4.0]])
        number = context.replica_id_in_sync_group
        optimizer.apply_gradients([(tf.gather(gradients, number), w)])

    tf.function(lambda: strategy.run(replica))()
    np.testing.assert_allclose(w.numpy(), [-0.6, -0.8], rtol=1e-6)
