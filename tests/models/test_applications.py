"""Networks of keras.applications: cut exactly."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from noisymix_tf.training import fused_norm
from noisymix_tf.training import segments as segments_lib

SIDE = 64
SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("name", "sides", "options"),
    [
        ("MobileNetV2", (16, 8, 4), {"alpha": 0.35}),
        pytest.param("ResNet50", (16, 8, 4), {}, **SLOW),
        pytest.param("MobileNetV3Small", (8, 4), {}, **SLOW),
        pytest.param("EfficientNetB0", (16, 8, 4), {}, **SLOW),
        pytest.param("ConvNeXtTiny", (16, 8, 4), {}, **SLOW),
    ],
)
def test_a_backbone_is_cut_exactly(name, sides, options, monkeypatch):
    """As for transfer learning: the network as a layer of another model."""
    inputs, layers = keras.Input((SIDE, SIDE, 3)), keras.layers
    options |= {"include_top": False, "input_shape": inputs.shape[1:]}
    backbone = getattr(keras.applications, name)(weights=None, **options)
    h = layers.RandomFlip("horizontal", seed=1)(inputs)
    h = layers.GlobalAveragePooling2D()(backbone(h, training=False))
    h = layers.Dense(7)(layers.Dropout(0.2, seed=2)(h))
    model = keras.Model(inputs, h)
    # The taps end the first stages: each the last sum of its resolution.
    points = segments_lib.cut_points(model)
    first, *hidden = segments_lib.auto_taps(model)
    assert first != "input" and len(hidden) == len(sides)
    for tap, side in zip(hidden, sides):
        later = list(points)[list(points).index(tap) + 1 :]
        assert points[tap].shape[1:3] == (side, side)
        sums = [points[n].shape[1] for n in later if "add" in n.lower()]
        assert side not in sums
    # The segments are the network, its state and draws included: Keras has no
    # public list of a nested model's generators of numbers.
    flat = model._flatten_layers()
    variables = [g.state for layer in flat for g in layer._seed_generators]
    variables += model.variables
    x = tf.random.stateless_uniform([6, SIDE, SIDE, 3], [0, 1], 0, 255)
    with monkeypatch.context() as patch:
        patch.setattr(fused_norm, "applies", lambda *_: False)
        before = [v.numpy() for v in variables]
        expected = [model(x, training=True), *map(np.array, variables)]
        for variable, value in zip(variables, before):
            variable.assign(value)
        h = x
        for segment in segments_lib.cut(model)[1]:
            h = segment(h, training=True)
    for ours, theirs in zip([h, *variables], expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
