"""Levels that change in the course of training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.adjustable import Adjustable
from noisymix_tf.callbacks import NoisyMixSchedule, ramp
from noisymix_tf.layers import FeatureNoise
from support import fit_models, fresh_models
from support.usage import assert_usage_error

# XLA takes seconds to compile each of these, whatever the test is about.
QUIET = {"mixing": "none", "additive_noise": 0, "multiplicative_noise": 0}


class _Watch(keras.callbacks.Callback):
    """Notes a level before each step, and what the logs have."""

    def __init__(self, target, name):
        super().__init__()
        self.target, self.name = target, name
        self.levels, self.logged, self.traces = [], [], 0
        self.traces_at_first = None

    def set_model(self, model):
        super().set_model(model)
        train_step = type(model).train_step

        def counted(data):
            self.traces += 1
            return train_step(model, data)

        object.__setattr__(model, "train_step", counted)

    def on_train_batch_begin(self, batch, logs=None):
        self.levels.append(getattr(self.target, self.name))

    def on_train_batch_end(self, batch, logs=None):
        # The first call traces twice where it makes the optimizer's variables.
        if self.traces_at_first is None:
            self.traces_at_first = self.traces

    def on_epoch_end(self, epoch, logs=None):
        self.logged.append((logs or {}).get(self.name))


# Ramps.


def test_ramps_are_lines_and_half_waves():
    value = ramp(2.0, 6.0, length=4, begin=10)
    expected = {0: 2.0, 10: 2.0, 11: 3.0, 12.5: 4.5, 14: 6.0, 99: 6.0}
    assert {p: value(p) for p in expected} == expected
    assert [ramp(1, 0, 2)(p) for p in range(4)] == [1.0, 0.5, 0.0, 0.0]
    value = ramp(0.1, 0.7, length=8, shape="cosine")
    for p in range(12):
        wave = (1 - math.cos(math.pi * min(p / 8, 1.0))) / 2
        assert value(p) == pytest.approx(0.1 + 0.6 * wave, abs=1e-12)
    assert value(0) == 0.1 and value(8) == 0.7  # exactly


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1, 0), "length=0 must be greater than 0"),
        ((0, math.inf, 3), "end=inf must be a finite number"),
        (("0", 1, 3), "start='0' must be a finite number"),
        ((0, 1, 3, None), "begin=None"),
        ((0, 1, 3, 0, "step"), "shape='step' must be 'linear' or 'cosine'"),
    ],
)
def test_ramps_that_cannot_be(arguments, words):
    assert_usage_error(lambda: ramp(*arguments), words)


# Values at every epoch and step.

DECAY = keras.optimizers.schedules.ExponentialDecay(0.8, 2, 0.5)
FUNCTIONS = {
    "ramp": (ramp(0.0, 0.6, 3), lambda p: 0.6 * min(p / 3, 1)),
    "constant": (1, lambda p: 1.0),
    "keras": (DECAY, lambda p: 0.8 * 0.5 ** (p / 2)),
    "numpy": (lambda p: np.float32(p) / 4, lambda p: p / 4),
    "tensor": (lambda p: tf.constant(p / 4), lambda p: p / 4),
}


class _Scale(keras.layers.Layer):
    """A layer of the user's own: anything with an `Adjustable` will do."""

    alpha = Adjustable()

    def __init__(self):
        super().__init__()
        self.alpha = 1.0

    def call(self, x):
        return x * _Scale.alpha.tensor(self)


@pytest.fixture(scope="module")
def scaling():
    dense = keras.layers.Dense(2, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), dense, _Scale()])
    model.compile(keras.optimizers.SGD(0.0), "mae", jit_compile=False)
    return model


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("by", ["epoch", "step"])
def test_levels_equal_the_function(scaling, function, by):
    """Before every step, in the logs, and in what is computed."""
    given, expected = FUNCTIONS[function]
    scaling.optimizer.iterations.assign(0)
    watch = _Watch(scaling.layers[-1], "alpha")
    history = scaling.fit(
        np.ones([8, 2]),
        np.zeros([8, 2]),
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=[NoisyMixSchedule(alpha=given, by=by), watch],
    ).history
    steps = np.arange(12)
    positions = steps if by == "step" else steps // 4
    wanted = [expected(int(p)) for p in positions]
    np.testing.assert_allclose(watch.levels, wanted, atol=1e-6)
    np.testing.assert_allclose(watch.logged, wanted[3::4], atol=1e-6)
    assert history["alpha"] == watch.logged
    means = np.mean(np.reshape(wanted, [3, 4]), axis=1)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)


