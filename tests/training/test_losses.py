"""The losses against the reference's values and gradients, and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.mixing import MixPlan
from noisymix_tf.training.labels import Partners
from noisymix_tf.training.losses import (
    STABILITIES,
    JensenShannon,
    KullbackLeibler,
    SmoothedCrossEntropy,
    jensen_shannon,
    kullback_leibler,
    log_probabilities,
)
from support.usage import assert_usage_error

CASES = "base lam1 lam0 peaked saturated c100 same_views close_views b1".split()


def _noisymix_loss(logits, labels, permutation, lam):
    """The whole loss and its gradient, of the pieces that the trainer uses."""
    plan = MixPlan(tf.constant(0), lam, permutation)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_p = log_probabilities(logits, from_logits=True)
        ce = Partners(plan, labels, None).mix(
            lambda y, _: -tf.reduce_mean(tf.gather(log_p[0], y, batch_dims=1))
        )
        jsd = tf.reduce_mean(jensen_shannon(log_p))
        total = ce + 12.0 * jsd
    return total, ce, jsd, tape.gradient(total, logits)


@pytest.mark.parametrize(
    "case, dtype",
    [(case, dtype) for case in CASES for dtype in ("float64", "float32")]
    + [("base", "compiled by XLA")],
)
def test_values_and_gradients_match_the_reference(golden, case, dtype):
    """The divergence, its clamp, and who has which share of a label."""
    function, precise = _noisymix_loss, dtype == "float64"
    if dtype == "compiled by XLA":
        function, dtype = tf.function(function, jit_compile=True), "float32"
    file = golden("noisymix_loss.npz")
    views = ("clean", "aug1", "aug2")
    *values, gradient = function(
        tf.stack([tf.cast(file[f"{case}__logits_{v}"], dtype) for v in views]),
        tf.cast(file[f"{case}__y"], tf.int32),
        tf.cast(file[f"{case}__perm"], tf.int32),
        tf.cast(file[f"{case}__lam"][0], dtype),
    )
    rtol, atol = (1e-10, 1.2e-11) if precise else (2e-6, 1.2e-5)
    for name, value in zip(("total", "ce", "jsd"), values):
        expected = file[f"{case}__{name}_f64"][0]
        assert value.numpy() == pytest.approx(expected, rtol, atol), name
    for view, ours in zip(views, gradient):
        np.testing.assert_allclose(
            ours,
            file[f"{case}__grad_{view}_f64"],
            atol=1e-12 if precise else 1e-5,
            err_msg=view,
        )


def _normal(seed, *shape):
    return tf.random.stateless_normal(shape, [seed, 1]) * 3


def _views(array):
    """`[V, B, K]` as a loss takes them."""
    return array[0], tf.transpose(array[1:], [1, 0, 2])


def _kl(p, q):
    return np.sum(p * np.log(p / q), axis=-1)


def _closed_form(name, p):
    """Of distributions `[V, B, K]`, by the definitions in the papers."""
    if name == "kl":
        return np.mean([_kl(p[0], other) for other in p[1:]], axis=0)
    return np.mean([_kl(view, p.mean(axis=0)) for view in p], axis=0)


@pytest.mark.parametrize("num_views", [2, 4])
@pytest.mark.parametrize("name", STABILITIES.names())
def test_stability_terms_are_their_closed_forms(name, num_views):
    """Of logits and probabilities, classes and yes or no; weighted; saved."""
    kind = STABILITIES.get(name)
    logits = _normal(num_views, num_views, 8, 5)
    exact = tf.cast(logits, tf.float64)
    weight = tf.constant([1.0, 0, 2, 0, 0, 1, 0, 0.5])
    p = tf.sigmoid(exact).numpy()
    for options, each, given in (
        ({}, _closed_form(name, tf.nn.softmax(exact).numpy()), logits),
        (
            {"multi_label": True},
            _closed_form(name, np.stack([p, 1 - p], -1)).mean(-1),
            logits,
        ),
        # A single output is always a yes or no.
        (
            {},
            _closed_form(name, np.stack([p, 1 - p], -1))[:, 0],
            logits[..., :1],
        ),
    ):
        loss = kind(**options)
        assert loss(*_views(given)).numpy() == pytest.approx(each.mean(), 1e-4)
        assert loss(*_views(given), weight).numpy() == pytest.approx(
            np.mean(each * weight), rel=1e-4
        )
        yes_or_no = options or given.shape[-1] == 1
        from_p = kind(from_logits=False, **options)
        given = tf.sigmoid(given) if yes_or_no else tf.nn.softmax(given)
        assert from_p(*_views(given)).numpy() == pytest.approx(
            each.mean(), rel=1e-3
        )
        copy = keras.losses.deserialize(keras.losses.serialize(from_p))
        assert type(copy) is kind and copy.from_logits is False
        assert copy.multi_label is bool(options)


def test_kl_weighs_by_the_clean_prediction_and_both_get_gradients():
    clean, noisy = _normal(4, 2, 5, 4)
    with tf.GradientTape() as tape:
        tape.watch([clean, noisy])
        loss = KullbackLeibler()(clean, noisy[:, None])
    p, q = tf.nn.softmax(clean).numpy(), tf.nn.softmax(noisy).numpy()
    # d/dq of KL(p || q) is q - p; d/dp is p (log p/q - KL). Both flow.
    of_clean, of_noisy = tape.gradient(loss, [clean, noisy])
    np.testing.assert_allclose(of_noisy, (q - p) / 5, atol=1e-6)
    expected = p * (np.log(p / q) - _kl(p, q)[:, None]) / 5
    np.testing.assert_allclose(of_clean, expected, atol=1e-6)
    # As a function it keeps float64.
    log_p = tf.math.log_softmax(tf.cast([clean, noisy], tf.float64))
    p, q = np.exp(log_p)
    np.testing.assert_allclose(kullback_leibler(log_p), _kl(p, q), rtol=1e-9)
    assert (JensenShannon().name, KullbackLeibler().name) == (
        "jensen_shannon",
        "kullback_leibler",
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", STABILITIES.names())
def test_stability_terms_at_their_limits(name, dtype):
    """Zero for equal views, finite for certainties that contradict."""
    loss = STABILITIES.get(name)()
    logits = tf.cast([[1e4, -1e4, 0.0], [0.3, 0.2, -0.1]], dtype)
    np.testing.assert_allclose(loss(logits, logits[:, None]), 0, atol=1e-7)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits[:1], -logits[:1, None])
    assert value.dtype == tf.float32
    if name == "jsd":
        np.testing.assert_allclose(value, np.log(2), rtol=1e-5)
    gradient = tf.cast(tape.gradient(value, logits), tf.float32)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_cross_entropy_is_that_of_the_smoothed_label(from_logits):
    outputs = _normal(6, 6, 5)
    log_p = tf.nn.log_softmax(outputs).numpy()
    labels, weights = np.array([0, 1, 4, 4, 2, 3]), np.linspace(0.1, 1.0, 6)
    each = -((0.8 * np.eye(5)[labels] + 0.2 / 5) * log_p).sum(-1)
    loss = SmoothedCrossEntropy(0.2, from_logits=from_logits)
    given = outputs if from_logits else np.exp(log_p)
    for y in (labels, labels[:, None]):
        np.testing.assert_allclose(loss(y, given), each.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        loss(labels, given, weights), (each * weights).mean(), rtol=1e-5
    )
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (copy.label_smoothing, copy.from_logits) == (0.2, from_logits)


def test_smoothed_cross_entropy_takes_shares_and_extremes():
    """Mixing two of them is the loss of the mixed, smoothed label."""
    logits, labels = _normal(7, 4, 3), np.array([0, 1, 2, 0])
    order = [2, 1, 0, 3]
    plan = MixPlan(tf.constant(0), tf.constant(0.3), tf.constant(order))
    expected = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1
    )(0.3 * np.eye(3)[labels] + 0.7 * np.eye(3)[labels[order]], logits)
    loss = SmoothedCrossEntropy(0.1)
    found = Partners(plan, tf.constant(labels), None).mix(
        lambda y, weights: loss(y, logits, weights)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    logits = tf.Variable([[1e4, -1e4, 0.0]], dtype=tf.float16)
    with tf.GradientTape() as tape:
        value = loss(tf.constant([1]), logits)
    assert value.dtype == tf.float32 and np.isfinite(value)
    assert np.isfinite(tape.gradient(value, logits)).all()
    assert_usage_error(
        lambda: SmoothedCrossEntropy(1.0), "label_smoothing=1.0 must be in"
    )
