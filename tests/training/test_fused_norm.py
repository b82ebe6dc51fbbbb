"""Fused batch normalisation against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import fused_norm
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.trainer import NoisyMix

layers = keras.layers


def _layer(shape=(None, 6, 5, 3), **arguments):
    layer = layers.BatchNormalization(**arguments)
    layer.build(shape)
    if layer.scale:
        layer.gamma.assign([0.5, 1.0, 2.0])
    if layer.center:
        layer.beta.assign([-1.0, 0.0, 1.0])
    return layer


def _train(call, layer, x, upstream):
    """Output, and the gradients of the input and of the layer's weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": 0.3, "epsilon": 1e-5},
        {"scale": False},
        {"center": False, "axis": 3},
        {"scale": False, "center": False},
        {"dtype": "mixed_bfloat16"},
        {"dtype": "mixed_float16"},
        {"dtype": "bfloat16"},
    ],
    ids=str,
)
def test_values_gradients_and_statistics_are_those_of_keras(
    arguments, jit_compile
):
    layer, twin = _layer(**arguments), _layer(**arguments)
    x = tf.random.stateless_normal([4, 6, 5, 3], [0, 1], mean=2.0, stddev=3.0)
    upstream = tf.random.stateless_normal(x.shape, [0, 2])
    assert fused_norm.applies(layer, (x,), {"training": True})

    @tf.function(jit_compile=jit_compile)
    def ours():
        def call(x):
            return fused_norm.batch_normalization(layer, x)

        return _train(call, layer, x, upstream)

    expected = _train(lambda x: twin(x, training=True), twin, x, upstream)
    for mine, theirs in zip(ours(), expected):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(
            tf.cast(mine, tf.float32),
            tf.cast(theirs, tf.float32),
            atol=1e-2 if "dtype" in arguments else 2e-5,
        )
    for mine, theirs in zip(
        layer.non_trainable_variables, twin.non_trainable_variables
    ):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(
            tf.cast(mine, tf.float32), tf.cast(theirs, tf.float32), rtol=1e-5
        )


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 1, 1), (2, 64, 64)])
def test_statistics_of_few_and_of_many_values(size):
    """The biased variance of a single value is 0; an unbiased one is not."""
    layer, twin = _layer(), _layer()
    x = tf.random.stateless_normal([*size, 3], [0, 1], mean=3.0)
    y = fused_norm.batch_normalization(layer, x)
    np.testing.assert_allclose(y, twin(x, training=True), 1e-5, 1e-5)
    for mine, theirs in zip(layer.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


class _Subclass(layers.BatchNormalization):
    pass


def _masked(x):
    keras.src.backend.set_keras_mask(x, tf.ones(x.shape[:3], tf.bool))
    return x


@pytest.mark.parametrize(
    ("layer", "arguments", "kwargs"),
    [
        (layers.BatchNormalization, {}, {}),
        (layers.BatchNormalization, {}, {"training": False}),
        (layers.BatchNormalization, {"axis": 1}, {"training": True}),
        (layers.BatchNormalization, {"synchronized": True}, {"training": True}),
        (layers.BatchNormalization, {"renorm": True}, {"training": True}),
        (layers.BatchNormalization, {"trainable": False}, {"training": True}),
        (layers.BatchNormalization, {"dtype": "float64"}, {"training": True}),
        (
            layers.BatchNormalization,
            {"activity_regularizer": "l2"},
            {"training": True},
        ),
        (
            layers.BatchNormalization,
            {},
            {"training": True, "mask": tf.ones([2, 3, 3], tf.bool)},
        ),
        (_Subclass, {}, {"training": True}),
        (layers.LayerNormalization, {}, {"training": True}),
    ],
    ids=str,
)
def test_whatever_else_a_layer_does_is_left_to_it(layer, arguments, kwargs):
    x = tf.random.stateless_normal([2, 3, 3, 3], [0, 1])
    layer = layer(**arguments)
    assert not fused_norm.applies(layer, (x,), kwargs)


def test_an_option_of_a_later_keras_is_left_to_it(monkeypatch):
    """The kernel knows nothing of it, and would ignore it."""
    layer, kwargs = layers.BatchNormalization(), {"training": True}
    x = (tf.zeros([2, 3, 3, 3]),)
    assert fused_norm.applies(layer, x, kwargs)
    config = {**layer.get_config(), "debiased": True}
    monkeypatch.setattr(
        layers.BatchNormalization, "get_config", lambda self: config
    )
    assert not fused_norm.applies(layer, x, kwargs)


def test_only_images_without_a_mask_are_fused():
    layer = layers.BatchNormalization()
    kwargs = {"training": True}
    images = tf.zeros([2, 3, 3, 3])
    assert fused_norm.applies(layer, (images,), kwargs)
    assert not fused_norm.applies(layer, (_masked(images),), kwargs)
    assert not fused_norm.applies(layer, (tf.zeros([2, 3]),), kwargs)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_what_xla_compiles_is_left_to_it(jit_compile):
    """Also in branches and in functions that are called inside."""
    layer = layers.BatchNormalization()
    found = []

    def look(x):
        found.append(fused_norm.applies(layer, (x,), {"training": True}))
        return x

    @tf.function(jit_compile=jit_compile)
    def step(x):
        x = tf.function(look)(look(x))
        return tf.cond(x[0, 0, 0, 0] > 0, lambda: look(x), lambda: look(-x))

    @tf.function
    def train(x):
        return step(x)

    train(tf.zeros([2, 3, 3, 3]))
    assert len(found) >= 4 and set(found) == {not jit_compile}


def test_xla_compiles_deterministic_operations_too(determinism, recwarn):
    """Keras would store False, warn, and run without XLA."""
    compiled = []

    class Probe(layers.Layer):
        def call(self, x):
            compiled.append(fused_norm.is_compiled_by_xla())
            return x

    inputs = keras.Input((6,))
    outputs = layers.Dense(4, kernel_initializer="zeros")(Probe()(inputs))
    quiet = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
    trainer = NoisyMix(
        keras.Model(inputs, outputs), "input", mixing="none", **quiet
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("sgd", loss, jit_compile=True)
    compiled.clear()
    views = tf.random.stateless_normal([2, 3, 6], [0, 1])
    data = tf.data.Dataset.from_tensors((views, tf.constant([0, 3])))
    trainer.fit(data, verbose=0, shuffle=False)
    assert compiled and all(compiled)
    assert not recwarn.list
    trainer.compile("sgd", loss)
    assert trainer.jit_compile is False


def _classifier():
    """Normalised five times: outside, nested, twice nested, fixed, frozen."""

    def normalize(x, name, **call):
        x = layers.Conv2D(3, 1, use_bias=False)(x)
        return layers.BatchNormalization(name=name)(x, **call)

    inner = keras.Input((6, 5, 3))
    inner = keras.Model(inner, normalize(inner, "twice"), name="inner")
    stack = keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            inner,
            layers.Conv2D(3, 1),
            layers.BatchNormalization(name="nested"),
        ],
        name="stack",
    )
    inputs = keras.Input((6, 5, 3))
    x = normalize(stack(normalize(inputs, "outside")), "fixed", training=False)
    x = normalize(x, "frozen")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    model.get_layer("frozen").trainable = False
    return model


@pytest.mark.parametrize("training", [False, None, True])
def test_segments_fuse_whatever_trains_and_nothing_else(monkeypatch, training):
    fused = []
    original = fused_norm.batch_normalization
    monkeypatch.setattr(
        fused_norm,
        "batch_normalization",
        lambda layer, x: fused.append(layer.name) or original(layer, x),
    )
    model, twin = _classifier(), _classifier()
    twin.set_weights(model.get_weights())
    x = tf.random.stateless_normal([4, 6, 5, 3], [0, 1], mean=1.0)
    y = x
    for segment in segments_lib.cut(model, ["outside", "twice", "nested"])[1]:
        y = segment(y, training=training)
    np.testing.assert_allclose(y, twin(x, training=training), atol=1e-5)
    for ours, theirs in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    # Keras lets the outer call decide over what the graph fixes.
    expected = ["outside", "twice", "nested", "fixed"] if training else []
    assert fused == expected
