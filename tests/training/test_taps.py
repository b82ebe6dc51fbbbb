"""Which taps `"auto"` finds, on networks of every common shape."""

import keras
import pytest

from noisymix_tf import models
from noisymix_tf.training.segments import auto_taps

layers = keras.layers


@pytest.mark.parametrize("name", models.MODELS.names())
def test_the_zoo_has_the_taps_of_the_reference(name):
    model = models.build(name, width=0.125, dropout=0.1)
    assert auto_taps(model) == models.default_taps(name)


def _conv(name, strides=1, padding="same", filters=4):
    return layers.Conv2D(filters, 3, strides, padding, name=name)


def _stack(*stack, shape=(32, 32, 3)):
    return keras.Sequential([keras.Input(shape), *stack])


def _ended(inputs, x, *head):
    for layer in (*head, layers.GlobalAveragePooling2D(), layers.Dense(5)):
        x = layer(x)
    return keras.Model(inputs, x)


def _plain():
    yield from (layers.Rescaling(1 / 255, name="scale"), _conv("conv1"))
    yield from (layers.ReLU(name="relu1"), layers.MaxPooling2D())
    yield from (_conv("conv2a"), _conv("conv2b"), layers.BatchNormalization())
    yield from (layers.ReLU(), layers.SpatialDropout2D(0.1, name="drop2"))
    yield from (layers.ZeroPadding2D(1), _conv("conv3", 2, "valid"))
    yield from (layers.ReLU(name="relu3"), layers.MaxPooling2D())
    yield from (_conv("conv4"), layers.Flatten(), layers.Dense(16, "relu"))


def _shrinking():
    """Sizes that convolutions shrink a little are one resolution."""
    yield from (_conv(f"conv{i}", padding="valid") for i in (1, 2))
    yield layers.AveragePooling2D(2, name="pool")
    yield from (_conv(f"conv{i}", padding="valid") for i in (3, 4))
    yield layers.Flatten()


def _flat():
    """Images without convolutions are cut behind the flattening."""
    yield from (layers.Rescaling(1 / 255, name="scale"), layers.Flatten())
    yield layers.Dense(8, name="hidden")


def _merged():
    """A single merge of branches does not make blocks."""
    x = inputs = keras.Input((64, 64, 3))
    for index in range(3):
        x = _conv(f"conv{index}", min(index, 1) + 1)(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Concatenate(name="merge")([x, layers.ReLU()(x)])
    return _ended(inputs, x)


def _vectors(depth, *end):
    yield layers.Normalization(mean=0.0, variance=1.0, name="norm")
    for index in range(1, depth + 1):
        yield from (layers.Dense(8), layers.BatchNormalization())
        yield layers.ReLU(name=f"relu{index}")
    yield from (layers.Dense(3), *end)


def test_plain_networks_are_cut_at_the_end_of_each_resolution_or_by_depth():
    """Never at the logits, also where a softmax follows them."""
    for stack, expected in (
        (_plain(), "scale relu1 drop2 relu3"),
        (_shrinking(), "input conv2 conv4"),
        (_flat(), "scale hidden"),
        # No points leave the input, which these do not prepare.
        ([layers.Flatten()], "input"),
        ([layers.ZeroPadding2D(1), layers.Flatten()], "input"),
        ([layers.BatchNormalization(), layers.Flatten()], "input"),
        ([layers.GaussianNoise(0.1), layers.Flatten()], "input"),
    ):
        model = _stack(*stack, layers.Dense(5))
        assert auto_taps(model) == tuple(expected.split())
    assert auto_taps(_merged()) == ("input", "relu0", "relu1", "relu2")
    for depth, expected in ((1, [1]), (2, [1, 2]), (8, [2, 4, 6])):
        expected = ("norm", *(f"relu{index}" for index in expected))
        for end in ([], [layers.Softmax()]):
            model = _stack(*_vectors(depth, *end), shape=(6,))
            assert auto_taps(model) == expected


def _residual(x, name, activation=True):
    y = _conv(f"{name}_conv", filters=x.shape[-1])(x)
    y = layers.Multiply(name=f"{name}_gate")([y, layers.ReLU()(y)])
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


@pytest.mark.parametrize("side, activation", [(32, True), (None, False)])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
def test_residual_networks_are_cut_by_stages(num_stages, activation, side):
    """The first three, but not the last of more than three."""
    x = inputs = keras.Input((side, side, 3))
    for stage in range(1, num_stages + 1):
        x = _conv(f"down{stage}", 1 if stage == 1 else 2)(x)
        x = _residual(x, f"block{stage}a", activation)
        x = _residual(x, f"block{stage}b", activation)
    pool = layers.GlobalAveragePooling2D(keepdims=True)
    model = keras.Model(inputs, layers.Flatten()(pool(_conv("head")(x))))
    end = "relu" if activation else "add"
    expected = tuple(f"block{i}b_{end}" for i in range(1, num_stages + 1))[:3]
    if num_stages == 1:
        expected = (f"block1a_{end}", f"block1b_{end}")
    assert auto_taps(model) == ("input", *expected)


class OwnNormalize(layers.Layer):
    def call(self, x):
        return (x / 255.0 - 0.45) / 0.225


def _rearranged(x):
    x = layers.Concatenate()([x[..., :1], x[..., :1], x[..., 1:2]])
    return layers.Rescaling(2.0)(layers.Reshape((16, 64, 3))(x))


@pytest.mark.parametrize(
    "prepare",
    [
        layers.Normalization(mean=0.5, variance=1.0),
        _stack(layers.RandomFlip(seed=1), layers.Rescaling(1 / 255)),
        lambda x: x / 127.5 - 1,
        lambda x: x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True),
        keras.applications.resnet.preprocess_input,
        layers.Lambda(lambda x: x / 255),
        OwnNormalize(),
        _rearranged,
    ],
)
def test_the_first_tap_is_behind_the_preprocessing(prepare):
    """Also where that is a model of its own."""
    inner, inputs = keras.Input((32, 32, 3)), keras.Input((32, 32, 3))
    x = prepare(inner)
    nested = keras.Model(inner, x, name="prepare")(inputs)
    taps = auto_taps(_ended(inner, x, _conv("conv")))
    assert taps == (x._keras_history.operation.name, "conv")
    taps = auto_taps(_ended(inputs, nested, _conv("conv")))
    assert taps == ("prepare", "conv")


def test_transformers_are_cut_by_depth():
    """A vision transformer as people write it with Keras layers."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1, name="scale")(inputs)
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, strides=8)(x))
    x = layers.Concatenate(axis=1)([layers.Dense(16)(x[:, :1]), x])
    for block in range(1, 9):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
        y = layers.Dense(16, "gelu")(layers.LayerNormalization()(x))
        x = layers.Add(name=f"block{block}")([x, y])
    x = layers.LayerNormalization()(x)
    model = keras.Model(inputs, layers.Dense(7, name="logits")(x[:, 0]))
    assert auto_taps(model) == ("scale", "block2", "block4", "block6")
