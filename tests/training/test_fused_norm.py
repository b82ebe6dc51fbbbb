"""Fused batch normalisation against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import segments

layers = keras.layers
Norm = layers.BatchNormalization
TRAINING = {"training": True}


def _layer(**arguments):
    layer = Norm(**arguments)
    layer.build((None, 6, 5, 3))
    values = [0.5, 1, 2], [-1, 0, 1]
    for weight, value in zip(layer.trainable_weights, values):
        weight.assign(value)
    return layer


def _train(call, layer, x):
    """Output, and the gradients of the input and of the layer's weights."""
    upstream = tf.random.stateless_normal(x.shape, [0, 2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(layer, x)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


CASES = [{"momentum": 0.3, "epsilon": 1e-2}, {"center": False, "axis": 3}]
CASES += [{}, {"scale": False}, {"dtype": "bfloat16"}, {"size": (2, 64, 64)}]
CASES += [{"dtype": "mixed_bfloat16"}, {"dtype": "mixed_float16"}]
# The biased variance of a single value is 0; an unbiased one is not.
CASES += [{"size": (1, 1, 1)}]


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_values_gradients_and_statistics_are_those_of_keras(arguments):
    arguments = dict(arguments)
    size = arguments.pop("size", (4, 6, 5))
    layer, twin = (_layer(**arguments) for _ in range(2))
    x = tf.random.stateless_normal([*size, 3], [0, 1], mean=2.0, stddev=3.0)
    assert segments.fuses(layer, (x,), TRAINING)
    ours = _train(segments.fused_batch_normalization, layer, x)
    expected = _train(lambda twin, x: twin(x, training=True), twin, x)
    # Of a single value the gradient is rounding, times a thousand.
    scale = 1.0 if np.prod(size) > 4 else 100.0
    atol = scale * (1e-2 if "dtype" in arguments else 2e-5)
    pairs = [(*pair, 1e-4, atol) for pair in zip(ours, expected)]
    weights = zip(layer.variables, twin.variables)
    for mine, theirs, *tolerance in pairs + [(*w, 1e-5, 1e-7) for w in weights]:
        assert mine.dtype == theirs.dtype
        mine, theirs = (tf.cast(y, tf.float32) for y in (mine, theirs))
        np.testing.assert_allclose(mine, theirs, *tolerance)


def test_whatever_else_a_layer_does_is_left_to_it(monkeypatch):
    images, mask = tf.zeros([2, 3, 3, 3]), tf.ones([2, 3, 3], tf.bool)
    options = {"axis": 1, "synchronized": True, "renorm": True}
    options |= {"trainable": False, "dtype": "float64"}
    options["activity_regularizer"] = "l2"
    others = [type("Own", (Norm,), {})(), layers.LayerNormalization()]
    for layer in (*others, *(Norm(**{k: options[k]}) for k in options)):
        assert not segments.fuses(layer, (images,), TRAINING)
    for kwargs in ({}, {"training": False}, {**TRAINING, "mask": mask}):
        assert not segments.fuses(Norm(), (images,), kwargs)
    masked = tf.zeros([2, 3, 3, 3])
    keras.src.backend.set_keras_mask(masked, mask)
    for x in (masked, tf.zeros([2, 3])):
        assert not segments.fuses(Norm(), (x,), TRAINING)
    # The kernel would ignore an option of a later Keras.
    layer = Norm()
    assert segments.fuses(layer, (images,), TRAINING)
    config = {**layer.get_config(), "debiased": True}
    monkeypatch.setattr(Norm, "get_config", lambda self: config)
    assert not segments.fuses(layer, (images,), TRAINING)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_what_xla_compiles_is_left_to_it(jit_compile):
    layer, found = Norm(), []

    def look(x):
        found.append(segments.fuses(layer, (x,), TRAINING))
        return x

    @tf.function(jit_compile=jit_compile)
    def step(x):
        x = tf.function(look)(look(x))
        return tf.cond(x[0, 0, 0, 0] > 0, lambda: look(x), lambda: look(-x))

    tf.function(step).get_concrete_function(tf.zeros([2, 3, 3, 3]))
    assert len(found) >= 4 and set(found) == {not jit_compile}


GIVEN = "bfloat16 CPU bfloat16", "float16 CPU float32", "float16 GPU float16"


@pytest.mark.parametrize("case", GIVEN)
def test_activations_stay_in_half_where_that_is_faster(case, monkeypatch):
    (dtype, device, given), takes = case.split(), segments.takes
    there = lambda dtype, at: takes(dtype, at.replace("CPU", device))  # noqa: E731
    monkeypatch.setattr(segments, "takes", there)
    layer = _layer(dtype=dtype)
    step = tf.function(lambda x: segments.fused_batch_normalization(layer, x))
    graph = step.get_concrete_function(tf.zeros([2, 6, 5, 3])).graph
    [op] = [o for o in graph.get_operations() if "FusedBatchNorm" in o.type]
    assert op.get_attr("T") == given and op.get_attr("U") == tf.float32
    assert graph.structured_outputs.dtype == dtype
