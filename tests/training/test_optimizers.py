"""The optimizer, the learning rate and ramps against their equations."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import fitting
from noisymix_tf.training import optimizers, setup
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.options import (
    MethodConfig,
    OptimizerConfig,
    parse_ramps,
)
from support import fit_models
from support.usage import assert_usage_error


@pytest.mark.parametrize("momentum, nesterov", [(0.9, 1), (0.9, 0), (0.0, 0)])
def test_updates_follow_the_equations_under_a_schedule(momentum, nesterov):
    """PyTorch's documented update, in float64; also of a saved copy."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=5)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10, alpha=1e-5)
    options = {"momentum": momentum, "nesterov": bool(nesterov), "l2": 5e-2}
    optimizer = L2SGD(schedule, **options)
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
    options = {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}
    options |= {"weight_decay": 0.2, "weight_decay_mode": mode}
    options["clip_norm"] = 2.0
    optimizer = setup.optimizer(OptimizerConfig(**options), 1000)
    assert optimizer.l2 == (0.2 if mode == "l2" else 0.0)
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    for scale, factor in ((10.0, 2.0 / 5.0), (1.0, 1.0)):
        gradients = [np.float32([0.3, 0.0]) * scale, [[0.4 * scale]]]
        before = [v.numpy().astype(np.float64) for v in variables]
        rate = float(optimizer.learning_rate)
        optimizer.apply([np.float32(g) for g in gradients], variables)
        for w, g, v in zip(before, gradients, variables):
            expected = w - rate * 0.2 * w - rate * factor * np.array(g)
            np.testing.assert_allclose(v.numpy(), expected, rtol=1e-5)


def test_replicas_limit_the_norm_of_their_sum():
    """Gradients [3, 0] and [0, 4] have the norm 5 together."""
    strategy = fit_models.two_replicas()
    with strategy.scope():
        w = keras.Variable(np.zeros(2, np.float32))
        optimizer = L2SGD(1.0, global_clipnorm=1.0)
        optimizer.build([w])
    distributed = strategy.experimental_distribute_values_from_function
    rows = tf.constant([[3.0, 0.0], [0.0, 4.0]])
    gradients = distributed(lambda c: rows[c.replica_id_in_sync_group])
    step = tf.function(lambda g: optimizer.apply_gradients([(g, w)]))
    strategy.run(step, args=(gradients,))
    np.testing.assert_allclose(w.numpy(), [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("base, peak", [(None, 0.1), (256, 0.4)])
@pytest.mark.parametrize("warmup", [0, 15])
def test_flags_count_epochs_and_scale_with_the_batch(base, peak, warmup):
    options = {"learning_rate": 0.1, "final_learning_rate": 1e-3, "epochs": 6}
    options |= {"batch_size": 512, "base_batch_size": base}
    options |= {"accumulation_steps": 2, "warmup_epochs": warmup / 10}

    def schedule(**more):
        flags = OptimizerConfig(**{**options, **more})
        made = setup.optimizer(flags, 10).get_config()
        return keras.optimizers.schedules.deserialize(made["learning_rate"])

    rate = schedule()
    for step in (0, 1, 14, 15, 16, 30, 59, 60):
        u = (step - warmup) / (60 - warmup)
        cosine = 1e-3 + (peak - 1e-3) * (1 + math.cos(math.pi * u)) / 2
        expected = cosine if u >= 0 else peak * step / warmup
        assert float(rate(step)) == pytest.approx(expected, 2e-5, 1e-9)
    # One that ends as it begins knows no epochs: such a run can be extended.
    final = {"final_learning_rate": optimizers.peak_rate(0.1, 1024, base)}
    few, many = schedule(**final), schedule(**final, epochs=60)
    assert all(float(few(s)) == float(many(s)) for s in range(60))
    call = functools.partial(OptimizerConfig, epochs=5, warmup_epochs=5)
    assert_usage_error(call, "--warmup_epochs=5 leaves nothing")


def test_a_level_goes_evenly_between_shares_or_is_refused():
    assert fitting.schedule(MethodConfig(), 200) is None
    # Ramps of a level go on from each other, with a plateau in between.
    several = "jsd_weight:12:0.1:0.25 jsd_weight:3:0.5:0.75 alpha:0:0.5:1"
    for texts, start, expected in (
        ("alpha:0:0.5:1", 2.0, {0: 2, 100: 2, 125: 1.5, 150: 1, 200: 0}),
        (several, 0.0, {0: 0, 20: 0, 35: 6, 50: 12, 99: 12, 125: 7.5}),
    ):
        name, texts = texts.split(":")[0], texts.split()
        config = MethodConfig(ramps=texts, **{name: start})
        levels = fitting.schedule(config, 200)._values  # Called each step.
        assert set(levels) == {text.split(":")[0] for text in texts}
        found = {step: levels[name](step) for step in expected}
        assert found == pytest.approx(expected)
    for bad in (
        *("beta:0:0:1", "alpha:0:1", "alpha:zero:0:1", "alpha:0:0:1:1"),
        *("alpha:-1:0:1", "alpha:inf:0:1", "alpha:0:0.5:0.5", "alpha"),
        *("alpha:0:0.5:1.5", "alpha:0:-0.5:1", "alpha:0:nan:1"),
    ):
        call = functools.partial(parse_ramps, [bad])
        assert_usage_error(call, f"--ramps: {bad!r} must be NAME:END:FROM:TO")
    # Of what the method has not, and two that overlap.
    for texts, values, words in (
        ("alpha:0:0:1", {"mixing": "none"}, "--mixing=none"),
        ("jsd_weight:0:0:1", {"stability": "none"}, "--stability=none"),
        ("alpha:0:0.5:1 alpha:1:0.4:0.6", {}, "before the ramp of alpha"),
    ):
        call = functools.partial(MethodConfig, ramps=texts.split(), **values)
        assert_usage_error(call, words)
