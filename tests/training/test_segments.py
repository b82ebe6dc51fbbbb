"""Cutting models: exact outputs, shared weights, honest refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import fused_norm, precision, segments
from support.fit_models import Subclassed
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
            for ours, theirs in [(found, expected), *zip(variables, state)]:
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


def test_fused_normalisation_takes_the_place_of_whatever_trains(monkeypatch):
    """And of nothing else: a frozen backbone stays as it is until it is not."""
    fused, original = [], fused_norm.batch_normalization

    def record(layer, x):
        fused.append(layer.name)
        return original(layer, x)

    monkeypatch.setattr(fused_norm, "batch_normalization", record)
    model = _fixed()
    _, parts = segments.cut(model, ["stem", "sum"])
    backbone = model.get_layer("backbone")
    for training, trainable, names in (
        (False, True, []),
        (None, True, []),
        (True, False, ["outer_bn"]),
        # Keras lets the outer call decide over what the graph fixes.
        (True, True, ["bn", "outer_bn"]),
    ):
        fused.clear()
        backbone.trainable, before = trainable, backbone.get_weights()
        _chain(parts, IMAGES, training)
        pairs = zip(before, backbone.get_weights())
        # The mean and the variance that it keeps of batches.
        assert sum((a != b).any() for a, b in pairs) == 2 * ("bn" in names)
        assert fused == names


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
    inputs = keras.Input((16, 16, 3))
    inner = [inputs, layers.Conv2D(3, 1, name="conv"), _backbone()]
    inner = keras.Sequential(inner, name="inner")
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
    """A long chain with a sum of branches behind every third layer."""
    x = inputs = keras.Input((8,))
    for index in range(1, 13):
        y = layers.Dense(8, name=f"a{index}")(x)
        y = layers.Dense(8, name=f"b{index}")(y)
        x = layers.Add(name=f"sum{index}")([x, y])
        x = layers.LayerNormalization(name=f"norm{index}")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def _unbuilt():
    return keras.Sequential([layers.Dense(3, name="hidden"), layers.Dense(2)])


UNBUILT = "not built; make keras.Input"
# Of many points the message names the sensible ones.
MANY = "sum3, sum6, sum9, sum1, sum2, sum4, sum5, sum7, sum8, sum10, sum11 and"


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
        (_residual, ["a1"], f"Usable: input, {MANY} 13 others (noisymix_tf"),
        (_two_backbones, ["stem"], "may mean first/stem, second/stem"),
        (Subclassed, ["input", "dense"], "no graph of layers"),
        (_unbuilt, ["hidden"], UNBUILT),
    ],
)
def test_unusable_taps_are_refused_in_one_line(make, taps, words):
    line = assert_usage_error(lambda: segments.cut(make(), taps), words)
    assert len(line) < 300


def test_models_without_a_graph_are_cut_at_the_input_and_others_once_built():
    model = Subclassed()
    names, parts = segments.cut(model)
    assert names == ("input",)
    np.testing.assert_array_equal(_chain(parts, IMAGES), model(IMAGES))
    model = _unbuilt()
    assert_usage_error(lambda: segments.cut_points(model), UNBUILT)
    model.build((None, 4))
    _assert_exact(model, ["hidden"], tf.ones([2, 4]))
