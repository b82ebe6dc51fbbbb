"""Levels that change in the course of training."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.adjustable import Adjustable
from noisymix_tf.callbacks import NoisyMixSchedule, ramp
from noisymix_tf.errors import UsageError
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models

JIT = (False, True)
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


def test_linear_ramp():
    value = ramp(2.0, 6.0, length=4, begin=10)
    expected = {0: 2.0, 10: 2.0, 11: 3.0, 12.5: 4.5, 14: 6.0, 99: 6.0}
    assert {p: value(p) for p in expected} == expected
    falling = ramp(1, 0, 2)
    assert [falling(p) for p in range(4)] == [1.0, 0.5, 0.0, 0.0]


def test_cosine_ramp():
    value = ramp(0.1, 0.7, length=8, shape="cosine")
    for p in range(12):
        share = min(p / 8, 1.0)
        expected = 0.1 + 0.6 * (1 - math.cos(math.pi * share)) / 2
        assert value(p) == pytest.approx(expected, abs=1e-12)
    assert value(0) == 0.1 and value(8) == 0.7  # exactly


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "length=0 must be greater than 0"),
        ((0, math.inf, 3), "end=inf must be a finite number"),
        (("0", 1, 3), "start='0' must be a finite number"),
        ((0, 1, 3, None), "begin=None"),
        ((0, 1, 3, 0, "step"), "shape='step' must be 'linear' or 'cosine'"),
    ],
)
def test_ramps_that_cannot_be(arguments, message):
    with pytest.raises(UsageError, match=message):
        ramp(*arguments)


# Values at every epoch and step.

DECAY = keras.optimizers.schedules.ExponentialDecay(0.8, 2, 0.5)
FUNCTIONS = {
    "ramp": (ramp(0.0, 0.6, 3), lambda p: 0.6 * min(p / 3, 1)),
    "function": (lambda p: 0.1 * p, lambda p: 0.1 * p),
    "constant": (0.25, lambda p: 0.25),
    "int": (1, lambda p: 1.0),
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


def _scaling(*layers, jit_compile=False):
    model = keras.Sequential([keras.Input((2,)), *layers, _Scale()])
    model.compile("sgd", "mae", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("by", ["epoch", "step"])
def test_levels_equal_the_function(function, by):
    given, expected = FUNCTIONS[function]
    model = _scaling(keras.layers.Dense(2))
    watch = _Watch(model.layers[-1], "alpha")
    schedule = NoisyMixSchedule(alpha=given, by=by)
    ones = np.ones([8, 2])
    callbacks = [schedule, watch]
    history = model.fit(
        ones, ones, batch_size=2, epochs=3, verbose=0, callbacks=callbacks
    ).history
    steps = np.arange(12)
    positions = steps if by == "step" else steps // 4
    wanted = [expected(int(p)) for p in positions]
    np.testing.assert_allclose(watch.levels, wanted, atol=1e-6)
    np.testing.assert_allclose(watch.logged, wanted[3::4], atol=1e-6)
    assert history["alpha"] == watch.logged


@pytest.mark.parametrize("by", ["epoch", "step"])
def test_levels_of_a_trainer_equal_the_function(by):
    trainer = fit_models.model("noisymix")
    watch = _Watch(trainer, "jsd_weight")
    schedule = NoisyMixSchedule(jsd_weight=ramp(0.0, 6.0, 12), by=by)
    history = fit_models.fit(trainer, 3, [schedule, watch])
    steps = np.arange(12)
    wanted = (steps if by == "step" else steps // 4) / 2
    np.testing.assert_allclose(watch.levels, wanted, atol=1e-6)
    assert history["jsd_weight"] == watch.logged == list(wanted[3::4])


@pytest.mark.parametrize("by", ["epoch", "step"])
def test_a_continued_run_goes_on_where_it_stands(by):
    """Another process: a new trainer with the old one's weights."""
    value = ramp(0.0, 1.0, 20)
    whole, second = (fit_models.model("noisymix") for _ in range(2))
    watch, half = _Watch(whole, "alpha"), []

    def keep(epoch, logs):
        if epoch == 1:
            half.append(whole.get_weights())
            half.append([v.numpy() for v in whole.optimizer.variables])

    callbacks = [
        NoisyMixSchedule(alpha=value, by=by),
        watch,
        keras.callbacks.LambdaCallback(on_epoch_end=keep),
    ]
    fit_models.fit(whole, 4, callbacks)
    second.set_weights(half[0])
    second.optimizer.build(second.trainable_variables)
    for variable, kept in zip(second.optimizer.variables, half[1]):
        variable.assign(kept)
    rest = _Watch(second, "alpha")
    fit_models.fit(
        second,
        4,
        [NoisyMixSchedule(alpha=value, by=by), rest],
        initial_epoch=2,
        start=8,
    )
    assert rest.levels == watch.levels[8:]
    for a, b in zip(second.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_several_steps_in_one_execution_take_the_value_of_the_first():
    trainer = fit_models.model("noisymix")
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=2,
        jit_compile=False,
    )
    watch = _Watch(trainer, "alpha")
    schedule = NoisyMixSchedule(alpha=lambda step: step, by="step")
    fit_models.fit(trainer, 2, [schedule, watch])
    assert watch.levels == [0.0, 2.0, 4.0, 6.0]


