"""The reference's own networks: shapes, counts, values and gradients."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from noisymix_tf import models

LAYOUTS = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


class Case:
    """Oracle data, and the network with its weights."""

    def __init__(self, arrays, model, name):
        self.arrays, self.model = arrays, model
        self.names = models.MODELS.get(name).torch_names[0]
        self.images, self.perm = arrays["images_uint8"], arrays["perm"]
        self.lam, files = arrays["lam"].item(), arrays.files
        self.state = {k[3:]: arrays[k] for k in files if k.startswith("w__")}
        # The functions from pixels to the first tap, tap to tap...
        taps = [model.get_layer(t).output for t in models.default_taps(name)]
        points = [model.input, *taps, model.output]
        self.parts = [keras.Model(*ends) for ends in itertools.pairwise(points)]

    def mixed(self, images, k):
        """Logits in training, with the views' examples mixed at tap `k`."""
        h = images
        for index, part in enumerate(self.parts):
            h = part(h, training=True)
            if index == k:
                views = tf.reshape(h, [-1, len(self.perm), *h.shape[1:]])
                other = tf.gather(views, self.perm, axis=1)
                mixed = self.lam * views + (1 - self.lam) * other
                h = tf.reshape(mixed, h.shape)
        return h

    def loss(self, logits):
        """Mixed cross-entropy on the clean third plus 12 times the JSD."""
        log_p = tf.nn.log_softmax(tf.reshape(logits, [3, len(self.perm), -1]))
        p = tf.exp(log_p)
        log_m = tf.math.log(tf.clip_by_value(tf.reduce_mean(p, 0), 1e-7, 1.0))
        jsd = tf.reduce_mean(tf.reduce_sum(p * (log_p - log_m), axis=-1))
        labels = self.arrays["targets"]
        own, other = (
            -tf.reduce_mean(tf.gather(log_p[0], y, batch_dims=1))
            for y in (labels, labels[self.perm])
        )
        return self.lam * own + (1 - self.lam) * other + 12.0 * jsd


WRN = "golden", "tiny_wrn10_1.npz", "wide_resnet28_4"
PREACT = "full_golden", "tiny_preactresnet18_w0125.npz", "preact_resnet18"
PREACT = pytest.param(PREACT, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[WRN, PREACT], ids=["wrn", "preact"])
def case(request):
    """The data of the first are small enough for the repository."""
    load, file, name = request.param
    if request.param == WRN:
        model = models.wide_resnet(10, 1, dropout=0.0)
    else:
        model = models.build(name, width=0.125)
    return Case(request.getfixturevalue(load)(file), model, name)


def test_logits_and_running_statistics(case):
    models.load_torch_weights(case.model, case.state)
    images, arrays = case.images[:8], case.arrays
    expected = arrays["eval_logits_first8"]
    assert_allclose(case.model(images), expected, atol=1e-4)
    logits = case.model(images, training=True)
    assert_allclose(logits, arrays["train_logits_first8_nomix"], atol=1e-4)
    checked = 0
    for layer in case.model.layers:
        name = case.names.of(layer.name)
        key = f"train_nomix_after__{name}.running_"
        if f"{key}mean" not in arrays.files:
            continue
        checked += 1
        # PyTorch keeps the unbiased variance of a batch, Keras the biased.
        count = np.prod([8, *layer.output.shape[1:3]])
        kept = layer.momentum * case.state[f"{name}.running_var"]
        unbiased = (layer.moving_variance - kept) * count / (count - 1) + kept
        assert_allclose(layer.moving_mean, arrays[f"{key}mean"], atol=1e-5)
        assert_allclose(unbiased, arrays[f"{key}var"], rtol=1e-4)
    assert checked >= 3


@pytest.mark.parametrize("k", range(4))
def test_mixed_logits_loss_and_gradients(case, k):
    arrays, layer = case.arrays, case.model.get_layer
    variables = [layer("stem").kernel, layer("logits").kernel]
    variables.append(layer("stage2_block1_bn1").gamma)
    models.load_torch_weights(case.model, case.state)
    logits = case.mixed(case.images[:8], k)
    assert_allclose(logits, arrays[f"train_logits_k{k}_jsd0"], atol=1e-4)
    with tf.GradientTape() as tape:
        logits = case.mixed(case.images, k)
        loss = case.loss(logits)
    assert_allclose(logits, arrays[f"train_logits_k{k}_jsd1"], atol=1e-4)
    assert abs(float(loss) - arrays[f"loss_k{k}"].item()) < 1e-4
    gradients = tape.gradient(loss, [v.value for v in variables])
    names = "conv1", "linear", "layer2_0_bn1_weight"
    for name, gradient in zip(names, gradients):
        expected = arrays[f"grad_{name}_k{k}"]
        error = np.transpose(gradient, LAYOUTS[expected.ndim]) - expected
        # Some rectifier may stand so near its kink that rounding, which
        # differs among processors, decides on its side.
        assert np.linalg.norm(error) < 0.02 * np.linalg.norm(expected)


NAMES = [
    ("preact_resnet18", "PreActResNet18"),
    ("wide_resnet28_4", "WideResNet28"),
    ("resnet50", "ResNet50"),
]


@pytest.mark.parametrize("name, theirs", NAMES)
def test_shapes_counts_and_entries_of_every_layer(golden, name, theirs):
    file = golden("params_and_shapes.json")
    expected = file[f"{theirs}_10"]
    model = models.build(name, num_classes=10)
    trainable = sum(np.prod(v.shape) for v in model.trainable_variables)
    for classes in (10, 100, 1000):
        more = (classes - 10) * (model.get_layer("logits").kernel.shape[0] + 1)
        counts = file[f"{theirs}_{classes}"]
        assert trainable + more == counts["trainable_params"]
        assert model.count_params() + more == counts["keras_total_params"]
    channels, height, width = expected["input_nchw"][1:]
    assert model.input_shape[1:] == (height, width, channels)
    (names,) = models.MODELS.get(name).torch_names
    layers = {names.of(x.name): x for x in model.layers if x.weights}
    for stage in "123":
        layers[f"layer{stage}"] = model.get_layer(f"stage{stage}")
    rows = {row["name"]: row for row in expected["layers_in_call_order"]}
    for torch_name, layer in layers.items():
        _, channels, *sides = rows[torch_name]["out_nchw"]
        assert layer.output.shape[1:] == (*sides, channels), torch_name
    # And the other way round: the reference has no layer that is missing.
    for torch_name, row in rows.items():
        if row["n_params"] and not row["type"].startswith("Sequential"):
            assert torch_name in layers
    # Every entry of a state dict becomes one variable.
    shapes = expected["state_dict_shapes"]
    state = {k: np.full(s, i, "f") for i, (k, s) in enumerate(shapes.items())}
    models.load_torch_weights(model, state)
    found = np.concatenate([np.unique(v) for v in model.weights])
    weights = [i for i, k in enumerate(shapes) if "num_batches" not in k]
    assert sorted(found) == weights


def test_the_wide_one_is_the_other_at_twice_the_width():
    wide = models.build("preact_wide_resnet18", width=0.0625)
    other = models.build("preact_resnet18", width=0.125)
    assert [v.shape for v in wide.weights] == [v.shape for v in other.weights]
