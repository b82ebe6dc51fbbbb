"""What every layer of `noisymix_tf.layers` must do, in one place."""

import json

import keras
import numpy as np
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal


def assert_layer_contract(
    layer, *args, tmp_path, expected_shape=None, atol=None
):
    """Of a fresh, named layer; XLA changes a result by `atol`, None at will."""
    x = _array(args[0])
    shape = tuple(x.shape if expected_shape is None else expected_shape)
    config = json.loads(json.dumps(layer.get_config()))

    def copy(**changes):
        return type(layer).from_config({**config, **changes})

    assert copy().get_config() == layer.get_config()
    same = x if shape == x.shape else np.repeat(x[:, None], shape[1], axis=1)
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        layer = copy(dtype=policy)
        start = layer.get_weights()
        for training in (False, True):
            y = layer(*args, training=training)
            assert y.dtype == layer.compute_dtype and tuple(y.shape) == shape
            assert np.isfinite(_array(y)).all(), policy
            if policy == "float32":
                assert (_array(y) == same).all() == (not training)
            if not training:
                for a, b in zip(start, layer.get_weights(), strict=True):
                    assert_array_equal(a, b)
        assert not layer.trainable_weights
    _assert_compiles(copy, args, atol)
    _assert_saves(copy(), args, shape, tmp_path)


def _array(x):
    return tf.cast(x, tf.float32).numpy()


def _assert_compiles(copy, args, atol):
    layer = copy()
    start = layer.get_weights()

    def calls(call):
        layer.set_weights(start)
        return [_array(call(*args, training=True)) for _ in range(2)]

    eager, program = calls(copy()), tf.function(layer, jit_compile=True)
    assert_array_equal(calls(layer), eager)
    assert_allclose(calls(tf.function(layer)), eager, atol=atol or 1e-6)
    compiled = calls(program)
    if atol is None:
        # XLA has a random generator of its own.
        assert_array_equal(calls(program), compiled)
        assert np.isfinite(compiled).all()
        assert (compiled[0] != _array(args[0])).any()
    else:
        assert_allclose(compiled, eager, atol=atol)


def _assert_saves(layer, args, shape, tmp_path):
    args = list(args)
    inputs = tf.nest.map_structure(
        lambda each: keras.Input(each.shape[1:], dtype=each.dtype), args
    )
    model = keras.Model(inputs, layer(*inputs))
    assert tuple(model.output.shape) == (None, *shape[1:])
    assert model.output.dtype == layer.compute_dtype
    model(args, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer(layer.name)) is type(layer)
    # The state was saved, too: both go on alike.
    for training in (False, True):
        ours, theirs = (m(args, training=training) for m in (loaded, model))
        assert_array_equal(_array(ours), _array(theirs))
