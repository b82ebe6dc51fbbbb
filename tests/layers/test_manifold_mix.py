"""The mixing layer against the trainer, and in plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.layers import ManifoldMix
from noisymix_tf.mixing import ManifoldMixing, MixPlan, with_plan
from noisymix_tf.training.trainer import NoisyMix
from support.layer_contract import assert_layer_contract
from support.small_trainer import QUIET, two_replicas
from support.usage import assert_usage_error

PERMUTATION = [3, 1, 5, 0, 2, 4]


def _normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


def _plan(tap=0, lam=0.3, permutation=PERMUTATION):
    return MixPlan(
        tf.constant(tap),
        tf.constant(lam, tf.float32),
        tf.constant(permutation, tf.int32),
    )


def _per_example(plan):
    return tf.fill([6], plan.tap), tf.fill([6], plan.lam), plan.permutation


def test_contract(tmp_path):
    assert_layer_contract(
        ManifoldMix(2, name="mix"),
        _normal(6, 2, 2, 3),
        _per_example(_plan(tap=2)),
        tmp_path=tmp_path,
        atol=1e-6,
    )


def test_values_and_gradients_for_every_form_of_a_plan():
    x, weights = _normal(6, 3, 2), _normal(6, 3, 2, seed=1)
    layer = ManifoldMix(1)

    def run(plan):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, plan, training=True)
            total = tf.reduce_sum(y * weights)
        return y, tape.gradient(total, x)

    plan = _plan(tap=1)
    inverse = np.argsort(PERMUTATION)
    expected = 0.3 * x.numpy() + 0.7 * x.numpy()[PERMUTATION]
    slope = 0.3 * weights.numpy() + 0.7 * weights.numpy()[inverse]
    for form in (plan, tuple(plan), list(_per_example(plan))):
        y, gradient = run(form)
        np.testing.assert_allclose(y, expected, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=1e-6)
    # Not at another tap, without a plan, or at inference.
    for form in (plan._replace(tap=tf.constant(0)), None, [None] * 3):
        y, gradient = run(form)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(gradient, weights)
    np.testing.assert_array_equal(layer(x, plan), x)


def test_every_example_may_have_its_own_coefficient_and_tap():
    x = _normal(6, 3).numpy()
    lam = np.linspace(0, 1, 6, dtype="float32")
    tap = np.array([0, 1, 0, 1, 1, 0], "int32")
    plan = (tf.constant(tap), tf.constant(lam), tf.constant(PERMUTATION))
    own = np.where(tap == 1, lam, 1)[:, np.newaxis]
    expected = own * x + (1 - own) * x[PERMUTATION]
    y = ManifoldMix(1)(x, plan, training=True)
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_a_partner_outside_of_the_batch_is_not_silent():
    layer = ManifoldMix()
    compiled = tf.function(layer, jit_compile=True)
    for outside in (5, -1):
        plan = _plan(permutation=[1, outside, 0])
        y = compiled(_normal(3, 2), plan, training=True).numpy()
        assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()
        with pytest.raises(tf.errors.InvalidArgumentError, match=str(outside)):
            layer(_normal(3, 2), plan, training=True)


def test_masks_stay_those_of_the_example_itself():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(tokens)
    mixed = ManifoldMix()(x)
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(mixed))
    short, long = model(tf.constant([[3, 4]])), model(tf.constant([[3, 4, 0]]))
    np.testing.assert_allclose(short, long, rtol=1e-6)


class _Network:
    """A small network as a function of images and, perhaps, a plan."""

    def __init__(self):
        def init(seed):
            return keras.initializers.GlorotUniform(seed=seed)

        self.scale = keras.layers.Rescaling(1 / 127.5, -1.0, name="scale")
        self.stem = keras.layers.Conv2D(
            5, 3, 2, activation="relu", name="stem", kernel_initializer=init(1)
        )
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(3, kernel_initializer=init(2))

    def __call__(self, images, plan=None):
        x = ManifoldMix(0)(self.scale(images), plan)
        x = ManifoldMix(1)(self.stem(x), plan)
        return self.head(self.pool(x))


def _inputs():
    dtypes = "int32", "float32", "int32"
    plan = MixPlan(*(keras.Input([], dtype=dtype) for dtype in dtypes))
    return keras.Input((8, 8, 3)), plan


def _compiled(model, loss=keras.losses.CategoricalCrossentropy):
    optimizer = keras.optimizers.SGD(0.2, momentum=0.9)
    model.compile(optimizer, loss(from_logits=True), jit_compile=False)
    return model


def _mixing_model():
    network = _Network()
    images, plan = _inputs()
    model = keras.Model([images, *plan], network(images, plan))
    return _compiled(model), network


def _batches(batch_size=8, count=4):
    n = batch_size * count
    images = tf.random.stateless_uniform([n, 8, 8, 3], [0, 1], 0.0, 255.0)
    labels = tf.random.stateless_uniform([n], [0, 2], 0, 3, tf.int32)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    return data.batch(batch_size, drop_remainder=True)


def _planned(num_taps=2, **kwargs):
    arguments = {"alpha": 1.0, "num_classes": 3, "seed": 5, **kwargs}
    return _batches().enumerate().map(with_plan(num_taps, **arguments))


def test_plain_fit_trains_as_the_trainer_does_and_serves_without_a_plan():
    """Manifold mixup by `fit` and by `NoisyMix`: the same run."""
    model, network = _mixing_model()
    losses = model.fit(_planned(), verbose=0, shuffle=False).history["loss"]

    images, _ = _inputs()
    twin = keras.Model(images, _Network()(images))
    options = {"jsd_weight": 0.0, "seed": 5, **QUIET}
    trainer = NoisyMix(twin, taps=["scale", "stem"], **options)
    _compiled(trainer, keras.losses.SparseCategoricalCrossentropy)
    logs = trainer.fit(_batches(), verbose=0, shuffle=False).history
    np.testing.assert_allclose(losses, logs["loss"], rtol=1e-5)
    for a, b in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)

    classifier = keras.Model(images, network(images))
    x = next(iter(_batches()))[0]
    expected = network.head(network.pool(network.stem(network.scale(x))))
    served = classifier(x, training=True)
    np.testing.assert_allclose(served, expected, atol=1e-6)
    # The model with a plan validates on unmixed batches.
    whole = model.evaluate(_planned(alpha=0), verbose=0)
    _compiled(classifier, keras.losses.SparseCategoricalCrossentropy)
    alone = classifier.evaluate(_batches(), verbose=0)
    np.testing.assert_allclose(whole, alone, rtol=1e-5)


def test_two_replicas_find_partners_in_their_own_part():
    strategy = two_replicas()
    planned = _planned(num_replicas=2)

    def in_whole_batch(inputs, mixed):
        images, tap, lam, order = inputs
        assert order.shape == [8]
        return (images, tap, lam, order + [0, 0, 0, 0, 4, 4, 4, 4]), mixed

    with strategy.scope():
        double, _ = _mixing_model()
    single, _ = _mixing_model()
    double.fit(planned, verbose=0, shuffle=False)
    single.fit(planned.map(in_whole_batch), verbose=0, shuffle=False)
    for a, b in zip(double.get_weights(), single.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_plans_and_labels_are_a_function_of_seed_and_index():
    mixing = ManifoldMixing().bind(2, 1.0)
    batches = [y.numpy() for _, y in _batches()]
    lams = set()
    for seed in (5, 6):
        planned = [(*parts, mixed) for parts, mixed in _planned(seed=seed)]
        for index, (_, tap, lam, order, mixed) in enumerate(planned):
            plan = mixing.plan(rng.stream(seed, index, "mixing"), 8)
            assert tap.dtype == tf.int32 and lam.dtype == tf.float32
            np.testing.assert_array_equal(tap, [plan.tap] * 8)
            np.testing.assert_allclose(lam, [plan.lam] * 8, rtol=1e-6)
            np.testing.assert_array_equal(order, plan.permutation)
            one_hot = np.eye(3, dtype="float32")[batches[index]]
            own = float(plan.lam)
            expected = own * one_hot + (1 - own) * one_hot[order.numpy()]
            np.testing.assert_allclose(mixed, expected, atol=1e-6)
            # The layer mixes labels in the same way.
            layer = ManifoldMix(int(plan.tap))
            by_layer = layer(tf.constant(one_hot), plan, training=True)
            np.testing.assert_allclose(mixed, by_layer, atol=1e-6)
            lams.add(own)
    assert len(lams) == 8


def test_labels_may_be_numbers_a_column_or_one_hot_of_unknown_number():
    add_plan = with_plan(2, 1.0, 3)
    labels = tf.constant([0, 2, 1, 1])
    images = {"image": tf.zeros([4, 2]), "other": tf.zeros([4])}
    (same, *_), expected = add_plan(0, (images, labels))
    assert same is images
    for form in (labels[:, tf.newaxis], tf.one_hot(labels, 3, dtype=tf.uint8)):
        _, mixed = add_plan(0, (images, form))
        np.testing.assert_array_equal(mixed, expected)
    data = _batches(count=2).unbatch().batch(6).enumerate().map(add_plan)
    sizes = [(len(order), len(mixed)) for (_, _, _, order), mixed in data]
    assert sizes == [(6, 6), (6, 6), (4, 4)]


X, LABELS = tf.zeros([6, 3]), tf.zeros([6], tf.int32)
WEIGHTED, WIDE = (X, LABELS, tf.ones([6])), (X, tf.zeros([6, 5]))
WITHOUT_LAM = [tf.constant(0), None, LABELS]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: with_plan(0, 1.0, 3), "num_taps=0 must be a whole number, at"),
        (lambda: with_plan(2, -1.0, 3), "alpha=-1.0 must be a number, at"),
        (lambda: with_plan(2, float("nan"), 3), "alpha=nan"),
        (lambda: with_plan(2, 1.0, 2.5), "num_classes=2.5"),
        (lambda: with_plan(2, 1.0, 3, 0, 0), "num_replicas=0"),
        (lambda: with_plan(2, 1.0, 3)(0, WEIGHTED), "without weights"),
        (lambda: with_plan(2, 1.0, 3)(0, WIDE), "neither numbers [B] nor one-"),
        (
            lambda: with_plan(2, 1.0, 3, 0, 4)(0, (X, LABELS)),
            "a batch size tha",
        ),
        (lambda: ManifoldMix(-1), "tap=-1 must be a whole number, at least 0"),
        (lambda: ManifoldMix(0.5), "tap=0.5 must be a whole"),
        (lambda: ManifoldMix()(X, tf.constant([0, 1])), "must be a MixPlan"),
        (lambda: ManifoldMix()(X, _plan(permutation=1)), "shape [B], got ()"),
        (lambda: ManifoldMix()(X, WITHOUT_LAM), "a scalar or [B], got None"),
        (lambda: ManifoldMix()(LABELS[:, None], _plan()), "floats, got int32"),
    ],
)
def test_refuses_what_is_no_plan_or_does_not_fit(call, words):
    assert_usage_error(call, words)
