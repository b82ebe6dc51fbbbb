"""Cutting models: exact outputs, shared weights, honest refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import fused_norm, precision, segments
from support.usage import assert_usage_error

layers = keras.layers
IMAGES = tf.random.stateless_uniform([4, 16, 16, 3], [0, 1], 0, 255)


def _chain(segments, x, training=False):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _variables(model):
    found = {id(v): v for v in model.variables}
    for layer in model._flatten_layers():
        found |= {id(g.state): g.state for g in layer._seed_generators}
    return list(found.values())


def _assert_exact(model, taps, x=IMAGES, training=(False, True)):
    """Outputs, losses and changed state are those of the model, bit for bit."""
    names, parts = segments.cut(model, taps)
    assert len(parts) == len(names) + 1
    used = {id(v) for part in parts for v in part.variables}
    assert used == {id(v) for v in model.variables}
    variables = _variables(model)
    for mode in training:
        before = [v.numpy() for v in variables]
        expected = model(x, training=mode)
        losses = [float(loss) for loss in model.losses]
        state = [v.numpy() for v in variables]
        for _ in range(2):
            for variable, value in zip(variables, before):
                variable.assign(value)
            found = _chain(parts, x, mode)
            assert found.dtype == expected.dtype
            assert [float(loss) for loss in model.losses] == losses
            pairs = [(found, expected), *zip(variables, state)]
            for ours, theirs in pairs:
                np.testing.assert_array_equal(ours, theirs)
    return names


@pytest.fixture
def composed(monkeypatch):
    """Batch normalisation as Keras does it, to compare bit for bit."""
    monkeypatch.setattr(fused_norm, "applies", lambda *_: False)


@keras.saving.register_keras_serializable("noisymix_tf_tests")
class _Block(layers.Layer):
    """Draws and adds a loss in layers that learn of training by context."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6)
        self.dropout = layers.Dropout(0.5, seed=1)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, scale=1.0):
        self.add_loss(1e-3 * keras.ops.sum(x))
        return self.dropout(self.dense(x)) * scale


