"""Cutting models: exact outputs, shared weights, honest refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from noisymix_tf.training import fused_norm
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

layers = keras.layers


def _chain(segments, x, training=False):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _images(batch=4, side=16):
    return tf.random.stateless_uniform([batch, side, side, 3], [0, 1], 0, 255)


def _variables(model):
    found = {id(v): v for v in model.variables}
    for layer in model._flatten_layers():
        found |= {id(g.state): g.state for g in layer._seed_generators}
    return list(found.values())


def _assert_exact(model, taps, x=None, training=(False, True)):
    """Outputs, losses and changed state are those of the model, bit for bit."""
    x = _images() if x is None else x
    names, segments = segments_lib.cut(model, taps)
    assert len(segments) == len(names) + 1
    assert {id(v) for v in model.variables} == {
        id(v) for segment in segments for v in segment.variables
    }
    variables = _variables(model)
    for mode in training:
        before = [v.numpy() for v in variables]
        expected = model(x, training=mode)
        losses = [float(loss) for loss in model.losses]
        state = [v.numpy() for v in variables]
        for _ in range(2):
            for variable, value in zip(variables, before):
                variable.assign(value)
            outputs = _chain(segments, x, mode)
            np.testing.assert_array_equal(outputs, expected)
            assert outputs.dtype == expected.dtype
            for variable, value in zip(variables, state):
                np.testing.assert_array_equal(variable, value)
            assert [float(loss) for loss in model.losses] == losses
    return names, segments


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


def test_whatever_a_call_depends_on_is_kept(composed):
    names, _ = _assert_exact(_all_kinds(), TAPS)
    assert names == tuple(TAPS)
    _assert_exact(_all_kinds(), ["input", "pool"])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_kept(composed, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = _all_kinds()
        _assert_exact(model, TAPS)
        nested = keras.Sequential([keras.Input((16, 16, 3)), model])
        _assert_exact(nested, TAPS)
    finally:
        keras.config.set_dtype_policy(before)


def test_fused_normalisation_changes_no_more_than_rounding():
    model, twin = _all_kinds(), _all_kinds()
    twin.set_weights(model.get_weights())
    _, segments = segments_lib.cut(model, TAPS)
    np.testing.assert_allclose(
        _chain(segments, _images(), True),
        twin(_images(), training=True),
        rtol=1e-4,
    )
    for ours, theirs in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", models.MODELS.names())
def test_networks_of_the_zoo(composed, name):
    model = models.build(name, width=0.125, dropout=0.1)
    side = model.input_shape[1]
    taps, _ = _assert_exact(model, "auto", _images(2, side))
    assert taps == models.default_taps(name)


def test_a_sequential_model_without_branches(composed):
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Flatten(name="flatten"),
            layers.Dense(5, name="logits"),
        ]
    )
    _assert_exact(model, ["conv1", "pool1", "flatten"])


def test_a_shared_layer_is_cut_at_the_call_that_is_named(composed):
    shared = layers.Dense(6, activation="tanh", name="shared")
    block = _Block(name="block")
    inputs = keras.Input((6,))
    outputs = layers.Dense(2)(block(shared(block(shared(inputs)))))
    model = keras.Model(inputs, outputs)
    x = tf.random.stateless_normal([4, 6], [0, 1])
    # Both calls of the block add a loss.
    for taps in (["shared#1"], ["block#1", "shared#2"], ["shared#2"]):
        _assert_exact(model, taps, x)
    _, segments = segments_lib.cut(model, ["shared#2"])
    np.testing.assert_array_equal(
        segments[0](x), shared(block(shared(x), scale=1.0))
    )
    with pytest.raises(UsageError, match=r"may mean shared#1, shared#2"):
        segments_lib.cut(model, ["shared"])


def _backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Dropout(0.3, seed=5, name="drop")(x)
    return keras.Model(inputs, layers.ReLU(name="out")(x), name=name)


def _functional_in_sequential():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255, name="rescale"),
            _backbone(),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(5, name="logits"),
        ]
    )


def _sequential_in_functional():
    stack = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255, name="rescale"),
            keras.Sequential(
                [layers.Conv2D(3, 1, name="conv"), _backbone()], name="inner"
            ),
        ],
        name="stack",
    )
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalMaxPooling2D(name="pool")(stack(inputs, training=False))
    return keras.Model(inputs, layers.Dense(5, name="logits")(x))


def test_taps_inside_nested_models(composed):
    model = _functional_in_sequential()
    taps = ["rescale", "stem", "backbone/sum", "pool"]
    names, segments = _assert_exact(model, taps)
    assert names == ("rescale", "backbone/stem", "backbone/sum", "pool")
    backbone = model.get_layer("backbone")
    inner = keras.Model(backbone.inputs, backbone.get_layer("stem").output)
    np.testing.assert_array_equal(
        _chain(segments[:2], _images()),
        inner(model.get_layer("rescale")(_images())),
    )
    # The end of a nested model has two names.
    for tap in ("backbone", "backbone/out", "out"):
        assert _assert_exact(model, [tap])[0] == ("backbone",)


def test_taps_inside_models_nested_twice(composed):
    model = _sequential_in_functional()
    taps = ["stack/rescale", "conv", "inner/backbone/sum", "drop"]
    names, _ = _assert_exact(model, taps)
    assert names == (
        "stack/rescale",
        "stack/inner/conv",
        "stack/inner/backbone/sum",
        "stack/inner/backbone/drop",
    )
    assert list(segments_lib.cut_points(model)) == [
        "stack/rescale",
        "stack/inner/conv",
        "stack/inner/backbone/stem",
        "stack/inner/backbone/bn",
        "stack/inner/backbone/sum",
        "stack/inner/backbone/drop",
        "stack",
        "pool",
    ]


def test_a_name_in_two_nested_models_needs_the_model(composed):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 1)(_backbone("first")(inputs))
    x = layers.GlobalAveragePooling2D()(_backbone("second")(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(UsageError, match="may mean first/stem, second/stem"):
        segments_lib.cut(model, ["stem"])
    _assert_exact(model, ["first/stem", "second/stem"])


def test_a_branch_through_a_nested_model_is_no_point():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    x = layers.Concatenate(name="both")([x, _backbone()(inputs)])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert list(segments_lib.cut_points(model)) == ["both", "pool"]
    with pytest.raises(UsageError, match="'stem': not all paths"):
        segments_lib.cut(model, ["stem"])


@pytest.mark.parametrize("fixed", [False, True])
def test_training_fixed_in_the_graph_means_what_it_means_to_keras(
    composed, fixed
):
    """Keras lets the outer call decide and falls back on what is fixed."""
    inputs = keras.Input((16, 16, 3))
    x = _backbone()(inputs, training=fixed)
    x = layers.BatchNormalization(name="outer_bn")(x, training=fixed)
    model = keras.Model(
        inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    )
    _assert_exact(model, ["stem", "sum"], training=(False, True, None))


def test_frozen_backbones_stay_as_they_are():
    """As for transfer learning; here with the fused kernel in place."""
    model = _functional_in_sequential()
    backbone = model.get_layer("backbone")
    backbone.trainable = False
    before = backbone.get_weights()
    _, segments = segments_lib.cut(model, ["rescale", "sum"])
    _chain(segments, _images(), training=True)
    for ours, theirs in zip(backbone.get_weights(), before):
        np.testing.assert_array_equal(ours, theirs)
    backbone.trainable = True
    _chain(segments, _images(), training=True)
    moved = backbone.get_layer("bn").moving_mean.numpy()
    assert (moved != 0).all()


@pytest.mark.parametrize("taps", [["flip", "sum"], ["input", "sum"], "auto"])
def test_every_loss_counts_once_in_a_train_step(taps):
    """With equal predictions the terms left are those that layers add."""
    model, twin = _all_kinds(), _all_kinds()
    twin.set_weights(model.get_weights())
    trainer = NoisyMix(
        model,
        taps,
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
        jsd_weight=0.0,
    )
    for network in (trainer, twin):
        network.compile(
            L2SGD(0.05), keras.losses.SparseCategoricalCrossentropy()
        )
    x, y = _images(), tf.range(4)
    for _ in range(2):
        ours = trainer.train_on_batch(x[:, None], y, return_dict=True)
        theirs = twin.train_on_batch(x, y, return_dict=True)
        np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-4)
    assert trainer.trainable_weights == model.trainable_weights
    assert trainer.layers == [model]


def _residual():
    """A chain of 40 layers with a sum of branches behind every third."""
    x = inputs = keras.Input((8,))
    for index in range(1, 13):
        y = layers.Dense(8, name=f"a{index}")(x)
        y = layers.Dense(8, name=f"b{index}")(y)
        x = layers.Add(name=f"sum{index}")([x, y])
        x = layers.LayerNormalization(name=f"norm{index}")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        (
            ["nowhere"],
            r"'nowhere': the model has no such layer\. Usable: input",
        ),
        (["sum13"], r"no such layer; close to it: sum3, sum1, sum12"),
        (["a3"], r"'a3': not all paths"),
        (["logits"], r"'logits': it is the model's output"),
        (["sum2", "sum1"], r"order of the data flow: \['sum1', 'sum2'\]"),
        (["sum1", "sum1"], r"distinct"),
        ([], r"taps is empty"),
        ("sum0", r"'sum0'"),
    ],
)
def test_unusable_taps_are_refused_in_one_line(taps, message):
    with pytest.raises(UsageError, match=message) as error:
        segments_lib.cut(_residual(), taps)
    assert "\n" not in str(error.value)


def test_of_many_points_the_message_names_the_sensible_ones():
    with pytest.raises(UsageError) as error:
        segments_lib.cut(_residual(), ["a1"])
    message = str(error.value)
    assert "Usable: input, sum3, sum6, sum9, sum1, sum2, sum4" in message
    assert "norm1" not in message and len(message) < 300
    assert "and 13 others" in message
    assert "noisymix_tf.cut_points(model)" in message
    assert len(segments_lib.cut_points(_residual())) == 24


def test_subclassed_models_are_cut_at_the_input_only():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x, training=False):
            return self.dense(x)

    model = Subclassed()
    taps, segments = segments_lib.cut(model)
    assert taps == ("input",)
    x = tf.ones([2, 4])
    np.testing.assert_array_equal(_chain(segments, x), model(x))
    for refused in (["dense"], "dense", ["input", "dense"]):
        with pytest.raises(UsageError, match="no graph of layers"):
            segments_lib.cut(model, refused)


def test_sequential_models_have_to_be_built():
    model = keras.Sequential([layers.Dense(3, name="hidden"), layers.Dense(2)])
    for call in (segments_lib.cut, segments_lib.cut_points, NoisyMix):
        with pytest.raises(UsageError, match=r"not built; make keras\.Input"):
            call(model)
    model.build((None, 4))
    _assert_exact(model, ["hidden"], tf.ones([2, 4]))
