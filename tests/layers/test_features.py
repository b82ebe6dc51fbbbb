"""Noise and mixing layers: the pure functions, the trainer, plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import rng
from noisymix_tf.layers import FeatureNoise, ManifoldMix
from noisymix_tf.mixing import ManifoldMixing, MixPlan, feature_noise, with_plan
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import NO_NOISE, two_replicas
from support.layer_contract import assert_layer_contract
from support.usage import assert_usage_error

PERMUTATION = [3, 1, 5, 0, 2, 4]


def _normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


def test_contract_of_noise(tmp_path):
    layer = FeatureNoise(name="noise", seed=3, noise_scale="std")
    assert layer.supports_masking
    assert_layer_contract(layer, _normal(4, 3, 3, 2), tmp_path=tmp_path)
    # An exported model has no noise.
    model = keras.Sequential([keras.Input((6,)), FeatureNoise()])
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    assert_array_equal(exported.serve(_normal(5, 6)), _normal(5, 6))


def test_calls_draw_as_the_pure_function_does_and_stay_finite():
    layer = FeatureNoise(0.4, 0.2, 0.5, seed=7, name="here")
    wide = FeatureNoise(0.4, 0.2, 0.5, seed=7, name="here", noise_scale="std")
    variance = None
    for call, shape in enumerate([(8,), (8, 5), (2, 2, 3, 4, 5)]):
        x, seed = _normal(*shape), rng.stream(7, call, "feature_noise/here")

        def noisy(level, x=x, seed=seed):
            return feature_noise(x[tf.newaxis], seed, [level], [0.2], 0.5)[0]

        assert_array_equal(layer(x, training=True), noisy(0.4))
        # By what was before the call, of which a tenth is replaced.
        batch = np.var(x)
        variance = variance or batch
        expected = noisy(0.4 * variance**0.5)
        assert_allclose(wide(x, training=True), expected, atol=1e-6)
        variance += 0.1 * (batch - variance)
        assert_allclose(wide.noise_variance, variance, rtol=1e-5)
        symbolic = keras.Input(shape[1:])
        assert layer(symbolic).shape == symbolic.shape
        assert layer.compute_output_shape(shape) == shape
    layer = FeatureNoise(1.0, 1.0, 0.0, dtype="float16", name="noise")
    for _ in range(10):
        y = layer(tf.fill([4096], tf.constant(3e4, tf.float16)), training=True)
        assert y.dtype == tf.float16 and np.isfinite(y).all()


@pytest.mark.parametrize("jit", [False, True])
def test_levels_change_without_a_new_trace(jit):
    layer, x = FeatureNoise(name="noise"), tf.ones([1000])
    step = tf.function(lambda x: layer(x, training=True), jit_compile=jit)
    assert (step(x).numpy() != 1).any()
    layer.additive_noise = layer.multiplicative_noise = 0.0
    assert_array_equal(step(x), x)
    layer.additive_noise, layer.noise_sparsity = 1.0, 0.0
    assert (step(x).numpy() != 1).all()
    layer.noise_sparsity = 1.0
    assert_array_equal(step(x), x)
    assert step.experimental_get_tracing_count() == 1


def test_two_replicas_draw_different_noise_and_count_steps():
    strategy = two_replicas()
    with strategy.scope():
        layer = FeatureNoise(name="noise")
        noise = FeatureNoise(name="noise", noise_scale="std")
        parts = noise, keras.layers.Dense(3)
        model = keras.Sequential([keras.Input([6]), *parts])
    x, alone = tf.zeros([2000]), FeatureNoise(name="noise")
    draws = tf.function(lambda: strategy.run(lambda: layer(x, training=True)))
    for call in range(2):
        first, second = (value.numpy() for value in draws().values)
        # The first replica draws what a single device would.
        assert_array_equal(first, alone(x, training=True))
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(2000)
        assert [int(v) for v in layer.calls.value.values] == [call + 1] * 2
    model.compile("sgd", "mse", jit_compile=False)
    data = tf.data.Dataset.from_tensors((_normal(8, 6), _normal(8, 3)))
    model.fit(data.repeat(3), verbose=0, shuffle=False)
    assert int(noise.calls.numpy()) == 3
    mean = np.mean(np.var(np.reshape(_normal(8, 6), [2, -1]), axis=1))
    for variance in noise.noise_variance.value.values:
        assert_allclose(variance, mean, rtol=1e-5)


def test_refuses_arguments_and_what_is_no_float():
    refused = assert_usage_error
    refused(lambda: FeatureNoise(-0.1), "additive_noise=-0.1 must be a number")
    refused(lambda: FeatureNoise(0, np.nan), "multiplicative_noise=nan must")
    refused(lambda: FeatureNoise(1, 1, 1.5), "noise_sparsity=1.5 must be a num")
    for seed in (None, 2**70):
        words = f"seed={seed} must be a whole number of at most 64"
        refused(lambda seed=seed: FeatureNoise(seed=seed), words)
    refused(lambda: FeatureNoise(noise_scale=1), "noise_scale=1 must be one of")
    eager, symbolic = tf.zeros([2], tf.uint8), keras.Input([3], dtype="uint8")
    refused(lambda: FeatureNoise()(eager), "takes floats, got uint8; scale")
    refused(lambda: FeatureNoise()(symbolic), "takes floats, got uint8; scale")


def _plan(tap=0, permutation=PERMUTATION):
    return MixPlan(*map(tf.constant, (tap, 0.3, permutation)))


def _per_example(tap):
    return tf.fill([6], tap), tf.fill([6], 0.3), tf.constant(PERMUTATION)


def test_contract_of_mixing(tmp_path):
    layer = ManifoldMix(2, name="mix")
    assert layer.supports_masking
    arguments = _normal(6, 2, 2, 3), _per_example(2)
    assert_layer_contract(layer, *arguments, tmp_path=tmp_path, atol=1e-6)


def test_values_and_gradients_for_every_form_of_a_plan():
    x, weights = _normal(6, 3, 2), _normal(6, 3, 2, seed=1)
    layer, plan = ManifoldMix(1), _plan(tap=1)

    def run(plan):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, plan, training=True)
        return y, tape.gradient(y, x, weights)

    expected = 0.3 * x + 0.7 * x.numpy()[PERMUTATION]
    slope = 0.3 * weights + 0.7 * weights.numpy()[np.argsort(PERMUTATION)]
    for form in (plan, tuple(plan), list(_per_example(1))):
        y, gradient = run(form)
        assert_allclose(y, expected, atol=1e-6)
        assert_allclose(gradient, slope, atol=1e-6)
    # Not at another tap, without a plan, or at inference.
    for form in (_plan(tap=0), None, [None] * 3):
        y, gradient = run(form)
        assert_array_equal(y, x)
        assert_array_equal(gradient, weights)
    assert_array_equal(layer(x, plan), x)
    # Every example may have its own coefficient and tap.
    lam, tap = np.linspace(0, 1, 6, dtype="f"), np.array([0, 1, 0, 1, 1, 0])
    y, _ = run((tf.constant(tap), tf.constant(lam), tf.constant(PERMUTATION)))
    own = np.where(tap == 1, lam, 1)[:, None, None]
    expected = own * x + (1 - own) * x.numpy()[PERMUTATION]
    assert_allclose(y, expected, atol=1e-6)


def test_a_partner_outside_of_the_batch_is_not_silent():
    layer = ManifoldMix()
    compiled = tf.function(layer, jit_compile=True)
    for outside in (5, -1):
        plan = _plan(permutation=[1, outside, 0])
        y = compiled(_normal(3, 2), plan, training=True).numpy()
        assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()
        with pytest.raises(tf.errors.InvalidArgumentError, match=str(outside)):
            layer(_normal(3, 2), plan, training=True)


def _compiled(model, kind="Sparse"):
    loss = getattr(keras.losses, f"{kind}CategoricalCrossentropy")
    optimizer = keras.optimizers.SGD(0.2, momentum=0.9)
    model.compile(optimizer, loss(from_logits=True), jit_compile=False)
    return model


def _network():
    inits = [keras.initializers.GlorotUniform(seed) for seed in (1, 2)]
    first = keras.layers.Dense(5, "tanh", True, inits[0], name="first")
    last = keras.layers.Dense(3, None, True, inits[1])
    plan = [keras.Input([], dtype=d) for d in ("int32", "float32", "int32")]
    x = keras.Input([4])
    mixed = ManifoldMix(1)(first(ManifoldMix(0)(x, plan)), plan)
    model = _compiled(keras.Model([x, *plan], last(mixed)), "")
    return model, keras.Model(x, last(first(x)))


def _batches(size=8):
    labels = tf.random.stateless_uniform([32], [0, 2], 0, 3, tf.int32)
    data = tf.data.Dataset.from_tensor_slices((_normal(32, 4), labels))
    return data.batch(size, drop_remainder=size == 8)


def _planned(alpha=1.0, num_replicas=1):
    return _batches().enumerate().map(with_plan(2, alpha, 3, 5, num_replicas))


def test_plain_fit_trains_as_the_trainer_does_and_serves_without_a_plan():
    (model, classifier), (_, twin) = _network(), _network()
    options = {"jsd_weight": 0.0, "seed": 5, **NO_NOISE}
    trainer = _compiled(NoisyMix(twin, taps=["input", "first"], **options))
    fits = model.fit(_planned(), verbose=0), trainer.fit(_batches(), verbose=0)
    assert_allclose(*(fit.history["loss"] for fit in fits), rtol=1e-5)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_allclose(a, b, atol=1e-5)
    # The model with a plan validates on unmixed batches.
    whole = model.evaluate(_planned(alpha=0), verbose=0)
    alone = _compiled(classifier).evaluate(_batches(), verbose=0)
    assert_allclose(whole, alone, rtol=1e-5)


@pytest.mark.parametrize("replicas", [1, 2])
def test_plans_and_labels_are_a_function_of_seed_and_index(replicas):
    mixing, size = ManifoldMixing().bind(2, 1.0), 8 // replicas
    batches = zip(_planned(num_replicas=replicas), _batches())
    for index, ((parts, mixed), (_, labels)) in enumerate(batches):
        plan = mixing.plan(rng.stream(5, index, "mixing"), size)
        order = np.tile(plan.permutation, replicas)
        expected = tf.fill([8], plan.tap), tf.fill([8], plan.lam), order
        for ours, theirs in zip(parts[1:], expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert_allclose(ours, theirs, rtol=1e-6)
        one_hot = np.eye(3, dtype="float32")[labels]
        own, order = float(plan.lam), order + np.arange(8) // size * size
        expected = own * one_hot + (1 - own) * one_hot[order]
        assert_allclose(mixed, expected, atol=1e-6)


def test_labels_may_be_numbers_a_column_or_one_hot_and_what_fits_no_plan():
    add, labels = with_plan(2, 1.0, 3), tf.constant([0, 2, 1, 1])
    images = {"image": tf.zeros([4, 2]), "other": tf.zeros([4])}
    (same, *_), expected = add(0, (images, labels))
    assert same is images
    for form in (labels[:, tf.newaxis], tf.one_hot(labels, 3, dtype=tf.uint8)):
        assert_array_equal(add(0, (images, form))[1], expected)
    data = _batches(12).enumerate().map(add)
    assert [len(parts[3]) for parts, _ in data] == [12, 12, 8]
    x, labels = tf.zeros([6, 3]), tf.zeros([6], tf.int32)
    refused, layer = assert_usage_error, ManifoldMix()
    refused(lambda: with_plan(0, 1.0, 3), "num_taps=0 must be a whole number")
    refused(lambda: with_plan(2, -1.0, 3), "alpha=-1.0 must be a number, at")
    refused(lambda: with_plan(2, 1.0, 3, 1.5), "seed=1.5 must be a whole numb")
    refused(lambda: add(0, (x, labels, tf.ones([6]))), "without weights")
    refused(lambda: add(0, (x, tf.zeros([6, 5]))), "neither numbers [B] nor")
    four = with_plan(2, 1.0, 3, num_replicas=4)
    refused(lambda: four(0, (x, labels)), "a batch size tha")
    refused(lambda: ManifoldMix(-1), "tap=-1 must be a whole number from 0")
    refused(lambda: layer(x, tf.constant([0, 1])), "must be a MixPlan or its")
    refused(lambda: layer(x, _plan(permutation=1)), "got shapes (), (), ().")
    without = [tf.constant(0), None, labels]
    refused(lambda: layer(x, without), "got shapes (), None, (6,).")
    refused(lambda: layer(labels[:, None], _plan()), "floats, got int32")
