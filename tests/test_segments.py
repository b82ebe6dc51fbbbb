"""Cutting models: exact outputs, shared weights, honest refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from noisymix_tf.training import segments as segments_lib


def _chain(segments, x, training=False):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _plain_cnn():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="conv1"),
            keras.layers.MaxPooling2D(name="pool1"),
            keras.layers.Conv2D(8, 3, padding="same", name="conv2"),
            keras.layers.GlobalAveragePooling2D(name="pool2"),
            keras.layers.Dense(5, name="logits"),
        ]
    )


def _build(name):
    if name == "plain_cnn":
        return _plain_cnn()
    if name == "resnet50":
        return keras.applications.ResNet50(
            weights=None, input_shape=(32, 32, 3), classes=7
        )
    return models.build(name, width=0.125)


@pytest.mark.parametrize(
    "name", ["preact_resnet18", "wide_resnet28_4", "plain_cnn", "resnet50"]
)
def test_segments_compute_the_model_with_its_own_weights(name):
    model = _build(name)
    taps, segments = segments_lib.cut(model)
    assert len(segments) == len(taps) + 1
    shape = (4, *model.input_shape[1:])
    x = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
    np.testing.assert_allclose(
        _chain(segments, x), model(x, training=False), atol=1e-6
    )
    own = {id(variable) for variable in model.variables}
    cut = {
        id(variable)
        for segment in segments
        for variable in getattr(segment, "variables", [])
    }
    assert cut == own


@pytest.mark.parametrize("name", models.MODELS.names())
def test_auto_finds_the_taps_of_the_reference(name):
    model = models.build(name, width=0.125)
    assert segments_lib.auto_taps(model) == models.default_taps(name)


def test_auto_on_other_networks():
    assert segments_lib.auto_taps(_build("resnet50")) == (
        "input",
        "conv2_block3_out",
        "conv3_block4_out",
        "conv4_block6_out",
    )
    assert segments_lib.auto_taps(_plain_cnn())[0] == "input"


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        (["nowhere"], r"Unusable tap 'nowhere'.*no such layer.*stage1"),
        (["stage1_block1_conv1"], r"not all paths|no such layer"),
        (["stage2", "stage1"], r"order of the data flow.*stage1.*stage2"),
        (["stage1", "stage1"], r"distinct"),
        ([], r"taps is empty"),
    ],
)
def test_unusable_taps_are_refused_with_the_usable_ones(taps, message):
    model = models.build("preact_resnet18", width=0.125)
    with pytest.raises(UsageError, match=message):
        segments_lib.cut(model, taps)


def test_tap_inside_a_residual_branch_is_refused():
    model = models.build("preact_resnet18", width=0.125)
    points = {"input", *segments_lib.cut_points(model)}
    inside = [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name not in points
    ]
    assert inside
    with pytest.raises(UsageError, match="not all paths"):
        segments_lib.cut(model, [inside[0]])


def test_cut_points_are_articulation_points():
    """Removing a cut point disconnects the output; others do not."""
    x = keras.Input((4,))
    a = keras.layers.Dense(4, name="a")(x)
    b = keras.layers.Dense(4, name="b")(a)
    c = keras.layers.Add(name="c")([a, b])
    d = keras.layers.Dense(2, name="d")(c)
    assert list(segments_lib.cut_points(keras.Model(x, d))) == ["a", "c"]


def test_subclassed_models_are_cut_at_the_input_only():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x, training=False):
            return self.dense(x)

    model = Subclassed()
    taps, segments = segments_lib.cut(model)
    assert taps == ("input",)
    x = tf.ones([2, 4])
    np.testing.assert_array_equal(_chain(segments, x), model(x))
    with pytest.raises(UsageError, match="no graph of layers"):
        segments_lib.cut(model, ["dense"])
