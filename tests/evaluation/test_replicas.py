"""One device and two: the same outputs, the same attacks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.evaluation.classifier import load_classifier
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.evaluation.replicas import Replicas
from support.evaluation_toys import SIDE, random_model, run, self_labelled


@pytest.fixture(scope="module")
def two():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="module")
def models(two):
    """The same weights on one device and on two."""
    plain = random_model()
    with two.scope():
        mirrored = random_model()
    mirrored.set_weights(plain.get_weights())
    return plain, mirrored


@pytest.fixture(scope="module")
def data(models):
    return self_labelled(models[0])


def test_compiled_functions(two):
    """Each replica gets its part; what is shared, it gets whole."""

    def function(x, y, *shared):
        (factor,) = shared
        sums = tf.fill(tf.shape(y), tf.reduce_sum(x))
        return {"sum": x + factor * y[:, None], "part": sums}

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = np.arange(4, dtype=np.float32)
    parts = ([66.0] * 4, [15.0, 15.0, 51.0, 51.0])
    for count, strategy in enumerate((None, two), start=1):
        replicas = Replicas(strategy)
        assert replicas.count == count
        rounded = [replicas.round_up(n) for n in (1, 2, 7, 8)]
        assert rounded == ([2, 2, 8, 8] if strategy else [1, 2, 7, 8])
        shared = (tf.constant(10.0),)
        results = replicas.compile(function)(x, y, shared=shared)
        assert all(isinstance(value, np.ndarray) for value in results.values())
        np.testing.assert_array_equal(results["sum"], x + 10 * y[:, None])
        assert results["part"].tolist() == parts[count - 1]


def test_a_compiled_function_is_taken_as_it_is(two):
    traces = []

    @tf.function
    def function(x):
        traces.append(x.shape)
        return 2 * x

    for replicas in (Replicas(), Replicas(two)):
        call = replicas.compile(function)
        for _ in range(3):
            assert call(np.ones([4], np.float32)).tolist() == [2.0] * 4
    # Once on one device, once on each of two.
    assert [tuple(shape) for shape in traces] == [(4,), (2,), (2,)]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_predictors_agree(two, models, data, batch_size):
    """Odd batches are filled up, and what was added is cut off."""
    images = data.test.images
    plain, mirrored = models
    wanted = plain.predict(images, verbose=0)
    for model, replicas in ((plain, None), (mirrored, Replicas(two))):
        predictor = Predictor(
            model, 3, images[:2], batch_size, replicas=replicas
        )
        found = predictor(images)
        assert found.shape == (23, 3) and found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("count, size", [(1, 7), (2, 4)])
def test_a_predictor_compiles_one_shape(two, data, count, size):
    shapes = []

    class Spy(keras.layers.Layer):
        def call(self, x):
            shapes.append(tuple(x.shape))
            return x

    strategy = two if count == 2 else None
    with two.scope() if strategy else tf.name_scope("one"):
        inputs = keras.Input([SIDE, SIDE, 3])
        x = keras.layers.GlobalAveragePooling2D()(Spy()(inputs))
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
    shapes.clear()
    images, replicas = data.test.images, Replicas(strategy)
    predictor = Predictor(model, 3, images[:5], 7, replicas=replicas)
    for n in (23, 1, 2):
        predictor(images[:n])
    assert shapes == count * [(size, SIDE, SIDE, 3)]


def test_evaluations_agree(two, models, data):
    """Clean and corrupted images, and attacks with random starts.

    Batches of 7 become 8 on two devices; the last one of 23 images is filled.
    """
    plain, mirrored = models
    options = {
        "suites": ("clean", "c", "fgsm", "pgd"),
        "severities": (5,),
        "eps": ("1/255",),
        "norms": ("linf",),
        "attack_losses": ("cross_entropy",),
        "attack_steps": 2,
        "batch_size": 7,
    }
    one = run(plain, data, **options)
    other = run(mirrored, data, strategy=two, **options)
    # Equal cells: a fingerprint does not depend on the devices.
    assert list(one.records) == list(other.records)
    assert len(one.records) == 5
    for a, b in zip(one.records.values(), other.records.values()):
        assert a["correct"] == b["correct"]
        assert a["nll_sum"] == pytest.approx(b["nll_sum"], rel=1e-4)
    assert len({sums["correct"] for sums in one.records.values()}) > 2


def test_a_saved_model_on_two_devices(two, models, data, tmp_path):
    nm.export(models[0], tmp_path, fresh_process=False)
    with two.scope():
        loaded = load_classifier(tmp_path)
    options = {"suites": ("clean", "fgsm"), "eps": ("1/255",)}
    options["attack_losses"] = ("cross_entropy",)
    one = run(models[0], data, **options)
    other = run(loaded, data, strategy=two, **options)
    for a, b in zip(one.records.values(), other.records.values()):
        assert a["correct"] == b["correct"]
        assert a["nll_sum"] == pytest.approx(b["nll_sum"], rel=1e-4)
