"""The optimizer, the learning rate and ramps against their equations."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import fitting
from noisymix_tf.training import setup
from noisymix_tf.training.options import (
    MethodConfig,
    OptimizerConfig,
    parse_ramps,
)
from support import fit_models
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "kind, b, nesterov, mode",
    [
        *[("sgd", 0.9, True, "l2"), ("sgd", 0.9, False, "l2")],
        *[("sgd", 0.0, False, "decoupled"), ("adamw", 0.9, True, "l2")],
        ("lion", 0.8, True, "l2"),
    ],
)
def test_updates_follow_the_equations_under_a_schedule(kind, b, nesterov, mode):
    """In float64, rates and decay of each variable; also of a saved copy."""
    flags = {"optimizer": kind, "momentum": b, "nesterov": nesterov}
    flags |= {"weight_decay": 5e-2, "weight_decay_mode": mode, "epochs": 1}
    flags = OptimizerConfig(clip_norm=2.0, **flags)
    rng, factors = np.random.default_rng(0), (1, 0.5, 3)
    optimizer = setup.optimizer(flags, 10, rate_factors=factors)
    config = keras.optimizers.serialize(optimizer)
    optimizer = keras.optimizers.deserialize(config)
    shapes = {"kernel": [3, 2], "gamma": [4], "bias": [2, 2]}
    weights = [rng.normal(size=shape) for shape in shapes.values()]
    pairs = zip(weights, shapes)
    variables = [keras.Variable(w, dtype="float32", name=n) for w, n in pairs]
    m, v = [0.0] * 3, [0.0] * 3
    for t in range(1, 11):
        rate = float(optimizer.learning_rate)
        size = 0.1 + t % 2  # Every second one is shortened.
        gradients = [rng.normal(scale=size, size=w.shape) for w in weights]
        optimizer.apply([np.float32(g) for g in gradients], variables)
        # All of them together, without the decay.
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        for i, w in enumerate(weights):
            g, step = gradients[i] * min(1, 2.0 / norm), 0.0
            if mode == "l2" and kind == "sgd":
                g += 5e-2 * w
            elif kind == "sgd" or i == 0:  # AdamW and Lion: of the kernel.
                step = 5e-2 * w
            if kind == "sgd":
                m[i] = b * m[i] + g
                step += g + b * m[i] if nesterov else m[i]
            elif kind == "adamw":
                m[i] = b * m[i] + (1 - b) * g
                v[i] = 0.999 * v[i] + 0.001 * g**2
                scale = np.sqrt(1 - 0.999**t) / (1 - b**t)
                step = step + scale * m[i] / (np.sqrt(v[i]) + 1e-7)
            else:
                step = step + np.sign(b * m[i] + (1 - b) * g)
                m[i] = 0.99 * m[i] + 0.01 * g
            weights[i] = w - rate * factors[i] * step
    for variable, w in zip(variables, weights):
        np.testing.assert_allclose(variable.numpy(), w, rtol=1e-5, atol=1e-5)
    build = keras.optimizers.deserialize(config).build
    assert_usage_error(lambda: build(variables[:1]), "3 factors for 1 train")


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lion"])
def test_replicas_update_by_their_sum_and_limit_its_norm(kind):
    """Gradients [[3, 0]] and [[0, 4]] have the norm 5 together."""
    flags = OptimizerConfig(optimizer=kind, clip_norm=1.0, weight_decay=0.2)
    strategy = fit_models.two_replicas()

    def made(scope):
        with scope.scope():
            optimizer = setup.optimizer(flags, 10, rate_factors=[0.5])
            optimizer.build([w := keras.Variable(np.ones([1, 2], np.float32))])
        return (
            w,
            optimizer,
            tf.function(lambda g: optimizer.apply_gradients([(g, w)])),
        )

    w, _, step = made(strategy)
    one, optimizer, _ = made(tf.distribute.get_strategy())
    distributed = strategy.experimental_distribute_values_from_function
    rows = tf.constant([[[3.0, 0.0]], [[0.0, 4.0]]])
    for scale in (1.0, 0.1):
        gradients = distributed(
            lambda c, s=scale: s * rows[c.replica_id_in_sync_group]
        )
        strategy.run(step, args=(gradients,))
        optimizer.apply([tf.constant([[3.0, 4.0]]) * min(scale, 0.2)], [one])
    np.testing.assert_allclose(w.numpy(), one.numpy(), rtol=1e-6)


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
    final = {"final_learning_rate": peak}
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
