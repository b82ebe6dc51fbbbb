"""The noise layer against the pure function, and in plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from noisymix_tf import rng
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.mixing import feature_noise
from support.fit_models import two_replicas
from support.layer_contract import assert_layer_contract
from support.usage import assert_usage_error


def _normal(*shape):
    return tf.random.stateless_normal(shape, [0, 1])


def test_contract(tmp_path):
    layer = FeatureNoise(name="noise", seed=3)
    assert layer.supports_masking
    assert_layer_contract(layer, _normal(4, 3, 3, 2), tmp_path=tmp_path)
    # An exported model has no noise.
    model = keras.Sequential([keras.Input((6,)), FeatureNoise()])
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    assert_array_equal(exported.serve(_normal(5, 6)), _normal(5, 6))


def test_calls_draw_as_the_pure_function_does_and_stay_finite():
    layer = FeatureNoise(0.4, 0.2, 0.5, seed=7, name="here")
    for call, shape in enumerate([(8,), (8, 5), (2, 2, 3, 4, 5)]):
        x, seed = _normal(*shape), rng.stream(7, call, "feature_noise/here")
        expected = feature_noise(x[tf.newaxis], seed, [0.4], [0.2], 0.5)[0]
        assert_array_equal(layer(x, training=True), expected)
        symbolic = keras.Input(shape[1:])
        assert layer(symbolic).shape == symbolic.shape
        assert layer.compute_output_shape(shape) == shape
    layer = FeatureNoise(1.0, 1.0, 0.0, dtype="float16", name="noise")
    for _ in range(10):
        y = layer(tf.fill([4096], tf.constant(3e4, tf.float16)), training=True)
        assert y.dtype == tf.float16 and np.isfinite(y).all()


@pytest.mark.parametrize("jit", [False, True])
def test_levels_change_without_a_new_trace(jit):
    layer, x = FeatureNoise(name="noise"), tf.ones([1000])
    step = tf.function(lambda x: layer(x, training=True), jit_compile=jit)
    assert (step(x).numpy() != 1).any()
    layer.additive_noise = layer.multiplicative_noise = 0.0
    assert_array_equal(step(x), x)
    layer.additive_noise, layer.noise_sparsity = 1.0, 0.0
    assert (step(x).numpy() != 1).all()
    layer.noise_sparsity = 1.0
    assert_array_equal(step(x), x)
    assert step.experimental_get_tracing_count() == 1


def test_two_replicas_draw_different_noise_and_count_steps():
    strategy = two_replicas()
    with strategy.scope():
        layer = FeatureNoise(name="noise")
        parts = keras.layers.Dense(3), FeatureNoise(name="noise")
        model = keras.Sequential([keras.Input([6]), *parts])
    x, alone = tf.zeros([2000]), FeatureNoise(name="noise")
    draws = tf.function(lambda: strategy.run(lambda: layer(x, training=True)))
    for call in range(2):
        first, second = (value.numpy() for value in draws().values)
        # The first replica draws what a single device would.
        assert_array_equal(first, alone(x, training=True))
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(2000)
        assert [int(v) for v in layer.calls.value.values] == [call + 1] * 2
    model.compile("sgd", "mse", jit_compile=False)
    data = tf.data.Dataset.from_tensors((_normal(8, 6), _normal(8, 3)))
    model.fit(data.repeat(3), verbose=0, shuffle=False)
    assert int(model.get_layer("noise").calls.numpy()) == 3


def test_refuses_arguments_and_what_is_no_float():
    refused = assert_usage_error
    refused(lambda: FeatureNoise(-0.1), "additive_noise=-0.1 must be a number")
    refused(lambda: FeatureNoise(0, np.nan), "multiplicative_noise=nan must")
    refused(lambda: FeatureNoise(1, 1, 1.5), "noise_sparsity=1.5 must be a num")
    refused(lambda: FeatureNoise(seed=None), "seed=None must be a whole number")
    eager, symbolic = tf.zeros([2], tf.uint8), keras.Input([3], dtype="uint8")
    refused(lambda: FeatureNoise()(eager), "takes floats, got uint8; scale")
    refused(lambda: FeatureNoise()(symbolic), "takes floats, got uint8; scale")