def test_several_steps_in_one_execution_take_the_value_of_the_first():
    trainer = fit_models.model("noisymix", **QUIET)
    trainer.steps_per_execution = 2
    watch = _Watch(trainer, "alpha")
    schedule = NoisyMixSchedule(alpha=lambda step: step, by="step")
    fit_models.fit(trainer, 2, [schedule, watch])
    assert watch.levels == [0.0, 2.0, 4.0, 6.0]


# What they do.


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_weight_of_the_stability_term_takes_effect(jit_compile):
    """loss = cross-entropy + weight * divergence, from a weight of zero on."""
    trainer = fit_models.model(
        "noisymix", jit_compile=jit_compile, jsd_weight=0, **QUIET
    )
    weights = [0.0, 3.0, 12.0, 0.0]
    watch = _Watch(trainer, "jsd_weight")
    schedule = NoisyMixSchedule(jsd_weight=lambda epoch: weights[epoch])
    logs = fit_models.fit(trainer, 4, [schedule, watch])
    np.testing.assert_allclose(
        logs["loss"],
        np.array(logs["cross_entropy"]) + weights * np.array(logs["jsd"]),
        rtol=1e-5,
    )
    assert min(logs["jsd"]) > 1e-3
    assert watch.traces == watch.traces_at_first


LEVELS = {"alpha": 0, "additive_noise": 0, "multiplicative_noise": 0}


@pytest.mark.parametrize("name", LEVELS)
def test_each_level_of_a_trainer_equals_one_that_stands_still(name):
    """After a first epoch at zero, a second as if it had always been 0.7."""
    moving = fresh_models.get("noisymix", **LEVELS)
    watch = _Watch(moving, name)
    given = {**LEVELS, name: lambda epoch: 0.7 * epoch}
    fit_models.fit(moving, 2, [NoisyMixSchedule(**given), watch])
    assert watch.traces == watch.traces_at_first

    def still(level):
        trainer = fresh_models.get("noisymix")
        for each in LEVELS:
            setattr(trainer, each, 0)
        fit_models.fit(trainer, 1)
        setattr(trainer, name, level)
        fit_models.fit(trainer, 2, initial_epoch=1, start=4)
        return trainer.get_weights()

    for a, b in zip(moving.get_weights(), still(0.7), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    pairs = zip(moving.get_weights(), still(0))
    assert max(np.abs(a - b).max() for a, b in pairs) > 1e-3


def test_noise_layers_inside_any_model():
    noise = FeatureNoise(0.0, 0.0, name="noise")
    inner = keras.Sequential([keras.Input((8, 8, 3)), noise], name="inner")
    model = fit_models.model("noisymix", inner, **QUIET)
    watch = _Watch(noise, "additive_noise")
    schedule = NoisyMixSchedule(
        additive_noise=ramp(0.0, 2.0, 2), multiplicative_noise=0.5
    )
    history = fit_models.fit(model, 3, [schedule, watch])
    assert watch.levels == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
    assert history["additive_noise"] == [0.0, 1.0, 2.0]
    assert noise.multiplicative_noise == 0.5 and model.additive_noise == 2.0
    assert watch.traces == watch.traces_at_first


# What cannot be used.


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (None, {}, "nothing to set: give at least one of alpha"),
        (None, {"alpha": 1, "by": "batch"}, "by='batch' must be"),
        (None, {"alpha": "1"}, "alpha='1' must be a number or a function"),
        (None, {"alpha": True}, "alpha=True must be"),
        ("plain", {"alpha": 1.0}, "nothing in the model 'small' has it; wrap"),
        ("noisy", {"jsd_weight": 1.0}, "it has additive_noise, multiplicative"),
        ("noisymix", {"alpha": lambda epoch: -1.0}, "alpha=-1.0 must be a num"),
        (
            "noisymix",
            {"alpha": lambda epoch: "much"},
            "at position 0 is 'much'",
        ),
        ("noisymix", {"alpha": lambda epoch: None}, "at position 0 is None"),
    ],
)
def test_mistakes_are_one_line(kind, arguments, words):
    def use():
        schedule = NoisyMixSchedule(**arguments)
        if kind == "noisy":
            model = fit_models.model("plain", FeatureNoise(name="noise"))
        else:
            model = fresh_models.get(kind)
        fit_models.fit(model, 1, [schedule])

    assert_usage_error(use, words)
