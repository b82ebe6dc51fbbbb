"""The reference's own networks: shapes, counts, values and gradients."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from support.network_checks import segments, trainable_count

GOLDEN = {
    "preact": (
        "tiny_preactresnet18_w0125.npz",
        lambda: models.build("preact_resnet18", width=0.125),
        models.MODELS.get("preact_resnet18").torch_names[0],
    ),
    "wrn": (
        "tiny_wrn10_1.npz",
        lambda: models.wide_resnet(10, 1, dropout=0.0),
        models.MODELS.get("wide_resnet28_4").torch_names[0],
    ),
}


@pytest.fixture(scope="module", params=list(GOLDEN))
def case(request, golden):
    """`(arrays, build, names)`: oracle data, and the network with weights."""
    file, build, names = GOLDEN[request.param]
    arrays = golden(file)

    def loaded():
        model = build()
        models.load_torch_weights(
            model,
            {k[3:]: arrays[k] for k in arrays.files if k.startswith("w__")},
        )
        return model

    return arrays, loaded, names


def mixed_forward(parts, images, k, lam, perm):
    """Training-mode logits with the thirds of a batch mixed at tap `k`."""
    h = images
    for index, part in enumerate(parts):
        h = part(h, training=True)
        if index == k:
            views = tf.reshape(h, [-1, len(perm), *h.shape[1:]])
            other = tf.gather(views, perm, axis=1)
            h = tf.reshape(lam * views + (1 - lam) * other, h.shape)
    return h


def noisymix_loss(logits, labels, lam, perm, jsd_weight=12.0):
    """Mixed cross-entropy on the clean third plus the three-way JSD."""
    log_p = tf.nn.log_softmax(tf.reshape(logits, [3, len(perm), -1]))
    classes = logits.shape[-1]

    def cross_entropy(y):
        picked = tf.reduce_sum(log_p[0] * tf.one_hot(y, classes), axis=-1)
        return -tf.reduce_mean(picked)

    p = tf.exp(log_p)
    log_m = tf.math.log(tf.clip_by_value(tf.reduce_mean(p, 0), 1e-7, 1.0))
    jsd = tf.reduce_mean(tf.reduce_sum(p * (log_p - log_m), axis=-1))
    return (
        lam * cross_entropy(labels)
        + (1 - lam) * cross_entropy(labels[perm])
        + jsd_weight * jsd
    )


def test_eval_logits(case):
    arrays, build, _ = case
    logits = build()(arrays["images_uint8"][:8], training=False)
    np.testing.assert_allclose(logits, arrays["eval_logits_first8"], atol=1e-4)


def test_train_logits_and_running_statistics(case):
    arrays, build, names = case
    model = build()
    images = arrays["images_uint8"][:8]
    before = {k[3:]: arrays[k] for k in arrays.files if k.startswith("w__")}
    logits = model(images, training=True)
    np.testing.assert_allclose(
        logits, arrays["train_logits_first8_nomix"], atol=1e-4
    )
    checked = 0
    for layer in model.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        name = names.of(layer.name)
        prefix = f"train_nomix_after__{name}"
        if f"{prefix}.running_mean" not in arrays.files:
            continue
        checked += 1
        # PyTorch keeps the unbiased variance of a batch, Keras the biased.
        count = np.prod([8, *layer.output.shape[1:3]])
        keep = layer.momentum
        old = before[f"{name}.running_var"]
        biased = (layer.moving_variance - keep * old) / (1 - keep)
        unbiased = keep * old + (1 - keep) * biased * count / (count - 1)
        np.testing.assert_allclose(
            layer.moving_mean, arrays[f"{prefix}.running_mean"], atol=1e-5
        )
        np.testing.assert_allclose(
            unbiased, arrays[f"{prefix}.running_var"], rtol=1e-4
        )
    assert checked >= 3


@pytest.mark.parametrize("k", range(4))
def test_mixed_logits_single_view(case, k):
    arrays, build, _ = case
    parts = segments(build(), models.default_taps("preact_resnet18"))
    logits = mixed_forward(
        parts,
        arrays["images_uint8"][:8],
        k,
        float(arrays["lam"]),
        arrays["perm"],
    )
    np.testing.assert_allclose(
        logits, arrays[f"train_logits_k{k}_jsd0"], atol=1e-4
    )


def nudged(model, number):
    """The model with weights that differ by no more than they are rounded."""
    rng = np.random.default_rng(number)
    for variable in model.trainable_variables if number else ():
        sign = rng.choice([-1, 1], variable.shape)
        variable.assign(variable * (1 + 1e-7 * sign))
    return model


@pytest.mark.parametrize("k", range(4))
def test_noisymix_logits_loss_and_gradients(case, k):
    arrays, build, _ = case
    lam, perm = float(arrays["lam"]), arrays["perm"]
    layouts = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}

    def errors(model):
        """Of the gradients, relative to the largest entry."""
        parts = segments(model, models.default_taps("preact_resnet18"))
        variables = {
            "conv1": model.get_layer("stem").kernel,
            "linear": model.get_layer("logits").kernel,
            "layer2_0_bn1_weight": model.get_layer("stage2_block1_bn1").gamma,
        }
        with tf.GradientTape() as tape:
            logits = mixed_forward(parts, arrays["images_uint8"], k, lam, perm)
            loss = noisymix_loss(logits, arrays["targets"], lam, perm)
        gradients = tape.gradient(loss, [v.value for v in variables.values()])
        np.testing.assert_allclose(
            logits, arrays[f"train_logits_k{k}_jsd1"], atol=1e-4
        )
        assert abs(float(loss) - float(arrays[f"loss_k{k}"])) < 1e-4
        for name, gradient in zip(variables, gradients):
            expected = arrays[f"grad_{name}_k{k}"]
            actual = np.transpose(gradient, layouts[expected.ndim])
            yield np.abs(actual - expected).max() / np.abs(expected).max()

    # Some rectifier stands so near its kink that rounding, which differs among
    # processors, decides on which side: one of the sides is the reference's.
    sides = (max(errors(nudged(build(), number))) for number in range(8))
    assert any(error < 1e-3 for error in sides)


REFERENCE_NAMES = {
    "preact_resnet18": "PreActResNet18",
    "preact_wide_resnet18": "PreActWideResNet18",
    "wide_resnet28_4": "WideResNet28",
    "resnet50": "ResNet50",
}


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_shapes_and_counts_of_every_layer(golden, name):
    reference = golden("params_and_shapes.json")
    expected = reference[f"{REFERENCE_NAMES[name]}_10"]
    model = models.build(name, num_classes=10)
    assert trainable_count(model) == expected["trainable_params"]
    assert model.count_params() == expected["keras_total_params"]
    channels, height, width = expected["input_nchw"][1:]
    assert model.input_shape[1:] == (height, width, channels)
    (names,) = models.MODELS.get(name).torch_names
    layers = {names.of(x.name): x for x in model.layers if x.weights}
    stages = [x for x in model.layers if re.fullmatch(r"stage\d", x.name)]
    assert len(stages) >= 3
    layers |= {x.name.replace("stage", "layer"): x for x in stages}
    rows = {row["name"]: row for row in expected["layers_in_call_order"]}
    for torch_name, layer in layers.items():
        shape = rows[torch_name]["out_nchw"]
        if len(shape) == 4:
            shape = [shape[i] for i in (0, 2, 3, 1)]
        assert list(layer.output.shape) == shape, torch_name
    # And the other way round: the reference has no layer that is missing.
    weighted = {
        name
        for name, row in rows.items()
        if row["n_params"] and not row["type"].startswith("Sequential")
    }
    assert weighted <= set(layers)


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_every_entry_of_a_state_dict_becomes_one_variable(golden, name):
    reference = golden("params_and_shapes.json")
    shapes = reference[f"{REFERENCE_NAMES[name]}_10"]["state_dict_shapes"]
    model = models.build(name, num_classes=10)
    models.load_torch_weights(
        model,
        {
            key: np.full(shape, index, np.float32)
            for index, (key, shape) in enumerate(shapes.items())
        },
    )
    found = np.concatenate([np.unique(v) for v in model.weights])
    weights = [i for i, k in enumerate(shapes) if "num_batches" not in k]
    assert sorted(found) == weights


@pytest.mark.parametrize("classes", [100, 1000])
@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_parameter_counts(golden, name, classes):
    reference = golden("params_and_shapes.json")
    expected = reference[f"{REFERENCE_NAMES[name]}_{classes}"]
    model = models.build(name, num_classes=classes)
    assert trainable_count(model) == expected["trainable_params"]
    assert model.count_params() == expected["keras_total_params"]