# What they do.


@pytest.mark.parametrize("jit_compile", JIT)
def test_the_weight_of_the_stability_term_takes_effect(jit_compile):
    """loss = cross-entropy + weight * divergence, from a weight of zero on."""
    trainer = fit_models.model(
        "noisymix",
        jit_compile=jit_compile,
        jsd_weight=0,
        **(QUIET if jit_compile else {}),
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


@pytest.fixture(scope="module")
def unmoved():
    """Weights after two epochs with all levels at zero."""
    trainer = fit_models.model("noisymix", **LEVELS)
    fit_models.fit(trainer, 2)
    return trainer.get_weights()


@pytest.mark.parametrize("name", LEVELS)
def test_each_level_of_a_trainer_equals_one_that_stands_still(name, unmoved):
    """After a first epoch at zero, a second as if it had always been 0.7."""
    moving = fit_models.model("noisymix", **LEVELS)
    watch = _Watch(moving, name)
    schedule = NoisyMixSchedule(**{name: lambda epoch: 0.7 * epoch})
    fit_models.fit(moving, 2, [schedule, watch])
    assert watch.traces == watch.traces_at_first

    still = fit_models.model("noisymix", **LEVELS)
    fit_models.fit(still, 1)
    setattr(still, name, 0.7)
    fit_models.fit(still, 2, initial_epoch=1, start=4)
    for a, b in zip(moving.get_weights(), still.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    changes = [
        np.abs(a - b).max() for a, b in zip(moving.get_weights(), unmoved)
    ]
    assert max(changes) > 1e-3


@pytest.mark.parametrize(
    ("kind", "jit_compile"),
    [
        ("plain", False),
        ("noisymix", False),
        pytest.param("noisymix", True, marks=pytest.mark.slow),
    ],
)
def test_noise_layers_inside_any_model(kind, jit_compile):
    noise = FeatureNoise(0.0, 0.0, name="noise")
    inner = keras.Sequential([keras.Input((8, 8, 3)), noise], name="inner")
    model = fit_models.model(
        kind,
        inner,
        jit_compile=jit_compile,
        **(QUIET if kind == "noisymix" else {}),
    )
    watch = _Watch(noise, "additive_noise")
    schedule = NoisyMixSchedule(
        additive_noise=ramp(0.0, 2.0, 2), multiplicative_noise=0.5
    )
    history = fit_models.fit(model, 3, [schedule, watch])
    assert watch.levels == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
    assert history["additive_noise"] == [0.0, 1.0, 2.0]
    assert noise.multiplicative_noise == 0.5
    if kind == "noisymix":
        assert model.additive_noise == 2.0
    assert watch.traces == watch.traces_at_first


def test_noise_in_a_plain_model_takes_effect():
    """Squared noise that a layer adds grows as the level's square."""
    seen = []

    class Measure(keras.layers.Layer):
        def build(self, shape):
            self.total = self.add_weight(
                shape=(), trainable=False, initializer="zeros"
            )

        def call(self, x):
            self.total.assign_add(keras.ops.mean(x**2))
            return x

    measure = Measure()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            FeatureNoise(0.0, 0.0, name="noise"),
            measure,
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    total = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(measure.total))
    )
    schedule = NoisyMixSchedule(additive_noise=lambda epoch: epoch)
    zeros = np.zeros([512, 64], np.float32)
    model.fit(
        zeros,
        zeros[:, :1],
        batch_size=4,
        epochs=3,
        verbose=0,
        callbacks=[schedule, total],
    )
    none, one, two = np.diff([0.0, *seen])
    assert none == 0.0 and one > 0.0
    # Beta(2, 5) has relative spread; over 128 steps of each the mean square
    # 0.107 level^2 * 0.35 is known to 9 % at one sigma.
    assert one / 128 == pytest.approx(0.35 * 6 / 56, rel=0.5)
    assert two / 128 == pytest.approx(4 * 0.35 * 6 / 56, rel=0.5)


