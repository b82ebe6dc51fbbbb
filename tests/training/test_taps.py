"""Which taps `"auto"` finds, on networks of every common shape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.training.segments import auto_taps, cut, cut_points

layers = keras.layers


def _assert_exact(model, images):
    names, segments = cut(model)
    x = images
    for segment in segments:
        x = segment(x, training=False)
    np.testing.assert_array_equal(x, model(images, training=False))
    return names


@pytest.mark.parametrize("name", models.MODELS.names())
def test_the_zoo_has_the_taps_of_the_reference_and_is_cut_exactly(name):
    model = models.build(name, width=0.125, dropout=0.1)
    shape = [2, *model.input_shape[1:]]
    images = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
    assert _assert_exact(model, images) == models.default_taps(name)


def _conv(name, filters=4, strides=1, **arguments):
    arguments = {"padding": "same", **arguments}
    return layers.Conv2D(filters, 3, strides, name=name, **arguments)


def _stack(*stack, shape=(32, 32, 3)):
    return keras.Sequential([keras.Input(shape), *stack])


def _ended(inputs, x, *head):
    for layer in (*head, layers.GlobalAveragePooling2D(), layers.Dense(5)):
        x = layer(x)
    return keras.Model(inputs, x)


class _Block(layers.Layer):
    """A subclassed block hides its branches; its end is a point."""

    def __init__(self, strides, **kwargs):
        super().__init__(**kwargs)
        self.conv = _conv("conv", strides=strides)

    def build(self, shape):
        self.conv.build(shape)

    def compute_output_shape(self, shape):
        return self.conv.compute_output_shape(shape)

    def call(self, x):
        return self.conv(x)


VALID = {"padding": "valid"}
STACKS = {
    "before what ends each resolution": (
        [
            layers.Rescaling(1 / 255, name="scale"),
            _conv("conv1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(name="pool1"),
            _conv("conv2a"),
            _conv("conv2b", use_bias=False),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(name="relu2"),
            layers.SpatialDropout2D(0.1, name="drop2"),
            layers.ZeroPadding2D(1, name="pad3"),
            _conv("conv3", strides=2, **VALID),
            layers.Activation("gelu", name="gelu3"),
            layers.MaxPooling2D(name="pool3"),
            _conv("conv4"),
            layers.Flatten(name="flatten"),
            layers.Dense(16, "relu", name="hidden"),
            layers.Dense(5, name="logits"),
        ],
        ("scale", "relu1", "drop2", "gelu3"),
    ),
    "sizes that convolutions shrink a little are one resolution": (
        [
            _conv("conv1", **VALID),
            _conv("conv2", **VALID),
            layers.AveragePooling2D(2, name="pool"),
            _conv("conv3", **VALID),
            _conv("conv4", **VALID),
            layers.Flatten(name="flatten"),
            layers.Dense(5, name="logits"),
        ],
        ("input", "conv2", "conv4"),
    ),
    "images without convolutions, behind the flattening": (
        [
            layers.Rescaling(1 / 255, name="scale"),
            layers.Flatten(name="flatten"),
            layers.Dense(8, "relu", name="hidden"),
            layers.Dense(5, name="logits"),
        ],
        ("scale", "hidden"),
    ),
    "blocks that are layers of their own": (
        [
            *(
                _Block(strides, name=f"block{index}")
                for index, strides in enumerate((1, 1, 2, 1, 2, 1, 2, 1))
            ),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ],
        ("input", "block1", "block3", "block5"),
    ),
    "no points leave the input": (
        [layers.Flatten(), layers.Dense(2)],
        ("input",),
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_plain_networks_are_cut(name):
    stack, expected = STACKS[name]
    assert auto_taps(_stack(*stack)) == expected


def _residual(x, name, activation=True):
    y = _conv(f"{name}_conv", x.shape[-1])(x)
    y = layers.Multiply(name=f"{name}_gate")([y, layers.ReLU()(y)])
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


@pytest.mark.parametrize("side, activation", [(32, True), (None, False)])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
def test_residual_networks_of_any_number_of_stages(
    num_stages, activation, side
):
    """The first three, but not the last of more than three."""
    x = inputs = keras.Input((side, side, 3))
    for stage in range(1, num_stages + 1):
        x = _conv(f"down{stage}", 4, 1 if stage == 1 else 2)(x)
        x = _residual(x, f"block{stage}a", activation)
        x = _residual(x, f"block{stage}b", activation)
    x = layers.GlobalAveragePooling2D(keepdims=True)(_conv("head")(x))
    x = layers.Dense(5)(layers.Dense(16, name="hidden")(x))
    model = keras.Model(inputs, layers.Flatten()(x))
    end = "relu" if activation else "add"
    expected = tuple(f"block{i}b_{end}" for i in range(1, num_stages + 1))[:3]
    if num_stages == 1:
        expected = (f"block1a_{end}", f"block1b_{end}")
    assert auto_taps(model) == ("input", *expected)


def test_a_last_resolution_without_blocks_is_not_the_last_stage():
    """Five resolutions with blocks at three of them, as in MobileNetV3."""
    x = inputs = keras.Input((64, 64, 3))
    for index in range(5):
        x = _conv(f"down{index}", strides=2)(x)
        if index > 1:
            x = _residual(x, f"block{index}", activation=False)
    expected = ("input", "block2_add", "block3_add")
    assert auto_taps(_ended(inputs, x)) == expected


def test_a_single_merge_does_not_make_blocks_of_a_plain_network():
    for joined in ("input", "last"):
        x = inputs = keras.Input((32, 32, 3))
        for index in range(3):
            x = _conv(f"conv{index}", 4, 1 if index == 0 else 2)(x)
            x = layers.ReLU(name=f"relu{index}")(x)
        other = layers.ReLU()(x)
        if joined == "input":
            other = layers.MaxPooling2D(4)(inputs)
        x = layers.Concatenate(name="merge")([x, other])
        # Since the input is joined in later, nothing before is a point.
        assert auto_taps(_ended(inputs, x)) == {
            "input": ("input", "merge"),
            "last": ("input", "relu0", "relu1", "relu2"),
        }[joined]


class ImagenetNormalize(layers.Layer):
    """The kind of layer that people write themselves."""

    def call(self, x):
        return (x / 255.0 - 0.45) / 0.225


def _grey(x):
    return layers.Concatenate()([x[..., :1], x[..., :1], x[..., 1:2]])


AUGMENT = [layers.RandomFlip(seed=1), layers.Rescaling(1 / 255)]
HEADS = {
    "nothing": (lambda x: x, False),
    "rescaling": (layers.Rescaling(1 / 255), True),
    "normalization": (layers.Normalization(mean=0.5, variance=1.0), True),
    "augmentation": (_stack(*AUGMENT), True),
    "arithmetic": (lambda x: x / 127.5 - 1, True),
    "standardisation": (
        lambda x: x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True),
        True,
    ),
    "caffe": (keras.applications.resnet.preprocess_input, True),
    "torch": (keras.applications.densenet.preprocess_input, True),
    "lambda": (layers.Lambda(lambda x: x / 255), True),
    "own": (ImagenetNormalize(), True),
    "grey": (lambda x: layers.Rescaling(2.0)(_grey(x)), True),
    "reshaped": (
        lambda x: layers.Rescaling(2.0)(layers.Reshape((16, 64, 3))(x)),
        True,
    ),
    "padding": (layers.ZeroPadding2D(1), False),
    "batch_norm": (layers.BatchNormalization(), False),
    "noise": (layers.GaussianNoise(0.1, seed=1), False),
}


@pytest.mark.parametrize("head", HEADS)
def test_the_first_tap_is_behind_the_preprocessing(head):
    prepare, is_preprocessing = HEADS[head]
    for nested in (False, True):
        inputs = keras.Input((32, 32, 3))
        x = prepare(inputs)
        if nested and x is not inputs:
            alone = keras.Model(inputs, x, name="prepare")
            inputs = keras.Input((32, 32, 3))
            x = alone(inputs)
        name = x._keras_history.operation.name
        prepared = keras.Model(inputs, x)
        names, parts = cut(_ended(inputs, x, _conv("conv")))
        assert names == (name if is_preprocessing else "input", "conv")
        if is_preprocessing:
            images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
            np.testing.assert_array_equal(
                parts[0](images, training=False),
                prepared(images, training=False),
            )


class PositionEmbedding(layers.Layer):
    def build(self, shape):
        self.embedding = self.add_weight(shape=shape[1:], name="embedding")

    def call(self, x):
        return x + self.embedding


def _vit(depth, class_token=False, with_ops=False):
    """A vision transformer as people write it with Keras layers."""

    def add(x, y, name):
        return x + y if with_ops else layers.Add(name=name)([x, y])

    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1, name="scale")(inputs)
    x = layers.Conv2D(16, 8, strides=8, name="patches")(x)
    x = layers.Reshape((16, 16), name="tokens")(x)
    if class_token:
        token = layers.Dense(16, name="token")(x[:, :1])
        x = layers.Concatenate(axis=1)([token, x])
    x = PositionEmbedding(name="position")(x)
    for block in range(1, depth + 1):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 8, dropout=0.1, seed=1)(y, y)
        x = add(x, y, f"attention{block}")
        y = layers.LayerNormalization()(x)
        y = layers.Dense(16)(layers.Dense(32, "gelu")(y))
        x = add(x, layers.Dropout(0.1, seed=block)(y), f"block{block}")
    x = layers.LayerNormalization(name="norm")(x)
    x = x[:, 0] if class_token else layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(7, name="logits")(x))


@pytest.mark.parametrize(
    ("depth", "class_token", "expected"),
    [
        (1, False, ("attention1", "block1")),
        (4, False, ("block1", "block2", "block3")),
        (8, True, ("block2", "block4", "block6")),
    ],
)
def test_transformers_are_cut_by_depth(depth, class_token, expected):
    model = _vit(depth, class_token)
    images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
    assert _assert_exact(model, images) == ("scale", *expected)


def test_transformers_of_bare_operations():
    model = _vit(4, with_ops=True)
    points = list(cut_points(model).items())
    sums = [n for n, t in points if t._keras_history.operation.name == n]
    sums = [n for n in sums if n.startswith("add")]
    assert len(sums) == 8
    assert auto_taps(model)[1:] == (sums[1], sums[3], sums[5])


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3)), (8, (2, 4, 6))],
)
@pytest.mark.parametrize("softmax", [False, True])
def test_networks_on_vectors_are_cut_by_depth(depth, expected, softmax):
    """Never at the logits, also where a softmax follows them."""
    stack = [layers.Normalization(mean=0.0, variance=1.0, name="norm")]
    for index in range(1, depth + 1):
        stack += [
            layers.Dense(8, name=f"dense{index}"),
            layers.BatchNormalization(),
            layers.ReLU(name=f"relu{index}"),
        ]
    stack += [layers.Dense(3, name="logits")]
    stack += [layers.Softmax()] if softmax else []
    taps = auto_taps(_stack(*stack, shape=(6,)))
    assert taps == ("norm", *(f"relu{index}" for index in expected))


def test_backbones_of_keras_hub():
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    inputs = keras.Input((32, 32, 3))
    x = backbone(layers.Rescaling(1 / 255, name="scale")(inputs))
    model = _ended(inputs, x)
    images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
    taps = _assert_exact(model, images)
    assert taps[0] == "scale"
    assert all(tap.startswith(f"{backbone.name}/") for tap in taps[1:])
    sides = [cut_points(model)[tap].shape[1] for tap in taps[1:]]
    assert len(sides) == 3 and sides == sorted(set(sides), reverse=True)
