"""What every layer of `noisymix_tf.layers` must do, in one place."""

import json

import keras
import numpy as np
import tensorflow as tf

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def assert_layer_contract(
    layer, *args, tmp_path, expected_shape=None, atol=None
):
    """Checks a fresh layer that changes its input in training only.

    Args:
        layer: A layer that was not called yet, with a name of its own.
        *args: Positional arguments of a call, the first a batch of tensors.
        tmp_path: Folder to save in.
        expected_shape: Shape of the output; by default that of the first one.
        atol: By how much a result may change when XLA compiles it; None where
            XLA draws other numbers.
    """
    x = args[0]
    shape = tuple(x.shape if expected_shape is None else expected_shape)
    config = json.loads(json.dumps(layer.get_config()))

    def copy(**changes):
        return type(layer).from_config({**config, **changes})

    assert copy().get_config() == layer.get_config()
    _assert_policies(copy, args, shape)
    _assert_identity_at_inference(copy(), args, shape)
    _assert_compiles(copy, args, atol)
    _assert_saves(copy(), args, shape, tmp_path)


def _array(x):
    return tf.cast(x, tf.float32).numpy()


def _assert_policies(copy, args, shape):
    for policy in POLICIES:
        layer = copy(dtype=policy)
        for training in (True, False):
            y = layer(*args, training=training)
            assert y.dtype == layer.compute_dtype, policy
            assert tuple(y.shape) == shape
            assert np.isfinite(_array(y)).all(), policy
        assert all(not w.trainable for w in layer.weights)


def _assert_identity_at_inference(layer, args, shape):
    before = [w.numpy() for w in layer.weights]
    y = _array(layer(*args, training=False))
    x = _array(args[0])
    if shape != x.shape:
        x = np.repeat(x[:, np.newaxis], shape[1], axis=1)
    np.testing.assert_array_equal(y, x)
    for a, b in zip(before, layer.weights):
        np.testing.assert_array_equal(a, b.numpy())
    assert (_array(layer(*args, training=True)) != y).any()


def _assert_compiles(copy, args, atol):
    """And repeats its draws from a configuration, or from its weights."""

    def calls(layer, call=None):
        call = call or layer
        return [_array(call(*args, training=True)) for _ in range(2)]

    eager = calls(copy())
    np.testing.assert_array_equal(calls(copy()), eager)
    layer = copy()
    start = layer.get_weights()
    graph = calls(layer, tf.function(layer))
    np.testing.assert_allclose(graph, eager, atol=atol or 1e-6)
    program = tf.function(layer, jit_compile=True)
    layer.set_weights(start)
    compiled = calls(layer, program)
    if atol is None:
        # XLA has a random generator of its own.
        layer.set_weights(start)
        np.testing.assert_array_equal(calls(layer, program), compiled)
        assert np.isfinite(compiled).all()
        assert (compiled[0] != _array(args[0])).any()
    else:
        np.testing.assert_allclose(compiled, eager, atol=atol)


def _assert_saves(layer, args, shape, tmp_path):
    """In a functional model, of any batch size, with the state it is in."""
    inputs = tf.nest.map_structure(
        lambda each: keras.Input(each.shape[1:], dtype=each.dtype), list(args)
    )
    model = keras.Model(inputs, layer(*inputs))
    assert tuple(model.output.shape) == (None, *shape[1:])
    assert model.output.dtype == layer.compute_dtype
    model(list(args), training=True)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert type(loaded.get_layer(layer.name)) is type(layer)
    # The state was saved, too: both go on alike.
    for training in (False, True):
        np.testing.assert_array_equal(
            _array(loaded(list(args), training=training)),
            _array(model(list(args), training=training)),
        )
