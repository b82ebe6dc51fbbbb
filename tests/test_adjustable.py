"""Numbers that may change while a traced step runs."""

import copy
import functools

import keras
import numpy as np

from noisymix_tf.adjustable import Adjustable
from support.usage import assert_usage_error


@keras.saving.register_keras_serializable("test_adjustable")
class Scaled(keras.Layer):
    rate = Adjustable(high=1.0, meaning="the share that is kept")
    bias = Adjustable()

    def __init__(self, rate=0.5, bias=0.0, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.bias = rate, bias

    def call(self, x):
        return x * Scaled.rate.tensor(self) + Scaled.bias.tensor(self)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "bias": self.bias}


def test_it_is_read_set_and_saved_like_the_float_of_its_owner(tmp_path):
    a, b = Scaled(rate=np.float64(0.1), bias=2), Scaled(rate=0.2)
    c = copy.deepcopy(b)
    c.rate = 0.3
    # Not the nearest float32, and a type that JSON knows.
    assert [layer.rate for layer in (a, b, c)] == [0.1, 0.2, 0.3]
    assert type(a.rate) is type(a.bias) is float
    values = [float(Scaled.rate.tensor(layer)) for layer in (a, b, c)]
    np.testing.assert_allclose(values, [0.1, 0.2, 0.3], rtol=1e-6)
    # What was not assigned is missing.
    assert not hasattr(Scaled.__new__(Scaled), "rate")
    # It is no weight, and is saved by the config only.
    model = keras.Sequential([keras.Input((2,)), Scaled(rate=0.1)])
    model.layers[0].rate = 0.7
    assert model.weights == []
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].rate == 0.7
    # What is out of range is refused, and the old value stays.
    layer = Scaled(rate=0.5)
    for value in (-0.1, 1.5, float("nan"), "1", 10**400):
        call = functools.partial(setattr, layer, "rate", value)
        words = f"rate={value!r} must be a number in [0, 1]: it is the share th"
        assert_usage_error(call, words)
    words = "must be a number at least 0."
    assert_usage_error(lambda: setattr(layer, "bias", float("inf")), words)
    assert (layer.rate, layer.bias) == (0.5, 0.0)
