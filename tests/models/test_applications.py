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
OTHERS = "ResNet50", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"
SLOW = [pytest.param(name, {}, marks=pytest.mark.slow) for name in OTHERS]


def _backbone(name, **arguments):
    build = getattr(keras.applications, name)
    defaults = {"input_shape": (SIDE, SIDE, 3), "include_top": False}
    return build(weights=None, **(defaults | arguments))


def _variables(model):
    """Those of its weights, and the states of its draws."""
    # Keras has no public list of a nested model's generators of numbers.
    flat = model._flatten_layers()
    seeds = [g.state for layer in flat for g in layer._seed_generators]
    return [*model.variables, *seeds]


@pytest.mark.parametrize(
    ("name", "arguments"), [("MobileNetV2", {"alpha": 0.35}), *SLOW]
)
def test_a_backbone_is_cut_exactly_trained_whole_and_saved_plain(
    name, arguments, monkeypatch, tmp_path
):
    """As for transfer learning: the network as a layer of another model."""
    inputs = keras.Input((SIDE, SIDE, 3))
    h = layers.RandomFlip("horizontal", seed=1)(inputs)
    h = _backbone(name, **arguments)(h, training=False)
    h = layers.Dropout(0.2, seed=2)(layers.GlobalAveragePooling2D()(h))
    model = keras.Model(inputs, layers.Dense(CLASSES)(h))
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

    # The segments are the network, its state and draws included.
    x = tf.random.stateless_uniform([6, SIDE, SIDE, 3], [0, 1], 0, 255)
    variables = _variables(model)
    with monkeypatch.context() as patch:
        patch.setattr(fused_norm, "applies", lambda *_: False)
        for training in (False, True):
            before = [v.numpy() for v in variables]
            expected = [model(x, training=training), *map(np.array, variables)]
            for variable, value in zip(variables, before):
                variable.assign(value)
            h = x
            for segment in segments_lib.cut(model)[1]:
                h = segment(h, training=training)
            for ours, theirs in zip([h, *variables], expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

    trainer = NoisyMix(model)
    # Adam also moves what has small gradients: ConvNeXt scales some by 1e-6.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-3)
    trainer.compile(optimizer, loss, run_eagerly=True, jit_compile=False)
    before = [w.numpy() for w in model.trainable_weights]
    views = tf.reshape(x, [2, 3, SIDE, SIDE, 3])
    assert np.isfinite(trainer.train_step((views, tf.range(2)))["loss"])
    for weight, old in zip(model.trainable_weights, before):
        assert (weight.numpy() != old).any(), weight.path
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("DenseNet121", "conv2_block6_concat"),
        ("VGG16", "block1_conv2"),
        ("InceptionV3", "mixed2"),
    ],
)
def test_auto_taps_of_networks_without_sums(name, hidden):
    backbone = _backbone(name, input_shape=(96, 96, 3))
    x = layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, layers.Dense(CLASSES)(x))
    assert segments_lib.auto_taps(model)[1] == hidden
