"""Fused batch normalisation against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training.fused_norm import FusedNormModel


def _models(**arguments):
    """A plain network with a batch normalisation, and its fused twin."""
    inputs = keras.Input((6, 5, 3))
    x = keras.layers.BatchNormalization(name="norm", **arguments)(inputs)
    plain = keras.Model(inputs, x)
    layer = plain.get_layer("norm")
    if layer.scale:
        layer.gamma.assign([0.5, 1.0, 2.0])
    if layer.center:
        layer.beta.assign([-1.0, 0.0, 1.0])
    return plain, FusedNormModel(inputs, x)


def _train(model, x, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
    watched = [x, *model.trainable_variables]
    return [y, *tape.gradient(loss, watched)]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": 0.3, "epsilon": 1e-5},
        {"scale": False},
        {"center": False},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_values_gradients_and_statistics_are_those_of_keras(
    arguments, jit_compile
):
    plain, fused = _models(**arguments)
    twin, _ = _models(**arguments)
    x = tf.random.stateless_normal([4, 6, 5, 3], [0, 1], mean=2.0, stddev=3.0)
    upstream = tf.random.stateless_normal(x.shape, [0, 2])
    expected = _train(twin, x, upstream)
    run = tf.function(_train, jit_compile=jit_compile)
    for ours, theirs in zip(run(fused, x, upstream), expected):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(
            tf.cast(ours, tf.float32),
            tf.cast(theirs, tf.float32),
            atol=1e-2 if "dtype" in arguments else 2e-5,
        )
    # The fused model moves the statistics of the very layer that it shares.
    for ours, theirs in zip(
        plain.non_trainable_variables, twin.non_trainable_variables
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_only_training_of_plain_layers_is_fused(monkeypatch):
    from noisymix_tf.training import fused_norm

    calls = []
    original = fused_norm.batch_normalization
    monkeypatch.setattr(
        fused_norm,
        "batch_normalization",
        lambda layer, x: calls.append(layer) or original(layer, x),
    )
    x = tf.random.stateless_normal([2, 6, 5, 3], [0, 1])
    plain, fused = _models()
    np.testing.assert_array_equal(
        fused(x, training=False), plain(x, training=False)
    )
    assert not calls
    fused(x, training=True)
    assert len(calls) == 1
    plain.get_layer("norm").trainable = False
    np.testing.assert_array_equal(
        fused(x, training=True), plain(x, training=True)
    )
    inputs = keras.Input((6, 5, 3))
    for arguments in ({"synchronized": True}, {"axis": 1}):
        layer = keras.layers.BatchNormalization(**arguments)
        FusedNormModel(inputs, layer(inputs))(x, training=True)
    assert len(calls) == 1
