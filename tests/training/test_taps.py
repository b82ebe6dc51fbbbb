"""Which taps `"auto"` finds, on networks of every common shape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.trainer import NoisyMix

layers = keras.layers


@pytest.mark.parametrize("name", models.MODELS.names())
def test_the_zoo_has_the_taps_of_the_reference(name):
    model = models.build(name, width=0.125)
    assert segments_lib.auto_taps(model) == models.default_taps(name)


def _conv(name, filters=4, strides=1, **arguments):
    arguments = {"padding": "same", **arguments}
    return layers.Conv2D(filters, 3, strides, name=name, **arguments)


def _stack(*stack, shape=(32, 32, 3)):
    return keras.Sequential([keras.Input(shape), *stack])


def test_a_plain_network_is_cut_before_what_ends_each_resolution():
    model = _stack(
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
        _conv("conv3", strides=2, padding="valid"),
        layers.Activation("gelu", name="gelu3"),
        layers.MaxPooling2D(name="pool3"),
        _conv("conv4"),
        layers.Flatten(name="flatten"),
        layers.Dense(16, "relu", name="hidden"),
        layers.Dense(5, name="logits"),
    )
    assert segments_lib.auto_taps(model) == ("scale", "relu1", "drop2", "gelu3")


def test_sizes_that_convolutions_shrink_a_little_are_one_resolution():
    valid = {"padding": "valid"}
    model = _stack(
        _conv("conv1", **valid),
        _conv("conv2", **valid),
        layers.AveragePooling2D(2, name="pool"),
        _conv("conv3", **valid),
        _conv("conv4", **valid),
        layers.Flatten(name="flatten"),
        layers.Dense(5, name="logits"),
    )
    assert segments_lib.auto_taps(model) == ("input", "conv2", "conv4")


def _residual(x, name, activation=True):
    y = _conv(f"{name}_conv", x.shape[-1])(x)
    y = layers.Multiply(name=f"{name}_gate")([y, layers.ReLU()(y)])
    x = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("num_stages", [1, 2, 3, 4, 5])
def test_residual_networks_of_any_number_of_stages(
    num_stages, activation, any_size
):
    """The first three, but not the last of more than three."""
    x = inputs = keras.Input((None if any_size else 32,) * 2 + (3,))
    for stage in range(1, num_stages + 1):
        x = _conv(f"down{stage}", 4, 1 if stage == 1 else 2)(x)
        x = _residual(x, f"block{stage}a", activation)
        x = _residual(x, f"block{stage}b", activation)
    x = _conv("head")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = layers.Dense(5)(layers.Dense(16, name="hidden")(x))
    model = keras.Model(inputs, layers.Flatten()(x))
    end = "relu" if activation else "add"
    expected = tuple(f"block{i}b_{end}" for i in range(1, num_stages + 1))[:3]
    if num_stages == 1:
        expected = (f"block1a_{end}", f"block1b_{end}")
    assert segments_lib.auto_taps(model) == ("input", *expected)


def test_a_last_resolution_without_blocks_is_not_the_last_stage():
    """Five resolutions with blocks at three of them, as in MobileNetV3."""
    x = inputs = keras.Input((64, 64, 3))
    for index in range(5):
        x = _conv(f"down{index}", strides=2)(x)
        if index > 1:
            x = _residual(x, f"block{index}", activation=False)
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    expected = ("input", "block2_add", "block3_add")
    assert segments_lib.auto_taps(model) == expected


def test_a_single_merge_does_not_make_blocks_of_a_plain_network():
    x = inputs = keras.Input((32, 32, 3))
    for index in range(3):
        x = _conv(f"conv{index}", 4, 1 if index == 0 else 2)(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Concatenate(name="skip")([x, layers.MaxPooling2D(4)(inputs)])
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    # Since the input is joined in later, nothing before is a point.
    assert segments_lib.auto_taps(model) == ("input", "skip")
    x = inputs = keras.Input((32, 32, 3))
    for index in range(3):
        x = _conv(f"conv{index}", 4, 1 if index == 0 else 2)(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Concatenate(name="pyramid")([x, layers.ReLU(name="other")(x)])
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    expected = ("input", "relu0", "relu1", "relu2")
    assert segments_lib.auto_taps(model) == expected


@keras.saving.register_keras_serializable("noisymix_tf_tests")
class ImagenetNormalize(layers.Layer):
    """The kind of layer that people write themselves."""

    def call(self, x):
        return (x / 255.0 - 0.45) / 0.225


def _minus_mean(x):
    return x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)


HEADS = {
    "nothing": (lambda x: x, False),
    "rescaling": (layers.Rescaling(1 / 255), True),
    "normalization": (layers.Normalization(mean=0.5, variance=1.0), True),
    "augmentation": (
        keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                layers.RandomFlip(seed=1),
                layers.RandomRotation(0.1, seed=1),
                layers.Rescaling(1 / 255),
            ]
        ),
        True,
    ),
    "arithmetic": (lambda x: x / 127.5 - 1, True),
    "standardisation": (_minus_mean, True),
    "caffe": (keras.applications.resnet.preprocess_input, True),
    "tf": (keras.applications.mobilenet.preprocess_input, True),
    "torch": (keras.applications.densenet.preprocess_input, True),
    "lambda": (layers.Lambda(lambda x: x / 255), True),
    "own": (ImagenetNormalize(), True),
    "grey": (
        lambda x: layers.Rescaling(2.0)(
            layers.Concatenate()([x[..., :1], x[..., :1], x[..., 1:2]])
        ),
        True,
    ),
    "reshaped": (
        lambda x: layers.Rescaling(2.0)(layers.Reshape((16, 64, 3))(x)),
        True,
    ),
    "padding": (layers.ZeroPadding2D(1), False),
    "batch_norm": (layers.BatchNormalization(), False),
    "noise": (layers.GaussianNoise(0.1, seed=1), False),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_the_first_tap_is_behind_the_preprocessing(head, nested):
    prepare, is_preprocessing = HEADS[head]
    inputs = keras.Input((32, 32, 3))
    x = prepare(inputs)
    alone = keras.Model(inputs, x, name="prepare") if x is not inputs else None
    if nested and alone:
        inputs = keras.Input((32, 32, 3))
        x = alone(inputs)
    name = x._keras_history.operation.name
    x = layers.GlobalAveragePooling2D()(_conv("conv")(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    names, segments = segments_lib.cut(model)
    assert names == (name if is_preprocessing else "input", "conv")
    if is_preprocessing:
        images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
        np.testing.assert_array_equal(
            segments[0](images, training=False), alone(images, training=False)
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
        y = layers.Dense(32, "gelu")(y)
        y = layers.Dropout(0.1, seed=block)(layers.Dense(16)(y))
        x = add(x, y, f"block{block}")
    x = layers.LayerNormalization(name="norm")(x)
    x = x[:, 0] if class_token else layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(7, name="logits")(x))


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (4, ("block1", "block2", "block3")),
        (8, ("block2", "block4", "block6")),
        (12, ("block3", "block6", "block9")),
        (1, ("attention1", "block1")),
    ],
)
def test_transformers_are_cut_by_depth(depth, expected):
    assert segments_lib.auto_taps(_vit(depth)) == ("scale", *expected)


def test_transformers_of_bare_operations():
    model = _vit(4, with_ops=True)
    points = list(segments_lib.cut_points(model).items())
    sums = [n for n, t in points if t._keras_history.operation.name == n]
    sums = [n for n in sums if n.startswith("add")]
    assert len(sums) == 8
    hidden = segments_lib.auto_taps(model)[1:]
    assert hidden == (sums[1], sums[3], sums[5])


def test_transformers_with_a_class_token():
    taps = segments_lib.auto_taps(_vit(8, class_token=True))
    assert taps == ("scale", "block2", "block4", "block6")


def test_a_transformer_trains_and_segments_are_the_model(tmp_path):
    model = _vit(2)
    images = tf.random.stateless_uniform([4, 3, 32, 32, 3], [0, 1], 0, 255)
    x = images[:, 0]
    for segment in segments_lib.cut(model)[1]:
        x = segment(x, training=False)
    np.testing.assert_array_equal(x, model(images[:, 0], training=False))
    trainer = NoisyMix(model)
    trainer.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    before = [w.numpy() for w in model.trainable_weights]
    trainer.fit(images, tf.range(4), batch_size=4, verbose=0)
    still = [
        w.path
        for w, old in zip(model.trainable_weights, before)
        if (w.numpy() == old).all()
    ]
    # Attention does not depend on the keys' bias.
    assert all("key/bias" in path for path in still)
    model.save(tmp_path / "vit.keras")
    copy = keras.models.load_model(
        tmp_path / "vit.keras",
        custom_objects={"PositionEmbedding": PositionEmbedding},
    )
    np.testing.assert_array_equal(copy(images[:, 1]), model(images[:, 1]))


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (3, (1, 2, 3)),
        (4, (1, 2, 3)),
        (8, (2, 4, 6)),
    ],
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
    taps = segments_lib.auto_taps(_stack(*stack, shape=(6,)))
    assert taps == ("norm", *(f"relu{index}" for index in expected))


def test_images_without_convolutions_are_cut_behind_the_flattening():
    model = _stack(
        layers.Rescaling(1 / 255, name="scale"),
        layers.Flatten(name="flatten"),
        layers.Dense(8, "relu", name="hidden"),
        layers.Dense(5, name="logits"),
    )
    assert segments_lib.auto_taps(model) == ("scale", "hidden")


def test_blocks_that_are_layers_of_their_own():
    """Subclassed blocks hide their branches; their ends are points."""

    class Block(layers.Layer):
        def __init__(self, filters, strides, **kwargs):
            super().__init__(**kwargs)
            self.conv = _conv("conv", filters, strides)

        def build(self, shape):
            self.conv.build(shape)

        def compute_output_shape(self, shape):
            return self.conv.compute_output_shape(shape)

        def call(self, x):
            return self.conv(x)

    strides = (1, 1, 2, 1, 2, 1, 2, 1)
    blocks = [Block(4, s, name=f"block{i}") for i, s in enumerate(strides)]
    model = _stack(*blocks, layers.GlobalAveragePooling2D(), layers.Dense(2))
    expected = ("input", "block1", "block3", "block5")
    assert segments_lib.auto_taps(model) == expected


def test_no_points_leave_the_input():
    model = _stack(layers.Flatten(), layers.Dense(2))
    assert segments_lib.auto_taps(model) == ("input",)


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
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = layers.GlobalAveragePooling2D()(backbone(x))
    model = keras.Model(inputs, layers.Dense(5)(x))
    taps, segments = segments_lib.cut(model)
    points = segments_lib.cut_points(model)
    assert taps[0] == "scale"
    assert all(tap.startswith(f"{backbone.name}/") for tap in taps[1:])
    sides = [points[tap].shape[1] for tap in taps[1:]]
    assert len(sides) == 3 and sides == sorted(set(sides), reverse=True)
    x = images = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
    for segment in segments:
        x = segment(x, training=False)
    np.testing.assert_array_equal(x, model(images, training=False))
