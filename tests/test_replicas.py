"""One device and two: the same outputs, the same attacks."""

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.models.classifier import load_classifier
from noisymix_tf.replicas import Replicas
from support.evaluation_toys import random_model, run, self_labelled


@pytest.fixture(scope="module")
def two():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.mark.parametrize("count", [1, 2])
def test_compiled_functions(two, count):
    """Each replica gets its part; what is shared, it gets whole."""
    traces = []

    @tf.function  # It is taken as it is.
    def function(x, y, factor):
        traces.append(y.shape)
        sums = tf.fill(tf.shape(y), tf.reduce_sum(x))
        return {"sum": x + factor * y[:, None], "part": sums}

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = np.arange(4, dtype=np.float32)
    replicas = Replicas(two if count == 2 else None)
    rounded = [replicas.count, *map(replicas.round_up, (1, 2, 7, 8))]
    assert rounded == ([1, 1, 2, 7, 8] if count == 1 else [2, 2, 2, 8, 8])
    call = replicas.compile(function)
    parts = [66.0] * 4 if count == 1 else [15.0, 15.0, 51.0, 51.0]
    for _ in range(3):
        results = call(x, y, shared=(tf.constant(10.0),))
        np.testing.assert_array_equal(results["sum"], x + 10 * y[:, None])
        assert results["part"].tolist() == parts
    # Once on one device, once on each of two.
    assert [tuple(shape) for shape in traces] == [(4 // count,)] * count


def test_odd_batches_are_filled_up_and_one_shape_is_compiled(two):
    shapes, rows = [], np.arange(23.0, dtype=np.float32)[:, None] * [1, 2]

    def spy(x, training):
        shapes.append(x.shape[0])
        return 3.0 * x

    predictor = Predictor(spy, 2, rows[:2], 7, replicas=Replicas(two))
    for n in (23, 1, 2):
        np.testing.assert_allclose(predictor(rows[:n]), 3 * rows[:n])
    assert shapes == [4, 4]


def test_evaluations_agree(two, tmp_path):
    """Batches of 7 become 8 on two devices; the last one of 23 is filled."""
    plain = random_model()
    with two.scope():
        mirrored = random_model()
    mirrored.set_weights(plain.get_weights())
    data = self_labelled(plain)
    nm.export(plain, tmp_path, fresh_process=False)
    with two.scope():
        loaded = load_classifier(tmp_path)
    options = {"severities": (5,), "eps": ("1/255",), "attack_steps": 2}
    options |= {"attack_losses": ("cross_entropy",), "batch_size": 7}
    every = {**options, "suites": ("clean", "c", "fgsm", "pgd")}
    one = run(plain, data, **every).scores
    other = run(mirrored, data, strategy=two, **every).scores
    assert list(one) == list(other)  # A fingerprint depends on no device.
    del every["severities"], every["attack_steps"]
    every |= {"suites": ("clean", "fgsm"), "strategy": two}
    saved = run(loaded, data, **every).scores
    by_name = {cell.name: scores.rows for cell, scores in one.items()}
    for cell, scores in (*other.items(), *saved.items()):
        rows, wanted = scores.rows, by_name[cell.name]
        np.testing.assert_array_equal(rows["right"], wanted["right"])
        np.testing.assert_allclose(rows["nll"], wanted["nll"], 1e-3, 1e-5)
    assert len({rows["right"].sum() for rows in by_name.values()}) > 2