def _all_kinds():
    """Everything that a call can depend on, in one small model."""
    inputs = keras.Input((16, 16, 3))
    x = layers.RandomFlip("horizontal", seed=3, name="flip")(inputs)
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = keras.ops.relu(x - 0.1)
    x = layers.SpatialDropout2D(0.3, seed=4, name="drop")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    y = layers.BatchNormalization(momentum=0.5, scale=False)(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.ActivityRegularization(1e-4, name="activity")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = _Block(name="block")(x, scale=2.0)
    x = layers.BatchNormalization(name="frozen", trainable=False)(x)
    x = layers.Dense(5, bias_regularizer="l1", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(name="softmax")(x))


TAPS = ["flip", "bn", "drop", "sum", "block", "logits"]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_whatever_a_call_depends_on_is_kept(composed, policy):
    with precision.dtype_policy(policy):
        model = _all_kinds()
        assert _assert_exact(model, TAPS) == tuple(TAPS)
        nested = keras.Sequential([keras.Input((16, 16, 3)), model])
        _assert_exact(nested, ["input", *TAPS[1:]])


def test_fused_normalisation_changes_no_more_than_rounding(monkeypatch):
    """It takes the place of whatever trains, and of nothing else."""
    fused = []
    original = fused_norm.batch_normalization
    monkeypatch.setattr(
        fused_norm,
        "batch_normalization",
        lambda layer, x: fused.append(layer.name) or original(layer, x),
    )
    for training in (False, None, True):
        models = [_fixed(), _fixed()]
        models[1].set_weights(models[0].get_weights())
        _, parts = segments.cut(models[0], ["stem", "sum"])
        y = _chain(parts, IMAGES / 255, training)
        expected = models[1](IMAGES / 255, training=training)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(*(m.get_weights() for m in models)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        # Keras lets the outer call decide over what the graph fixes.
        assert fused == (["bn", "outer_bn"] if training else [])


def _backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Dropout(0.3, seed=5, name="drop")(x)
    return keras.Model(inputs, layers.ReLU(name="out")(x), name=name)


def _fixed(fixed=False):
    inputs = keras.Input((16, 16, 3))
    x = _backbone()(inputs, training=fixed)
    x = layers.BatchNormalization(name="outer_bn")(x, training=fixed)
    x = layers.BatchNormalization(name="frozen", trainable=False)(x)
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("fixed", [False, True])
def test_training_fixed_in_the_graph_is_what_it_is_to_keras(composed, fixed):
    """Keras lets the outer call decide and falls back on what is fixed."""
    _assert_exact(_fixed(fixed), ["stem", "sum"], training=(False, True, None))


def test_a_shared_layer_is_cut_at_the_call_that_is_named(composed):
    shared = layers.Dense(6, activation="tanh", name="shared")
    block = _Block(name="block")  # Each of its calls adds a loss.
    inputs = keras.Input((6,))
    outputs = layers.Dense(2)(block(shared(block(shared(inputs)))))
    model = keras.Model(inputs, outputs)
    x = IMAGES[:, 0, :2, 0] @ tf.ones([2, 6]) / 255
    _assert_exact(model, ["block#1", "shared#2"], x)
    _, parts = segments.cut(model, ["shared#2"])
    np.testing.assert_array_equal(parts[0](x), shared(block(shared(x))))
    words = "may mean shared#1, shared#2"
    assert_usage_error(lambda: segments.cut(model, ["shared"]), words)


def test_taps_inside_models_nested_twice(composed):
    """A tap may be any end of the path that no other layer has."""
    inner = [layers.Conv2D(3, 1, name="conv"), _backbone()]
    inner = keras.Sequential([keras.Input((16, 16, 3)), *inner], name="inner")
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalMaxPooling2D(name="pool")(inner(inputs, training=True))
    model = keras.Model(inputs, layers.Dense(5, name="logits")(x))
    taps = ["conv", "inner/backbone/sum", "drop"]
    names = _assert_exact(model, taps, training=(False, True, None))
    assert names[0] == "inner/conv"
    assert names[1:] == ("inner/backbone/sum", "inner/backbone/drop")
    # The end of a nested model has several names.
    for tap in ("inner", "inner/backbone", "backbone/out", "out"):
        assert segments.cut(model, tap)[0] == ("inner",)


def _two_backbones():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 1)(_backbone("first")(inputs))
    x = layers.GlobalAveragePooling2D()(_backbone("second")(x))
    return keras.Model(inputs, layers.Dense(2)(x))


def _residual():
    """A chain of 40 layers with a sum of branches behind every third."""
    x = inputs = keras.Input((8,))
    for index in range(1, 13):
        y = layers.Dense(8, name=f"a{index}")(x)
        y = layers.Dense(8, name=f"b{index}")(y)
        x = layers.Add(name=f"sum{index}")([x, y])
        x = layers.LayerNormalization(name=f"norm{index}")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


class _Subclassed(keras.Model):
    def call(self, x, training=False):
        return 2 * x


def _unbuilt():
    return keras.Sequential([layers.Dense(3, name="hidden"), layers.Dense(2)])


NO_GRAPH = "no graph of layers"
UNBUILT = "not built; make keras.Input"


@pytest.mark.parametrize(
    ("make", "taps", "words"),
    [
        (_residual, ["nowhere"], "'nowhere': the model has no such layer. Us"),
        (_residual, ["sum13"], "layer; close to it: sum3, sum1, sum12"),
        (_residual, ["a3"], "'a3': not all paths"),
        (_residual, ["logits"], "'logits': it is the model's output"),
        (_residual, ["sum2", "sum1"], "data flow: ['sum1', 'sum2']"),
        (_residual, ["sum1", "sum1"], "distinct"),
        (_residual, [], "taps is empty"),
        (_residual, "sum0", "'sum0'"),
        # Of many points the message names the sensible ones.
        (
            _residual,
            ["a1"],
            "Usable: input, sum3, sum6, sum9, sum1, sum2, sum4, sum5, sum7, "
            "sum8, sum10, sum11 and 13 others (noisymix_tf.cut_points(model)",
        ),
        (_two_backbones, ["stem"], "may mean first/stem, second/stem"),
        (_Subclassed, ["dense"], NO_GRAPH),
        (_Subclassed, "dense", NO_GRAPH),
        (_Subclassed, ["input", "dense"], NO_GRAPH),
        (_unbuilt, ["hidden"], UNBUILT),
    ],
)
def test_unusable_taps_are_refused_in_one_line(make, taps, words):
    line = assert_usage_error(lambda: segments.cut(make(), taps), words)
    assert len(line) < 300


def test_models_without_a_graph_are_cut_at_the_input_and_others_once_built():
    names, parts = segments.cut(_Subclassed())
    assert names == ("input",)
    np.testing.assert_array_equal(_chain(parts, IMAGES), 2 * IMAGES)
    model = _unbuilt()
    assert_usage_error(lambda: segments.cut_points(model), UNBUILT)
    model.build((None, 4))
    _assert_exact(model, ["hidden"], tf.ones([2, 4]))
