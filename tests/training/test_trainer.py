"""The train step against the reference's loss and against itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import models, rng
from noisymix_tf.training.optimizers import L2SGD
from noisymix_tf.training.trainer import NoisyMix

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _preact_resnet():
    return models.build("preact_resnet18", width=0.125)


def _classifier():
    """A residual network small enough to trace in no time."""

    def convolution(name, strides=1):
        return keras.layers.Conv2D(
            4,
            3,
            strides,
            padding="same",
            name=name,
            kernel_initializer=keras.initializers.HeNormal(seed=len(name)),
        )

    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(inputs)
    x = convolution("stem", 4)(x)
    x = keras.layers.BatchNormalization(name="norm1")(x)
    branch = convolution("conv1")(keras.layers.ReLU()(x))
    x = keras.layers.Add(name="stage1")([x, branch])
    x = convolution("down", 2)(x)
    x = keras.layers.BatchNormalization(name="norm2")(x)
    branch = convolution("conv2")(keras.layers.ReLU()(x))
    x = keras.layers.Add(name="stage2")([x, branch])
    x = keras.layers.GlobalAveragePooling2D()(x)
    init = keras.initializers.GlorotUniform(seed=0)
    outputs = keras.layers.Dense(
        10, kernel_initializer=init, name="logits", dtype="float32"
    )(x)
    return keras.Model(inputs, outputs)


def _compiled(model=None, *, jit_compile=False, learning_rate=0.05, **kwargs):
    trainer = NoisyMix(model or _classifier(), **kwargs)
    trainer.compile(
        optimizer=L2SGD(learning_rate, momentum=0.9, nesterov=True),
        loss=CROSS_ENTROPY,
        # An object: a name would cost a second trace of the step.
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        jit_compile=jit_compile,
    )
    return trainer


def _batch(num_views=3, batch_size=8, seed=0):
    views = tf.random.stateless_uniform(
        [batch_size, num_views, 32, 32, 3], [seed, 1], 0, 255
    )
    labels = tf.random.stateless_uniform(
        [batch_size], [seed, 2], 0, 10, tf.int32
    )
    return views, labels


def _dataset(*args, **kwargs):
    return tf.data.Dataset.from_tensors(_batch(*args, **kwargs)).repeat()


def _fit(trainer, steps=2, **kwargs):
    history = trainer.fit(
        _dataset(**kwargs), steps_per_epoch=steps, verbose=0, shuffle=False
    )
    return {name: values[0] for name, values in history.history.items()}


@pytest.mark.parametrize("tap", [0, 1, 2, 3])
def test_loss_and_gradients_match_the_reference_at_each_tap(golden, tap):
    """Recorded weights, images, permutation and lam; no noise."""
    file = golden("tiny_preactresnet18_w0125.npz")
    model = _preact_resnet()
    models.load_torch_weights(
        model,
        {
            key.removeprefix("w__"): file[key]
            for key in file.files
            if key.startswith("w__")
        },
    )
    trainer = _compiled(model, additive_noise=0.0, multiplicative_noise=0.0)
    plan = trainer._mixing.plan(rng.stream(0, 0, "mixing"), 8)._replace(
        tap=tf.constant(tap),
        lam=tf.constant(file["lam"], tf.float32),
        permutation=tf.constant(file["perm"], tf.int32),
    )
    trainer._mixing.plan = lambda seed, batch_size: plan
    images = file["images_uint8"]
    views = images.reshape(3, -1, *images.shape[1:]).swapaxes(0, 1)
    before = [v.numpy() for v in model.trainable_variables]
    trainer.optimizer.momentum = 0.0
    trainer.optimizer.learning_rate = 1.0
    logs = trainer.train_step(
        (tf.constant(views), tf.constant(file["targets"], tf.int32))
    )
    np.testing.assert_allclose(
        float(logs["loss"]), file[f"loss_k{tap}"], rtol=1e-4
    )
    # With rate 1 and no momentum a step is the negative gradient.
    after = [v.numpy() for v in model.trainable_variables]
    gradients = [b - a for b, a in zip(before, after)]
    for name, index in (("conv1", 0), ("linear", -2)):
        expected = file[f"grad_{name}_k{tap}"]
        axes = [2, 3, 1, 0] if expected.ndim == 4 else [1, 0]
        np.testing.assert_allclose(
            gradients[index],
            expected.transpose(axes),
            # The models' own tests hold 1e-3. The fused normalisation is
            # less exact by 1e-6, which flips a rectifier here and there.
            atol=2e-3 * np.abs(expected).max(),
        )


@pytest.mark.parametrize("mixing", ["none", "input", "manifold"])
@pytest.mark.parametrize("num_views", [1, 3])
def test_every_mixing_trains_with_and_without_views(mixing, num_views):
    weight = 12.0 if num_views > 1 else 0.0
    trainer = _compiled(mixing=mixing, jsd_weight=weight)
    before = trainer.model.get_weights()
    logs = _fit(trainer, num_views=num_views)
    assert np.isfinite(logs["loss"])
    total = logs["cross_entropy"] + 12.0 * logs["jsd"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
    assert (logs["jsd"] > 0) == (num_views == 3)
    assert int(trainer.step) == 2
    changed = [
        np.abs(a - b).max() > 0
        for a, b in zip(before, trainer.model.get_weights())
    ]
    assert all(changed)


def test_without_mixing_noise_or_views_it_is_ordinary_training():
    x, y = _batch(num_views=1)
    plain = _classifier()
    plain.compile(
        optimizer=L2SGD(0.05, momentum=0.9, nesterov=True),
        loss=CROSS_ENTROPY,
        jit_compile=False,
    )
    data = tf.data.Dataset.from_tensors((x[:, 0], y)).repeat()
    plain.fit(data, steps_per_epoch=3, verbose=0, shuffle=False)
    trainer = _compiled(
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
        jsd_weight=0.0,
    )
    trainer.fit(
        _dataset(num_views=1), steps_per_epoch=3, verbose=0, shuffle=False
    )
    for ours, theirs in zip(trainer.model.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_equal_views_without_noise_have_no_divergence():
    trainer = _compiled(additive_noise=0.0, multiplicative_noise=0.0)
    views, labels = _batch(num_views=1)
    data = tf.data.Dataset.from_tensors((tf.repeat(views, 3, 1), labels))
    logs = trainer.fit(data, verbose=0, shuffle=False).history
    assert abs(logs["jsd"][0]) < 1e-6


def test_views_share_plan_but_not_noise():
    trainer = _compiled(mixing="input", noise_per_view=(1.0, 1.0, 1.0))
    x = tf.repeat(_batch(num_views=1)[0], 3, axis=1)
    seen = []
    trainer._segments = [
        trainer._segments[0],
        lambda h, training: seen.append(h) or tf.zeros([h.shape[0], 10]),
    ]
    plan = trainer._mixing.plan(rng.stream(0, 0, "mixing"), 8)
    flat, num_views = trainer._view_major(x)
    trainer._forward(flat, num_views, plan)
    by_view = tf.reshape(seen[0], [3, 8, 32, 32, 3]).numpy()
    clean = trainer._mixing.mix(
        tf.reshape(trainer._segments[0](flat), [3, 8, 32, 32, 3]), plan
    )
    noise = by_view - clean.numpy()
    unchanged = np.isclose(noise, 0, atol=1e-7).mean()
    assert abs(unchanged - 0.65**2) < 0.02
    for a, b in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(noise[a].ravel(), noise[b].ravel())[0, 1]
        assert abs(correlation) < 0.05


def test_steps_repeat_from_the_seed_and_differ_between_seeds():
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer = _compiled(seed=seed)
        _fit(trainer, steps=3)
        runs[name] = trainer.model.get_weights()
    for a, b in zip(runs["a"], runs["b"]):
        np.testing.assert_array_equal(a, b)
    assert any((a != c).any() for a, c in zip(runs["a"], runs["c"]))


def test_whole_step_compiles_with_xla_and_is_not_traced_again():
    trainer = _compiled(jit_compile=True)
    traces = []
    step = trainer.train_step
    trainer.train_step = lambda data: traces.append(1) or step(data)
    _fit(trainer, steps=1)
    # A function that creates variables (the optimizer's) is traced twice.
    at_first = len(traces)
    assert at_first <= 2
    trainer.fit(
        _dataset(), steps_per_epoch=2, epochs=2, verbose=0, shuffle=False
    )
    assert len(traces) == at_first
    assert all(np.isfinite(w).all() for w in trainer.model.get_weights())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_with_a_float32_loss(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        trainer = _compiled()
        logs = _fit(trainer)
    finally:
        keras.config.set_dtype_policy(before)
    assert np.isfinite(logs["loss"])
    assert all(w.dtype == np.float32 for w in trainer.model.get_weights())


def test_probabilities_train_like_logits():
    logits_model = _classifier()
    softmax = keras.layers.Softmax()(logits_model.output)
    probability_model = keras.Model(logits_model.input, softmax)
    trainer = NoisyMix(probability_model)
    trainer.compile(
        optimizer=L2SGD(0.05, momentum=0.9, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=False),
    )
    ours = _fit(trainer, steps=1)
    theirs = _fit(_compiled(), steps=1)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-3)


def test_evaluate_and_predict_use_the_classifier_on_single_images():
    trainer = _compiled()
    views, labels = _batch(num_views=1)
    images = views[:, 0]
    np.testing.assert_allclose(
        trainer.predict(images, verbose=0),
        trainer.model(images, training=False),
        atol=1e-5,
    )
    results = trainer.evaluate(images, labels, verbose=0, return_dict=True)
    expected = CROSS_ENTROPY(labels, trainer.model(images, training=False))
    np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)


def test_trained_classifier_and_trainer_survive_saving(tmp_path):
    trainer = _compiled(taps=["normalize", "stage2"], alpha=0.7)
    _fit(trainer, steps=1)
    images = _batch(num_views=1)[0][:, 0]
    expected = trainer.model(images, training=False)
    trainer.model.save(tmp_path / "classifier.keras")
    alone = keras.models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(alone(images, training=False), expected)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert copy.taps == ("normalize", "stage2") and copy.alpha == 0.7
    assert int(copy.step) == 1
    np.testing.assert_array_equal(copy(images, training=False), expected)


def test_vectors_train_like_images():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(2),
        ]
    )
    trainer = _compiled(model, taps=["input", "hidden"])
    x = tf.random.stateless_normal([16, 3, 2], [0, 1])
    y = tf.cast(x[:, 0, 0] > 0, tf.int32)
    data = tf.data.Dataset.from_tensors((x, y)).repeat(20)
    losses = trainer.fit(data, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_subclassed_models_mix_at_the_input():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(10)

        def call(self, x, training=False):
            return self.dense(keras.ops.reshape(x / 255, [-1, 32 * 32 * 3]))

    trainer = _compiled(Subclassed())
    logs = _fit(trainer)
    assert np.isfinite(logs["loss"]) and logs["jsd"] > 0
    images = _batch(num_views=1)[0][:, 0]
    np.testing.assert_allclose(
        trainer.predict(images, verbose=0), trainer.model(images), atol=1e-5
    )


@pytest.fixture(scope="module")
def strategy():
    """Two logical CPUs (set up in conftest) as two replicas."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _perceptron():
    init = keras.initializers.GlorotUniform(seed=3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "tanh", kernel_initializer=init),
            keras.layers.Dense(3, kernel_initializer=init),
        ]
    )


