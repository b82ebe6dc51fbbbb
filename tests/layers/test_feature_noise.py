"""The noise layer against the pure function, closed forms and plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.mixing import feature_noise
from support.layer_contract import assert_layer_contract


def _normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


@pytest.mark.parametrize("shape", [(8,), (4, 6, 6, 3)])
def test_contract(shape, tmp_path):
    assert_layer_contract(
        FeatureNoise(name="noise", seed=3), _normal(*shape), tmp_path=tmp_path
    )


@pytest.mark.parametrize("shape", [(8, 5), (4, 6, 5), (2, 2, 3, 4, 5)])
def test_features_of_any_rank(shape):
    layer = FeatureNoise(name="noise")
    x = _normal(*shape)
    y = layer(x, training=True)
    assert y.shape == x.shape and (y.numpy() != x.numpy()).any()
    symbolic = keras.Input(shape[1:])
    assert layer(symbolic).shape == symbolic.shape
    assert layer.compute_output_shape(shape) == shape


def test_calls_draw_as_the_pure_function_does():
    layer = FeatureNoise(0.4, 0.2, 0.5, seed=7, name="here")
    x = _normal(6, 5, 5, 2)
    for call in range(3):
        expected = feature_noise(
            x[tf.newaxis],
            rng.stream(7, call, "feature_noise/here"),
            [0.4],
            [0.2],
            0.5,
        )[0]
        np.testing.assert_array_equal(layer(x, training=True), expected)
    assert int(layer.calls) == 3


def test_moments_match_the_closed_form():
    """Var(add) = a^2 (3/28)(1-s), Var(mult - 1) = m^2 (1/28)(1-s)."""
    add = FeatureNoise(multiplicative_noise=0.0, name="add")
    mult = FeatureNoise(additive_noise=0.0, name="mult")
    calls, shape = 3000, (16, 8)

    @tf.function
    def powers():
        a = add(tf.zeros(shape), training=True)
        m = mult(tf.ones(shape), training=True) - 1.0
        return tf.stack([tf.reduce_mean(a**2), tf.reduce_mean(m**2)])

    std = np.sqrt(np.mean([powers().numpy() for _ in range(calls)], axis=0))
    # One amplitude a call: the standard error of a std is about 0.9 %.
    np.testing.assert_allclose(std, [0.0968, 0.0559], rtol=0.045)


def test_share_of_entries_without_noise():
    n = 200_000
    for sparsity in (0.0, 0.3, 0.65, 1.0):
        for layer in (
            FeatureNoise(0.5, 0.0, sparsity, name="add"),
            FeatureNoise(0.0, 0.5, sparsity, name="mult"),
        ):
            y = layer(tf.ones([n]), training=True).numpy()
            sigma = np.sqrt(sparsity * (1 - sparsity) / n)
            # A kept factor may round to one, some 1e-5 of them.
            assert abs(np.mean(y == 1.0) - sparsity) <= 5 * sigma + 1e-4
    both = FeatureNoise(name="both")(tf.ones([n]), training=True).numpy()
    share = 0.65**2
    sigma = np.sqrt(share * (1 - share) / n)
    assert abs(np.mean(both == 1.0) - share) <= 5 * sigma + 1e-4


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradient_is_the_multiplier(jit_compile):
    layer = FeatureNoise(name="noise")

    @tf.function(jit_compile=jit_compile)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, tape.gradient(y, x)

    zeros = tf.zeros([32, 16])
    at_zero, gradient = run(zeros)
    layer.calls.assign(0)  # the same noise again
    at_one, _ = run(zeros + 1.0)
    np.testing.assert_allclose(gradient, at_one - at_zero, atol=1e-6)
    assert 0.25 < np.mean(gradient != 1.0) < 0.45


def test_layers_of_one_model_draw_different_noise():
    a, b = FeatureNoise(name="a"), FeatureNoise(name="b")
    x = tf.zeros([2000])
    noise = [np.array(layer(x, training=True)) for layer in (a, b, a)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(noise[i], noise[j])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(2000)
    other = FeatureNoise(name="a", seed=1)(x, training=True)
    assert (noise[0] != other.numpy()).any()


def test_without_levels_or_with_full_sparsity_it_changes_nothing():
    x = _normal(4, 5)
    for layer in (FeatureNoise(0, 0), FeatureNoise(1, 1, 1)):
        np.testing.assert_array_equal(layer(x, training=True), x)


def test_levels_change_without_a_new_trace():
    layer = FeatureNoise(name="noise")
    step = tf.function(lambda x: layer(x, training=True))
    x = tf.ones([1000])
    assert (step(x).numpy() != 1).any()
    layer.additive_noise = layer.multiplicative_noise = 0.0
    np.testing.assert_array_equal(step(x), x)
    layer.additive_noise, layer.noise_sparsity = 1.0, 0.0
    assert (step(x).numpy() != 1).all()
    assert step.experimental_get_tracing_count() == 1
    assert layer.get_config()["noise_sparsity"] == 0.0


def test_float16_keeps_large_features_finite():
    layer = FeatureNoise(1.0, 1.0, 0.0, dtype="float16", name="noise")
    x = tf.fill([4096], tf.constant(3e4, tf.float16))
    for _ in range(20):
        y = layer(x, training=True)
        assert y.dtype == tf.float16 and np.isfinite(y).all()


def test_masks_pass_through():
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = FeatureNoise(name="noise")(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    short, long = model(tf.constant([[3, 4]])), model(tf.constant([[3, 4, 0]]))
    np.testing.assert_allclose(short, long, rtol=1e-6)


def _sequential():
    init = keras.initializers.GlorotUniform(seed=1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            FeatureNoise(name="noise"),
            keras.layers.Dense(3, kernel_initializer=init),
        ]
    )


def _compiled(model, jit_compile=False):
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return model


def _batches(count):
    x, y = _normal(8, 6, seed=5), tf.range(8) % 3
    return tf.data.Dataset.from_tensors((x, y)).repeat(count)


def _fit(model, count):
    model.fit(_batches(count), verbose=0, shuffle=False)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_repeats_and_a_continued_run_equals_an_unbroken_one(
    jit_compile, tmp_path
):
    whole = _compiled(_sequential(), jit_compile)
    start = whole.get_weights()
    _fit(whole, 2)
    whole.save(tmp_path / "half.keras")
    # From the beginning again, but with what is compiled already.
    whole.set_weights(start)
    _fit(whole, 4)
    second = keras.models.load_model(tmp_path / "half.keras")
    assert int(second.get_layer("noise").calls) == 2
    _fit(second, 2)
    for a, b in zip(whole.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)
    # It was the noise that took part.
    quiet = _compiled(_sequential())
    noise = quiet.get_layer("noise")
    noise.additive_noise = noise.multiplicative_noise = 0.0
    _fit(quiet, 4)
    assert np.abs(quiet.get_weights()[1] - whole.get_weights()[1]).max() > 1e-3


def test_evaluation_and_an_exported_model_have_no_noise(tmp_path):
    model = _compiled(_sequential())
    _fit(model, 1)
    x = _normal(5, 6)
    expected = model.layers[-1](x)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(x), expected, rtol=1e-6)
    assert int(model.get_layer("noise").calls) == 1


@pytest.fixture(scope="module")
def strategy():
    """Two logical CPUs (set up in conftest) as two replicas."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def test_replicas_draw_different_noise(strategy):
    with strategy.scope():
        layer = FeatureNoise(name="noise")
    alone = FeatureNoise(name="noise")
    x = tf.zeros([2000])

    @tf.function
    def draws():
        return strategy.run(lambda: layer(x, training=True))

    for call in range(2):
        first, second = (value.numpy() for value in draws().values)
        # The first replica draws what a single device would.
        np.testing.assert_array_equal(first, alone(x, training=True))
        correlation = np.corrcoef(first, second)[0, 1]
        assert abs(correlation) < 5 / np.sqrt(2000)
        assert [int(v) for v in layer.calls.value.values] == [call + 1] * 2


def test_fit_on_two_replicas_counts_steps_and_follows_a_callback(strategy):
    class Ramp(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.get_layer("noise").additive_noise = batch

    with strategy.scope():
        model = _compiled(_sequential())
    model.fit(_batches(3), verbose=0, shuffle=False, callbacks=[Ramp()])
    layer = model.get_layer("noise")
    assert int(layer.calls.numpy()) == 3 and layer.additive_noise == 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"additive_noise": -0.1}, "additive_noise=-0.1 .* at least 0"),
        ({"multiplicative_noise": float("nan")}, "multiplicative_noise=nan"),
        ({"noise_sparsity": 1.5}, r"noise_sparsity=1.5 .* \[0, 1\]"),
        ({"seed": None}, "seed=None must be a whole number"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        FeatureNoise(**arguments)


def test_refuses_what_is_no_float():
    message = "FeatureNoise takes floats, got uint8; scale images first"
    with pytest.raises(UsageError, match=message):
        FeatureNoise()(tf.zeros([2, 3], tf.uint8))
    with pytest.raises(UsageError, match=message):
        FeatureNoise()(keras.Input((3,), dtype="uint8"))
