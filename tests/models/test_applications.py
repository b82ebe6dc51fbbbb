"""Networks of keras.applications: where they are cut, and exactly."""

import keras
import pytest
import tensorflow as tf

from noisymix_tf.training import segments as segments_lib

SLOW = "ResNet50 MobileNetV3Small EfficientNetB0 ConvNeXtTiny".split()
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SLOW]


@pytest.mark.parametrize("name", ["MobileNetV2", *SLOW])
def test_a_backbone_is_cut_exactly(name):
    """As for transfer learning: the network as a layer of another model."""
    inputs, layers = keras.Input((64, 64, 3)), keras.layers
    options = {"alpha": 0.35} if name == "MobileNetV2" else {}
    options |= {"include_top": False, "input_shape": inputs.shape[1:]}
    backbone = getattr(keras.applications, name)(weights=None, **options)
    h = layers.RandomFlip("horizontal", seed=1)(inputs)
    h = layers.GlobalAveragePooling2D()(backbone(h, training=False))
    h = layers.Dense(7)(layers.Dropout(0.2, seed=2)(h))
    model = keras.Model(inputs, h)
    # The taps end the first stages: each the last sum of its resolution.
    points = segments_lib.cut_points(model)
    first, *hidden = segments_lib.cut(model)[0]
    sides = (8, 4) if name == "MobileNetV3Small" else (16, 8, 4)
    assert first != "input" and len(hidden) == len(sides)
    for tap, side in zip(hidden, sides):
        later = list(points)[list(points).index(tap) + 1 :]
        assert points[tap].shape[1:3] == (side, side)
        sums = [points[n].shape[1] for n in later if "add" in n.lower()]
        assert side not in sums
    h = x = tf.random.stateless_uniform([6, 64, 64, 3], [0, 1], 0, 255)
    for segment in segments_lib.cut(model)[1]:
        h = segment(h, training=False)
    expected = model(x, training=False)
    assert tf.norm(h - expected) < 1e-5 * tf.norm(expected)
