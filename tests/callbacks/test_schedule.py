"""Levels that change in the course of training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.adjustable import LEVELS, Adjustable
from noisymix_tf.callbacks import NoisyMixSchedule, ramp
from noisymix_tf.layers import FeatureNoise
from support import fit_models
from support.trainings import fresh
from support.usage import assert_usage_error


def _watch(target, name):
    """A level before each step, as it goes, and who writes it down."""
    levels = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: levels.append(
            getattr(target, name)
        )
    )
    return levels, watch


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


class _Scale(keras.layers.Layer):
    """A layer of the user's own: anything with an `Adjustable` will do."""

    alpha = Adjustable()

    def __init__(self):
        super().__init__()
        self.alpha = 1.0

    def call(self, x):
        return x * _Scale.alpha.tensor(self)


@pytest.mark.parametrize("by", ["epoch", "step"])
def test_levels_equal_the_function(by):
    """Before every step, in the logs, and in what is computed."""
    dense = keras.layers.Dense(2, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), dense, _Scale()])
    model.compile(keras.optimizers.SGD(0.0), "mae", jit_compile=False)
    x, y = np.ones([8, 2]), np.zeros([8, 2])
    decay = keras.optimizers.schedules.ExponentialDecay(0.8, 2, 0.5)
    for given, expected in (
        (ramp(0.0, 0.6, 3), lambda p: 0.6 * min(p / 3, 1)),
        (1, lambda p: 1.0),
        (decay, lambda p: 0.8 * 0.5 ** (p / 2)),
        (lambda p: np.float32(p) / 4, lambda p: p / 4),
        (lambda p: tf.constant(p / 4), lambda p: p / 4),
    ):
        model.optimizer.iterations.assign(0)
        levels, watch = _watch(model.layers[-1], "alpha")
        callbacks = [NoisyMixSchedule(alpha=given, by=by), watch]
        options = {"batch_size": 2, "verbose": 0, "callbacks": callbacks}
        history = model.fit(x, y, epochs=3, **options).history
        places = np.arange(12) // (4 if by == "epoch" else 1)
        wanted = [expected(int(p)) for p in places]
        np.testing.assert_allclose(levels, wanted, atol=1e-6)
        np.testing.assert_allclose(history["alpha"], wanted[3::4], atol=1e-6)
        means = np.mean(np.reshape(wanted, [3, 4]), axis=1)
        np.testing.assert_allclose(history["loss"], means, rtol=1e-5)
        # A continued run goes on where it stands.
        levels.clear()
        model.optimizer.iterations.assign(4)
        model.fit(x, y, epochs=3, initial_epoch=1, **options)
        np.testing.assert_allclose(levels, wanted[4:], atol=1e-6)


@pytest.mark.parametrize("name", LEVELS)
def test_each_level_of_a_trainer_equals_one_that_stands_still(name):
    """After a first epoch at zero, a second as if it had always been 0.7."""
    zeros = dict.fromkeys(LEVELS, 0)
    moving = fresh("noisymix", **zeros)
    levels, watch = _watch(moving, name)
    given = {**zeros, name: lambda epoch: 0.7 * epoch}
    fit_models.fit(moving, 2, [NoisyMixSchedule(**given), watch])
    assert levels == [0.0] * 4 + [0.7] * 4

    def still(level):
        trainer = fresh("noisymix")
        for each in LEVELS:
            setattr(trainer, each, 0)
        fit_models.fit(trainer, 1)
        setattr(trainer, name, level)
        fit_models.fit(trainer, 2, initial_epoch=1, start=4)
        return trainer.get_weights()

    changes = []
    moved = zip(moving.get_weights(), still(0.7), still(0), strict=True)
    for found, expected, without in moved:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        changes.append(np.abs(found - without).max())
    assert max(changes) > 1e-4


def test_noise_layers_inside_any_model_take_the_value_of_a_first_step():
    """Of several in one execution; those of the trainer are set, too."""
    noise = FeatureNoise(0.0, 0.0, name="noise")
    inner = keras.Sequential([keras.Input((8, 8, 3)), noise], name="inner")
    model = fit_models.model("noisymix", inner, **fit_models.QUIET)
    model.steps_per_execution = 2
    levels, watch = _watch(noise, "additive_noise")
    given = {"additive_noise": lambda step: step, "multiplicative_noise": 0.5}
    schedule = NoisyMixSchedule(**given, by="step")
    history = fit_models.fit(model, 2, [schedule, watch])
    assert levels == [0.0, 2.0, 4.0, 6.0]
    assert history["additive_noise"] == [2.0, 6.0]
    assert noise.multiplicative_noise == 0.5 and model.additive_noise == 6.0


def _fit(kind, *extra, **levels):
    model = fit_models.model(kind, *extra)
    fit_models.fit(model, 1, [NoisyMixSchedule(**levels)])


def test_mistakes_are_one_line():
    for call, words in (
        (lambda: ramp(0, 1, 0), "length=0 must be greater than 0"),
        (lambda: ramp(0, math.inf, 3), "end=inf must be a finite number"),
        (lambda: ramp("0", 1, 3), "start='0' must be a finite number"),
        (lambda: ramp(0, 1, 3, 0, "step"), "shape='step' must be 'linear' or"),
        (lambda: NoisyMixSchedule(), "nothing to set: give at least one of al"),
        (lambda: NoisyMixSchedule(1, by="batch"), "by='batch' must be"),
        (lambda: NoisyMixSchedule("1"), "alpha='1' must be a number or a func"),
        (lambda: NoisyMixSchedule(True), "alpha=True must be"),
        (lambda: _fit("plain", alpha=1), "nothing in the model 'small' has it"),
        (lambda: _fit("plain", FeatureNoise(), alpha=1), "it has additive_noi"),
        (lambda: _fit("noisymix", alpha=-1), "alpha=-1.0 must be a number"),
        (lambda: _fit("noisymix", alpha=lambda p: "a"), "at position 0 is 'a'"),
        (lambda: _fit("noisymix", alpha=lambda p: None), "0 is None"),
    ):
        assert_usage_error(call, words)
