"""Networks of keras.applications: cut exactly, trained whole, saved plain."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import fused_norm
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.trainer import NoisyMix

layers = keras.layers

SIDE, CLASSES = 64, 7


def _backbone(name, side, **arguments):
    arguments |= {"weights": None, "include_top": False}
    build = getattr(keras.applications, name)
    return build(input_shape=(side, side, 3), **arguments)


def _nested(backbone):
    """As for transfer learning: the network as a layer of another model."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.RandomFlip("horizontal", seed=1)(inputs)
    x = backbone(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2, seed=2)(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def _chain(segments, x, training):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _variables(model):
    """Those of its weights, and the states of its draws."""
    # Keras has no public list of a nested model's generators of numbers.
    flat = model._flatten_layers()
    seeds = [g.state for layer in flat for g in layer._seed_generators]
    return [*model.variables, *seeds]


OTHERS = "ResNet50", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"
SLOW = [pytest.param(name, {}, marks=pytest.mark.slow) for name in OTHERS]


@pytest.mark.parametrize(
    ("name", "arguments"), [("MobileNetV2", {"alpha": 0.35}), *SLOW]
)
def test_a_backbone_is_cut_exactly_trained_whole_and_saved_plain(
    name, arguments, monkeypatch, tmp_path
):
    model = _nested(_backbone(name, SIDE, **arguments))
    # The taps end the first stages: each the last sum of its resolution.
    points = segments_lib.cut_points(model)
    first, *hidden = segments_lib.auto_taps(model)
    assert first != "input"
    sides = (8, 4) if name == "MobileNetV3Small" else (16, 8, 4)
    assert [points[tap].shape[1:3] for tap in hidden] == [(s, s) for s in sides]
    names = list(points)
    for tap, side in zip(hidden, sides):
        later = names[names.index(tap) + 1 :]
        sums = [points[n] for n in later if "add" in n.lower()]
        assert all(s.shape[1] != side for s in sums)

    # The segments are the network bit for bit, its state and draws included.
    x = tf.random.stateless_uniform([6, SIDE, SIDE, 3], [0, 1], 0, 255)
    variables = _variables(model)
    with monkeypatch.context() as patch:
        patch.setattr(fused_norm, "applies", lambda *_: False)
        segments = segments_lib.cut(model)[1]
        for training in (False, True):
            before = [v.numpy() for v in variables]
            expected = model(x, training=training)
            after = [v.numpy() for v in variables]
            for variable, value in zip(variables, before):
                variable.assign(value)
            ours = _chain(segments, x, training)
            np.testing.assert_array_equal(ours, expected)
            for variable, value in zip(variables, after, strict=True):
                np.testing.assert_array_equal(variable, value)

    trainer = NoisyMix(model)
    # Adam also moves what has small gradients: ConvNeXt scales some by 1e-6.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-3)
    trainer.compile(optimizer, loss, run_eagerly=True, jit_compile=False)
    before = [w.numpy() for w in model.trainable_weights]
    views = tf.reshape(x, [2, 3, SIDE, SIDE, 3])
    logs = trainer.train_step((views, tf.range(2)))
    assert np.isfinite(logs["loss"])
    for weight, old in zip(model.trainable_weights, before):
        assert (weight.numpy() != old).any(), weight.path
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("DenseNet121", "conv2_block6_concat conv3_block12_concat"),
        ("VGG16", "block1_conv2 block2_conv2 block3_conv3"),
        ("MobileNet", "conv_pw_1_relu conv_pw_3_relu conv_pw_5_relu"),
        ("InceptionV3", "mixed2 mixed7"),
    ],
)
def test_auto_taps_of_networks_without_sums(name, hidden):
    backbone = _backbone(name, 96)
    x = layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, layers.Dense(CLASSES)(x))
    hidden = hidden.split()
    assert list(segments_lib.auto_taps(model)[1:])[: len(hidden)] == hidden