@pytest.mark.parametrize("jit_compile", JIT)
def test_a_layer_of_the_users_own(jit_compile):
    schedule = NoisyMixSchedule(alpha=lambda epoch: epoch + 2)
    history = _scaling(jit_compile=jit_compile).fit(
        np.ones([8, 2]),
        np.zeros([8, 2]),
        epochs=3,
        verbose=0,
        callbacks=[schedule],
    )
    assert history.history["loss"] == [2.0, 3.0, 4.0]


def test_two_replicas():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        trainer = fit_models.model("noisymix", jsd_weight=0)
    logs = fit_models.fit(
        trainer, 3, [NoisyMixSchedule(jsd_weight=lambda epoch: 5.0 * epoch)]
    )
    np.testing.assert_allclose(
        logs["loss"],
        logs["cross_entropy"] + np.array([0, 5, 10]) * logs["jsd"],
        rtol=1e-5,
    )


# What cannot be used.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to set: give at least one of alpha"),
        ({"alpha": 1, "by": "batch"}, "by='batch' must be"),
        ({"alpha": "1"}, "alpha='1' must be a number or a function"),
        ({"alpha": True}, "alpha=True must be"),
    ],
)
def test_mistakes_are_found_at_once(arguments, message):
    with pytest.raises(UsageError, match=message):
        NoisyMixSchedule(**arguments)


def test_what_the_model_does_not_have_is_named():
    plain = fit_models.model("plain")
    message = "cannot set alpha: nothing in the model 'small' has it; wrap it"
    with pytest.raises(UsageError, match=message):
        fit_models.fit(plain, 1, [NoisyMixSchedule(alpha=1.0)])
    noisy = fit_models.model("plain", FeatureNoise(name="noise"))
    message = "it has additive_noise, multiplicative_noise"
    with pytest.raises(UsageError, match=message):
        fit_models.fit(noisy, 1, [NoisyMixSchedule(jsd_weight=1.0)])
    assert isinstance(NoisyMix.jsd_weight, Adjustable)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda epoch: -1.0, "jsd_weight=-1.0 must be a number at least 0"),
        (lambda epoch: math.nan, "jsd_weight=nan"),
        (lambda epoch: "much", "at position 0 is 'much'"),
        (lambda epoch: None, "at position 0 is None"),
    ],
)
def test_values_out_of_range_are_named(function, message):
    trainer = fit_models.model("noisymix")
    with pytest.raises(UsageError, match=message):
        fit_models.fit(trainer, 1, [NoisyMixSchedule(jsd_weight=function)])
