"""Losses and mixed labels against the reference and closed forms."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.mixing import MixPlan
from noisymix_tf.training import losses
from noisymix_tf.training.losses import STABILITIES, SmoothedCrossEntropy
from support.usage import assert_usage_error

CASES = "base lam1 lam0 peaked saturated c100 same_views close_views b1".split()
WEIGHT, ORDER = np.float32([1, 2, 3]), [2, 0, 1]


def _noisymix_loss(logits, labels, permutation, lam):
    """The whole loss and its gradient, of the pieces that the trainer uses."""
    plan = MixPlan(tf.constant(0), lam, permutation)
    partners = losses.Partners(plan, labels, None)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_p = losses.log_probabilities(logits, from_logits=True)
        pick = functools.partial(tf.gather, log_p[0], batch_dims=1)
        ce = partners.mix(lambda y, _: -tf.reduce_mean(pick(y)))
        jsd = tf.reduce_mean(losses.jensen_shannon(log_p))
        total = ce + 12.0 * jsd
    return total, ce, jsd, tape.gradient(total, logits)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_match_the_reference(golden, case, dtype):
    """The divergence, its clamp, and who has which share of a label."""
    file, views = golden("noisymix_loss.npz"), ("clean", "aug1", "aug2")
    # One of them is compiled by XLA.
    is_first, precise = case == CASES[0], dtype == "float64"
    function = tf.function(_noisymix_loss, jit_compile=is_first and not precise)
    logits = [tf.cast(file[f"{case}__logits_{v}"], dtype) for v in views]
    y, order = (tf.cast(file[f"{case}__{n}"], tf.int32) for n in ("y", "perm"))
    lam = tf.cast(file[f"{case}__lam"][0], dtype)
    *values, gradient = function(tf.stack(logits), y, order, lam)
    rtol, atol = (1e-10, 1.2e-11) if precise else (2e-6, 1.2e-5)
    for name, value in zip(("total", "ce", "jsd"), values):
        expected = file[f"{case}__{name}_f64"][0]
        assert value.numpy() == pytest.approx(expected, rtol, atol), name
    expected = [file[f"{case}__grad_{view}_f64"] for view in views]
    atol = 1e-12 if precise else 1e-5
    np.testing.assert_allclose(gradient, expected, atol=atol)


def _normal(seed, *shape):
    return tf.random.stateless_normal(shape, [seed, 1]) * 3


def _kl(p, q):
    return np.sum(p * np.log(p / q), axis=-1)


# Of distributions `[V, B, K]`, by the definitions in the papers.
CLOSED_FORMS = {
    "jsd": lambda p: np.mean([_kl(view, p.mean(0)) for view in p], axis=0),
    "kl": lambda p: np.mean([_kl(p[0], view) for view in p[1:]], axis=0),
}


@pytest.mark.parametrize("num_views", [2, 4])
@pytest.mark.parametrize("name", STABILITIES.names())
@pytest.mark.parametrize("outputs", ["classes", "yes or no", "one yes or no"])
def test_stability_terms_are_their_closed_forms(name, num_views, outputs):
    logits = _normal(num_views, num_views, 8, 5)
    logits = logits[..., :1] if outputs == "one yes or no" else logits
    exact, form = tf.cast(logits, tf.float64), CLOSED_FORMS[name]
    if outputs == "classes":
        each = form(p := tf.nn.softmax(exact).numpy())
    else:
        p = tf.sigmoid(exact).numpy()
        each = form(np.stack([p, 1 - p], -1)).mean(-1)
    weight = tf.constant([1.0, 0, 2, 0, 0, 1, 0, 0.5])
    for x, from_logits, rtol in ((logits, True, 1e-4), (p, False, 1e-3)):
        loss = STABILITIES.get(name)(from_logits, outputs == "yes or no")
        loss = keras.losses.deserialize(keras.losses.serialize(loss))
        views = tf.cast(x[0], tf.float32), tf.transpose(x[1:], [1, 0, 2])
        assert loss(*views).numpy() == pytest.approx(each.mean(), rtol)
        expected = np.mean(each * weight)
        assert loss(*views, weight).numpy() == pytest.approx(expected, rtol)


def test_kl_gives_gradients_to_both_predictions():
    term = lambda p, q: losses.KullbackLeibler()(p, q[:, None])  # noqa: E731
    both = tf.unstack(_normal(4, 2, 5, 4))
    ours, numerical = tf.test.compute_gradient(term, both, delta=1e-2)
    np.testing.assert_allclose(ours, numerical, atol=1e-3)
    assert np.abs(ours).max((1, 2)).min() > 0.05


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", [*STABILITIES.names(), "smoothed"])
def test_losses_at_their_limits(name, dtype):
    """Zero for equal views, finite for certainties that contradict."""
    logits = tf.cast([[1e4, -1e4, 0.0], [0.3, 0.2, -0.1]], dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        if name == "smoothed":
            value = SmoothedCrossEntropy(0.1)(tf.constant([1, 1]), logits)
        else:
            loss = STABILITIES.get(name)()
            assert abs(loss(logits, logits[:, None])) < 1e-7
            value = loss(logits[:1], -logits[:1, None])
    assert value.dtype == tf.float32 and np.isfinite(value)
    if name == "jsd":
        np.testing.assert_allclose(value, np.log(2), rtol=1e-5)
    assert np.isfinite(tf.cast(tape.gradient(value, logits), tf.float32)).all()


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_cross_entropy_is_that_of_the_smoothed_label(from_logits):
    outputs = _normal(6, 6, 5)
    log_p = tf.nn.log_softmax(outputs).numpy()
    labels, weights = np.int64([0, 1, 4, 4, 2, 3]), np.linspace(0.1, 1.0, 6)
    each = -((0.8 * np.eye(5)[labels] + 0.2 / 5) * log_p).sum(-1)
    loss = SmoothedCrossEntropy(0.2, from_logits=from_logits)
    loss = keras.losses.deserialize(keras.losses.serialize(loss))
    given = outputs if from_logits else np.exp(log_p)
    for y in (labels, labels[:, None]):
        np.testing.assert_allclose(loss(y, given), each.mean(), rtol=1e-5)
    found = loss(labels, given, weights)
    np.testing.assert_allclose(found, (each * weights).mean(), rtol=1e-5)
    assert_usage_error(lambda: SmoothedCrossEntropy(1.0), "smoothing=1.0 must")


def test_dominant_is_the_one_with_the_larger_share():
    """And the weight of a mixed example is that of both, by their shares."""

    def partners(lam, labels, weight):
        plan = MixPlan(tf.constant(0), tf.constant(lam), tf.constant(ORDER))
        return losses.Partners(plan, tf.constant(labels), weight)

    one, two, soft = [0, 1, 2], [0, 0, 2], [[1, 0], [0.5, 0.5], [0, 1]]
    for lam, rows in ((0.3, ORDER), (0.5, one), ([0.7, 0.3, 0.5], two)):
        for labels in (one, [[0], [1], [2]], soft):
            both = partners(lam, labels, WEIGHT)
            chosen, weight = both.dominant()
            np.testing.assert_array_equal(chosen, np.array(labels)[rows])
            np.testing.assert_array_equal(weight, WEIGHT[rows])
            mixed = lam * WEIGHT + np.subtract(1, lam) * WEIGHT[ORDER]
            np.testing.assert_allclose(both.weight(), mixed, rtol=1e-6)
            column = partners(lam, labels, WEIGHT[:, None])
            np.testing.assert_array_equal(column.weight(), both.weight())
            both = partners(lam, labels, None)
            assert both.dominant()[1] is None is both.weight()