def _run_perceptron():
    trainer = _compiled(
        _perceptron(),
        taps="input",
        mixing="none",
        additive_noise=0.0,
        multiplicative_noise=0.0,
    )
    x = tf.random.stateless_normal([8, 3, 6], [0, 1])
    y = tf.constant([0, 1, 2, 0, 1, 2, 0, 1])
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat(4)
    logs = trainer.fit(data, verbose=0, shuffle=False).history
    return trainer.model.get_weights(), logs


def test_two_replicas_train_as_one_device_on_the_same_batch(strategy):
    single, single_logs = _run_perceptron()
    with strategy.scope():
        double, double_logs = _run_perceptron()
    for a, b in zip(single, double):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for name in ("loss", "cross_entropy", "jsd", "accuracy"):
        np.testing.assert_allclose(
            single_logs[name], double_logs[name], rtol=1e-5
        )


def test_replicas_share_the_plan_and_not_the_noise(strategy):
    with strategy.scope():
        trainer = _compiled(_perceptron(), taps="input")
    trainer._segments = [trainer._segments[0], lambda h, training: h]

    @tf.function
    def draws():
        def replica():
            plan = trainer._mixing.plan(
                rng.stream(0, trainer.step, "mixing"), 4
            )
            no_mixing = plan._replace(lam=tf.constant(1.0))
            x = trainer._forward(tf.zeros([12, 6]), 3, no_mixing)
            return plan.lam, x

        return strategy.run(replica)

    lam, noise = (values.values for values in draws())
    assert float(lam[0]) == float(lam[1])
    assert (noise[0].numpy() != noise[1].numpy()).any()
