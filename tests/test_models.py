import itertools
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models
from noisymix_tf.errors import UsageError

GOLDEN = {
    "preact": (
        "tiny_preactresnet18_w0125.npz",
        lambda **kw: models.build("preact_resnet18", width=0.125, **kw),
    ),
    "wrn": (
        "tiny_wrn10_1.npz",
        lambda **kw: models.wide_resnet(10, 1, dropout=0.0, **kw),
    ),
}


@pytest.fixture(scope="module", params=list(GOLDEN))
def case(request, golden):
    """`(arrays, build)`: oracle data, and the network with its weights."""
    file, build = GOLDEN[request.param]
    arrays = golden(file)

    def loaded():
        model = build()
        models.load_torch_weights(
            model,
            {k[3:]: arrays[k] for k in arrays.files if k.startswith("w__")},
        )
        return model

    return arrays, loaded


def images_like(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def segments(model, taps):
    """The model's functions from pixels to the first tap, tap to tap..."""
    points = [
        model.input,
        *(model.get_layer(t).output for t in taps),
        model.output,
    ]
    return [keras.Model(a, b) for a, b in itertools.pairwise(points)]


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


def trainable_count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# Agreement with the reference.


def test_eval_logits(case):
    arrays, build = case
    logits = build()(arrays["images_uint8"][:8], training=False)
    np.testing.assert_allclose(logits, arrays["eval_logits_first8"], atol=1e-4)


def test_train_logits_and_running_statistics(case):
    arrays, build = case
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
        name = models.torch_weights.torch_name(layer.name)
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
    arrays, build = case
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


@pytest.mark.parametrize("k", range(4))
def test_noisymix_logits_loss_and_gradients(case, k):
    arrays, build = case
    model = build()
    parts = segments(model, models.default_taps("preact_resnet18"))
    lam, perm = float(arrays["lam"]), arrays["perm"]
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
    layouts = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    for name, gradient in zip(variables, gradients):
        expected = arrays[f"grad_{name}_k{k}"]
        actual = np.transpose(gradient, layouts[expected.ndim])
        error = np.abs(actual - expected).max() / np.abs(expected).max()
        assert error < 1e-3, (name, error)


REFERENCE_NAMES = {
    "preact_resnet18": "PreActResNet18",
    "preact_wide_resnet18": "PreActWideResNet18",
    "wide_resnet28_4": "WideResNet28",
}


@pytest.mark.parametrize("name", models.MODELS.names())
def test_shapes_and_counts_of_every_layer(golden, name):
    reference = golden("params_and_shapes.json")
    expected = reference[f"{REFERENCE_NAMES[name]}_10"]
    model = models.build(name)
    assert trainable_count(model) == expected["trainable_params"]
    assert model.count_params() == expected["keras_total_params"]
    layers = {
        models.torch_weights.torch_name(layer.name): layer
        for layer in model.layers
        if layer.weights
    }
    layers.update({f"layer{i}": model.get_layer(f"stage{i}") for i in (1, 2)})
    rows = {row["name"]: row for row in expected["layers_in_call_order"]}
    for torch_name, layer in layers.items():
        shape = rows[torch_name]["out_nchw"]
        if len(shape) == 4:
            shape = [shape[i] for i in (0, 2, 3, 1)]
        assert list(layer.output.shape) == shape, torch_name
    # And the other way round: the reference has no layer that is missing.
    weighted = {n for n, r in rows.items() if r["type"] != "Sequential"}
    weighted = {n for n in weighted if rows[n]["n_params"]}
    assert weighted <= set(layers)


@pytest.mark.parametrize(
    "name, classes, count",
    [
        ("preact_resnet18", 10, 11_171_146),
        ("preact_resnet18", 100, 11_217_316),
        ("wide_resnet28_4", 10, 5_853_098),
        ("wide_resnet28_4", 100, 5_876_228),
    ],
)
def test_published_parameter_counts(name, classes, count):
    model = models.build(name, num_classes=classes)
    assert trainable_count(model) == count


@pytest.mark.parametrize("width, count", [(0.25, 700_762), (0.125, 176_050)])
def test_width(width, count):
    model = models.build("preact_resnet18", width=width)
    assert trainable_count(model) == count


# What the reference's constants are.


def test_batch_norm_constants():
    for model in (
        models.build("preact_resnet18", width=0.125),
        models.wide_resnet(10, 1),
    ):
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                last = layer.name == "final_bn"
                assert layer.momentum == (0.1 if last else 0.9)
                assert layer.epsilon == 1e-5


@pytest.mark.parametrize("rate, expected", [(None, 0.1), (0.3, 0.3), (0.0, 0)])
def test_dropout_of_the_wide_resnet(rate, expected):
    layers = models.wide_resnet(16, 1, dropout=rate).layers
    rates = [x.rate for x in layers if isinstance(x, keras.layers.Dropout)]
    assert rates == ([expected] * 6 if expected else [])


def test_the_preact_resnet_has_dropout_only_when_asked():
    def count(dropout):
        model = models.build("preact_resnet18", width=0.02, dropout=dropout)
        return sum(isinstance(x, keras.layers.Dropout) for x in model.layers)

    assert count(None) == 0
    assert count(0.1) == 8


def test_initial_weights_follow_pytorchs_default():
    model = models.build("wide_resnet28_4", seed=3)
    pooled = []
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            bound = np.prod(layer.kernel.shape[:-1]) ** -0.5
            for variable in (layer.kernel, layer.bias):
                scaled = np.ravel(variable) / bound
                assert np.abs(scaled).max() <= 1
                pooled.append(scaled)
    biases = np.concatenate(pooled[1::2])
    kernels = np.concatenate(pooled[::2])
    for values in (kernels, biases):
        # Uniform(-1, 1): mean 0, variance 1/3, fourth moment 1/5.
        n = values.size
        assert abs(values.mean()) < 4 * np.sqrt(1 / 3 / n)
        assert abs((values**2).mean() - 1 / 3) < 4 * np.sqrt(4 / 45 / n)


# A build is a pure function of its arguments.


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    def weights(seed):
        return models.build("wide_resnet28_4", width=0.25, seed=seed).weights

    keras.utils.set_random_seed(1)
    first = weights(5)
    keras.utils.set_random_seed(2)
    second = weights(5)
    other = weights(6)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
    changed = [v for v in first if v.name in ("kernel", "bias")]
    others = [v for v in other if v.name in ("kernel", "bias")]
    assert all(np.any(a != b) for a, b in zip(changed, others))


def test_no_two_layers_start_alike():
    model = models.wide_resnet(28, 1, dropout=0.0)
    starts = [
        tuple(np.ravel(v)[:4])
        for v in model.trainable_variables
        if v.name in ("kernel", "bias")
    ]
    assert len(set(starts)) == len(starts)


def test_the_global_seed_is_left_alone():
    keras.utils.set_random_seed(7)
    undisturbed = np.asarray(keras.random.normal([4]))
    keras.utils.set_random_seed(7)
    models.wide_resnet(10, 1)
    np.testing.assert_array_equal(keras.random.normal([4]), undisturbed)


def test_layer_names_do_not_depend_on_earlier_builds():
    first = [x.name for x in models.wide_resnet(10, 1).layers]
    second = [x.name for x in models.wide_resnet(10, 1).layers]
    assert first == second


def test_dropout_draws_are_seeded():
    images = images_like([4, 32, 32, 3])
    a, b, c = (
        models.wide_resnet(10, 1, dropout=0.5, seed=s)(images, training=True)
        for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


# Input and output.


def test_uint8_and_float32_images_give_the_same_logits():
    model = models.wide_resnet(10, 1)
    images = images_like([3, 32, 32, 3])
    expected = model(images.astype(np.float32))
    for x in (images, tf.constant(images)):
        logits = model(x)
        assert logits.dtype == tf.float32
        np.testing.assert_array_equal(logits, expected)


def test_normalisation_per_channel():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    model = models.wide_resnet(10, 1, mean=mean, std=std)
    tap = keras.Model(model.input, model.get_layer("normalize").output)
    images = images_like([2, 32, 32, 3])
    expected = (images / 255.0 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(tap(images), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64, 3), (224, 224, 3), (40, 24, 3)])
@pytest.mark.parametrize("family", ["preact", "wrn"])
def test_other_image_sizes(family, shape):
    model = GOLDEN[family][1](input_shape=shape, num_classes=7)
    assert model.output_shape == (None, 7)
    halvings = {"preact": 3, "wrn": 2}[family]
    last = model.get_layer(f"stage{halvings + 1}").output.shape
    assert last[1:3] == tuple(side // 2**halvings for side in shape[:2])
    logits = model(images_like([1, *shape]))
    assert np.all(np.isfinite(logits))


def test_unknown_image_size_and_grey_images():
    model = models.build(
        "preact_resnet18",
        width=0.125,
        input_shape=(None, None, 1),
        mean=0.5,
        std=0.25,
    )
    for side in (16, 33):
        assert model(images_like([2, side, side, 1])).shape == (2, 10)


@pytest.mark.parametrize("name", models.MODELS.names())
def test_taps_are_cuts_of_the_network(name):
    model = models.build(name, width=0.0625)
    images = images_like([2, 32, 32, 3])
    h = images
    for part in segments(model, models.default_taps(name)):
        h = part(h)
    np.testing.assert_allclose(h, model(images), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_pixels_and_logits_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = models.wide_resnet(10, 1, seed=1)
        assert model.get_layer("stage1").compute_dtype == policy[6:]
        assert model.get_layer("normalize").output.dtype == "float32"
        images = images_like([4, 32, 32, 3])
        logits = model(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == tf.float32
    expected = models.wide_resnet(10, 1, seed=1)(images)
    np.testing.assert_allclose(logits, expected, atol=0.05)
    assert np.any(logits != expected)


@pytest.mark.parametrize("family", list(GOLDEN))
def test_compiles_under_xla(family):
    model = GOLDEN[family][1]()
    images = images_like([2, 32, 32, 3]).astype(np.float32)
    compiled = tf.function(model, jit_compile=True)
    np.testing.assert_allclose(compiled(images), model(images), atol=1e-5)


# Saving.


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_saved_model_loads_without_this_package(tmp_path, policy):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = images_like([4, 32, 32, 3])
    np.save(tmp_path / "images.npy", images)
    keras.config.set_dtype_policy(policy)
    try:
        for name, model in {
            "preact": models.build(
                "preact_resnet18", width=0.125, mean=mean, std=std
            ),
            "wrn": models.wide_resnet(10, 1, mean=mean, std=std),
        }.items():
            model(images, training=True)  # moves the running statistics
            model.save(tmp_path / f"{name}.keras")
            np.save(tmp_path / f"{name}.npy", model(images))
    finally:
        keras.config.set_dtype_policy("float32")
    script = """
        import sys
        sys.modules["noisymix_tf"] = None
        import keras, numpy as np
        images = np.load("images.npy")
        for name in "preact", "wrn":
            model = keras.models.load_model(f"{name}.keras")
            logits = np.asarray(model(images))
            np.testing.assert_array_equal(logits, np.load(f"{name}.npy"))
            try:
                import noisymix_tf
            except ImportError:
                print("ok")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "ok\nok\n", done.stderr


# Arguments that cannot be used.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "resnet_2"}, "Unknown model 'resnet_2'"),
        ({"input_shape": (7, 32, 3)}, "too small"),
        ({"input_shape": (32, 32)}, "height, width, channels"),
        ({"input_shape": (32, 32, 0)}, "no channels"),
        ({"input_shape": (32, 32, None)}, "height, width, channels"),
        ({"input_shape": (32, 32, 1)}, "mean has 3 values"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"width": 0}, "width is 0"),
        ({"width": -1.0}, "width is -1.0"),
        ({"width": float("nan")}, "width is nan"),
        ({"width": 0.005}, "leaves none of 64 channels"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"std": (0.5, 0.0, 0.5)}, "std is"),
        ({"std": (0.5, 0.5)}, "std has 2 values"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"name": "preact_resnet18", "width": 0.0625, **arguments}
    with pytest.raises(UsageError, match=message) as error:
        models.build(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("depth", [4, 12, 27])
def test_depths_that_do_not_exist(depth):
    with pytest.raises(UsageError, match=f"depth {depth}"):
        models.wide_resnet(depth, 1)


def test_taps_of_an_unknown_model():
    with pytest.raises(UsageError, match="Known: preact_resnet18"):
        models.default_taps("resnet_2")
