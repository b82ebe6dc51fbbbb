"""Numbers that may change while a traced step runs."""

import copy
import functools

import keras
import numpy as np

from noisymix_tf.layers import FeatureNoise
from support.usage import assert_usage_error


def test_it_is_read_set_and_saved_like_the_float_of_its_owner(tmp_path):
    a, b = FeatureNoise(np.float64(0.1), 2), FeatureNoise(0.2)
    c = copy.deepcopy(b)
    c.additive_noise = 0.3
    # Not the nearest float32, and a type that JSON knows.
    assert [layer.additive_noise for layer in (a, b, c)] == [0.1, 0.2, 0.3]
    assert type(a.additive_noise) is type(a.multiplicative_noise) is float
    tensor = FeatureNoise.additive_noise.tensor
    np.testing.assert_allclose([*map(tensor, (a, b, c))], [0.1, 0.2, 0.3])
    # What was not assigned is missing.
    assert not hasattr(FeatureNoise.__new__(FeatureNoise), "additive_noise")
    # It is no weight, as the number of calls is, and saved by the config only.
    model = keras.Sequential([keras.Input((2,)), a])
    a.additive_noise = 0.7
    assert len(model.weights) == 1
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].additive_noise == 0.7
    # What is out of range is refused, and the old value stays.
    for value in (-0.1, 1.5, float("nan"), "1", 10**400):
        call = functools.partial(setattr, a, "noise_sparsity", value)
        words = f"noise_sparsity={value!r} must be a number in [0, 1]: it is a"
        assert_usage_error(call, words)
    call = functools.partial(setattr, a, "multiplicative_noise", float("inf"))
    assert_usage_error(call, "must be a number at least 0.")
    assert (a.noise_sparsity, a.multiplicative_noise) == (0.65, 2.0)
