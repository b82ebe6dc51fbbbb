"""Numbers that may change while a traced step runs."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.adjustable import Adjustable
from noisymix_tf.errors import UsageError


@keras.saving.register_keras_serializable("test_adjustable")
class Scaled(keras.Layer):
    rate = Adjustable(high=1.0, meaning="the share that is kept")
    bias = Adjustable()

    def __init__(self, rate=0.5, bias=0.0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.bias = bias

    def call(self, x):
        return x * Scaled.rate.tensor(self) + Scaled.bias.tensor(self)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "bias": self.bias}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_assignments_reach_what_is_traced_without_a_new_trace(jit_compile):
    layer = Scaled(rate=0.5)
    step = tf.function(lambda x: layer(x), jit_compile=jit_compile)
    assert float(step(tf.constant(2.0))) == 1.0
    layer.rate = 0.25
    layer.bias = 3
    assert float(step(tf.constant(2.0))) == 3.5
    assert step.experimental_get_tracing_count() == 1


def test_it_reads_like_the_float_that_was_assigned():
    layer = Scaled(rate=np.float64(0.1), bias=2)
    # Not the nearest float32, and a type that JSON knows.
    assert layer.rate == 0.1 and type(layer.rate) is float
    assert layer.bias == 2.0 and type(layer.bias) is float
    assert layer.get_config()["rate"] == 0.1
    assert Scaled.rate.high == 1.0


def test_each_owner_has_its_own():
    a, b = Scaled(rate=0.1), Scaled(rate=0.2)
    c = copy.deepcopy(b)
    c.rate = 0.3
    values = [float(Scaled.rate.tensor(layer)) for layer in (a, b, c)]
    np.testing.assert_allclose(values, [0.1, 0.2, 0.3], rtol=1e-6)
    assert [layer.rate for layer in (a, b, c)] == [0.1, 0.2, 0.3]


def test_it_is_no_weight_and_is_saved_by_the_config_only(tmp_path):
    layer = Scaled(rate=0.1, name="scaled")
    model = keras.Sequential([keras.Input((2,)), layer])
    layer.rate = 0.7
    assert model.weights == []
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("scaled").rate == 0.7
    model.save_weights(tmp_path / "model.weights.h5")
    layer.rate = 0.2
    model.load_weights(tmp_path / "model.weights.h5")
    assert layer.rate == 0.2


def test_a_callback_may_assign_during_fit():
    seen = []

    class Ramp(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.layers[1].rate = batch / 4

        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    ones = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), ones, Scaled()])
    # The loss is the mean of the outputs, which are the rate.
    model.compile(
        keras.optimizers.SGD(0.0), loss=lambda y, p: p, jit_compile=False
    )
    data = tf.data.Dataset.from_tensors((tf.ones([2, 1]), tf.ones([2, 1])))
    model.fit(data.repeat(4), verbose=0, callbacks=[Ramp()], shuffle=False)
    # What a batch logs is the mean so far.
    np.testing.assert_allclose(seen, [0.0, 0.125, 0.25, 0.375], rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), None, "1", True])
def test_refuses_what_is_out_of_range_and_keeps_the_old(value):
    layer = Scaled(rate=0.5)
    with pytest.raises(UsageError) as error:
        layer.rate = value
    message = str(error.value)
    assert message.startswith(f"rate={value!r} must be a number in [0, 1]")
    assert message.endswith("it is the share that is kept.")
    assert "\n" not in message
    assert layer.rate == 0.5
    for value in (float("inf"), 1e300, 10**400):
        with pytest.raises(UsageError, match=r"bias=.* at least 0"):
            layer.bias = value


def test_an_attribute_that_was_not_assigned_is_missing():
    class Bare:
        rate = Adjustable()

    assert not hasattr(Bare(), "rate")
    with pytest.raises(AttributeError, match="rate"):
        Bare.rate.tensor(Bare())
