"""Networks of keras.applications: cut exactly, trained whole, saved plain."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import fused_norm
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

layers = keras.layers

SIDE = 64
CLASSES = 7
NETWORKS = (
    "ResNet50",
    "MobileNetV3Small",
    "EfficientNetB0",
    "ConvNeXtTiny",
)
SLOW_TO_TRACE = tuple(n for n in NETWORKS if n != "MobileNetV3Small")
# Side of the features at the hidden taps, as a share of the image's.
STRIDES = {"MobileNetV3Small": (8, 16)}


def _network(name, **arguments):
    arguments = {"input_shape": (SIDE, SIDE, 3), **arguments}
    return getattr(keras.applications, name)(weights=None, **arguments)


def _flat(name):
    return _network(name, classes=CLASSES, classifier_activation=None)


def _nested(name):
    """As for transfer learning: the network as a layer of another model."""
    backbone = _network(name, include_top=False)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.RandomFlip("horizontal", seed=1)(inputs)
    x = backbone(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2, seed=2)(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """Its name, and a function that builds each form of it once."""
    return request.param, functools.cache(lambda form: form(request.param))


def _images(batch=4, side=SIDE):
    shape = (batch, side, side, 3)
    return tf.random.stateless_uniform(shape, [0, 1], 0, 255)


def _chain(segments, x, training):
    for segment in segments:
        x = segment(x, training=training)
    return x


def _state(model):
    return [v.numpy() for v in [*model.variables, *_seeds(model)]]


def _seeds(model):
    layers = model._flatten_layers()
    return [g.state for layer in layers for g in layer._seed_generators]


@pytest.mark.parametrize("form", [_flat, _nested])
def test_segments_are_the_network(network, form, monkeypatch):
    """Bit for bit, also in training, moving statistics and seeds included."""
    monkeypatch.setattr(fused_norm, "applies", lambda *_: False)
    _, build = network
    model = build(form)
    segments = segments_lib.cut(model)[1]
    x = _images()
    np.testing.assert_array_equal(
        _chain(segments, x, False), model(x, training=False)
    )
    own = {id(variable) for variable in model.variables}
    assert own == {id(v) for s in segments for v in s.variables}

    before = _state(model)
    expected = model(x, training=True)
    after = _state(model)
    for variable, value in zip([*model.variables, *_seeds(model)], before):
        variable.assign(value)
    np.testing.assert_array_equal(_chain(segments, x, True), expected)
    for ours, theirs in zip(_state(model), after):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", [_flat, _nested])
def test_auto_taps_end_the_first_stages(network, form):
    name, build = network
    model = build(form)
    points = segments_lib.cut_points(model)
    first, *hidden = segments_lib.auto_taps(model)
    if form is _nested or name in ("MobileNetV3Small", "ConvNeXtTiny"):
        assert first != "input"
    strides = STRIDES.get(name, (4, 8, 16))
    shapes = [points[tap].shape[1:3] for tap in hidden]
    assert shapes == [(SIDE // s, SIDE // s) for s in strides]
    # Each is the last sum or concatenation of its resolution.
    names = list(points)
    for tap, shape in zip(hidden, shapes):
        behind = [
            n for n in names[names.index(tap) + 1 :] if "add" in n.lower()
        ]
        assert all(points[n].shape[1:3] != shape for n in behind)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        (
            "ResNet50V2",
            ("conv2_block2_out", "conv3_block3_out", "conv4_block5_out"),
        ),
        (
            "DenseNet121",
            (
                "conv2_block6_concat",
                "conv3_block12_concat",
                "conv4_block24_concat",
            ),
        ),
        ("VGG16", ("block1_conv2", "block2_conv2", "block3_conv3")),
        ("MobileNet", ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu")),
        ("MobileNetV2", ("block_2_add", "block_5_add", "block_12_add")),
        ("EfficientNetV2B0", ("block2b_add", "block3b_add", "block5e_add")),
        ("InceptionV3", ("mixed2", "mixed7")),
        ("InceptionResNetV2", ("block35_10_ac", "block17_20_ac")),
    ],
)
def test_auto_taps_of_other_networks(name, hidden):
    model = _network(name, include_top=False, input_shape=(96, 96, 3))
    x = layers.GlobalAveragePooling2D()(model.output)
    model = keras.Model(model.input, layers.Dense(CLASSES)(x))
    assert segments_lib.auto_taps(model)[1:] == hidden


def test_one_step_trains_every_weight_and_saves_a_plain_model(
    network, tmp_path
):
    name, build = network
    model = build(_nested)
    trainer = NoisyMix(model)
    trainer.compile(
        # It also moves what has small gradients: ConvNeXt scales some by 1e-6.
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=name in SLOW_TO_TRACE,
        jit_compile=False,
    )
    views = tf.reshape(_images(12), [4, 3, SIDE, SIDE, 3])
    before = [w.numpy() for w in model.trainable_weights]
    data = tf.data.Dataset.from_tensors((views, tf.range(4)))
    history = trainer.fit(data, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"][0])
    still = [
        w.path
        for w, old in zip(model.trainable_weights, before)
        if (w.numpy() == old).all()
    ]
    assert not still
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    x = _images()
    np.testing.assert_array_equal(
        copy(x, training=False), model(x, training=False)
    )


@pytest.mark.slow
def test_resnet50_compiles_with_xla_and_is_not_traced_again():
    """Its segments and the mixing behind them.

    The noise, which is the same for every network, takes XLA as long as all
    of ResNet-50; the tests of the trainer compile it.
    """
    model = _network("ResNet50", input_shape=(32, 32, 3), classes=CLASSES)
    trainer = NoisyMix(model, additive_noise=0.0, multiplicative_noise=0.0)
    trainer.compile(
        L2SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=False),
        jit_compile=True,
    )
    traces = []
    step = trainer.train_step
    trainer.train_step = lambda data: traces.append(1) or step(data)
    views = tf.reshape(_images(12, 32), [4, 3, 32, 32, 3])
    data = tf.data.Dataset.from_tensors((views, tf.range(4))).repeat()
    before = model.get_weights()
    counts = []
    for _ in range(2):
        trainer.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
        counts.append(len(traces))
    # A function that creates variables (the optimizer's) is traced twice.
    assert counts[0] <= 2 and counts[1] == counts[0]
    for new, old in zip(model.get_weights(), before):
        assert np.isfinite(new).all() and (new != old).any()
