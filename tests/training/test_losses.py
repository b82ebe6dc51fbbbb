"""The loss against the reference's values and gradients."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.errors import UsageError
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

CASES = (
    "base lam1 lam0 peaked saturated c100 c1000 same_views close_views b1"
).split()


def _noisymix_loss(logits, labels, permutation, lam):
    """The whole loss, from the pieces that the trainer uses."""
    clean = log_probabilities(logits[0], from_logits=True)
    own = -tf.gather(clean, labels, batch_dims=1)
    partner = -tf.gather(clean, tf.gather(labels, permutation), batch_dims=1)
    ce = tf.reduce_mean(lam * own + (1 - lam) * partner)
    jsd = tf.reduce_mean(
        jensen_shannon(log_probabilities(logits, from_logits=True))
    )
    return ce + 12.0 * jsd, ce, jsd


@functools.cache
def _compiled(jit_compile):
    """The loss, its parts and its gradient; compiled once for each shape."""

    @tf.function(jit_compile=jit_compile)
    def compute(logits, labels, permutation, lam):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total, ce, jsd = _noisymix_loss(logits, labels, permutation, lam)
        return total, ce, jsd, tape.gradient(total, logits)

    return compute


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_match_the_reference(
    golden, case, dtype, jit_compile
):
    file = golden("noisymix_loss.npz")
    logits = tf.stack(
        [
            tf.constant(file[f"{case}__logits_{view}"], dtype)
            for view in ("clean", "aug1", "aug2")
        ]
    )
    labels = tf.constant(file[f"{case}__y"], tf.int32)
    permutation = tf.constant(file[f"{case}__perm"], tf.int32)
    lam = tf.constant(float(file[f"{case}__lam"]), dtype)
    total, ce, jsd, gradient = _compiled(jit_compile)(
        logits, labels, permutation, lam
    )
    precise = dtype == "float64"
    rtol, atol = (1e-10, 1e-12) if precise else (2e-6, 1e-6)
    for name, value in (("total", total), ("ce", ce), ("jsd", jsd)):
        np.testing.assert_allclose(
            value,
            file[f"{case}__{name}_f64"],
            rtol=rtol,
            atol=12 * atol,
            err_msg=name,
        )
    for view, ours in zip(("clean", "aug1", "aug2"), gradient):
        np.testing.assert_allclose(
            ours,
            file[f"{case}__grad_{view}_f64"],
            atol=1e-12 if precise else 1e-5,
            err_msg=view,
        )


def test_divergence_is_bounded_symmetric_and_zero_for_equal_views():
    logits = tf.random.stateless_normal([3, 64, 10], [0, 1]) * 5
    log_p = tf.nn.log_softmax(logits)
    jsd = jensen_shannon(log_p)
    assert (jsd.numpy() > 0).all() and (jsd.numpy() < np.log(3)).all()
    np.testing.assert_allclose(
        jsd, jensen_shannon(tf.gather(log_p, [2, 0, 1])), rtol=1e-5
    )
    same = jensen_shannon(tf.stack([log_p[0]] * 3))
    np.testing.assert_allclose(same, 0, atol=1e-7)
    one_hot = tf.one_hot([[0], [1], [2]], 3)
    disjoint = jensen_shannon(
        log_probabilities(one_hot * 1e4, from_logits=True)
    )
    np.testing.assert_allclose(disjoint, np.log(3), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_loss_is_finite_in_float32_at_extreme_logits(dtype):
    logits = tf.cast(
        tf.constant([[[1e4, -1e4, 0.0]], [[-1e4, 1e4, 0.0]]]), dtype
    )
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = JensenShannon()(logits[0], logits[1][:, None])
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-5)
    assert np.isfinite(tf.cast(tape.gradient(loss, logits), tf.float32)).all()


def test_layer_agrees_with_the_function_and_probabilities_with_logits():
    logits = tf.random.stateless_normal([3, 8, 10], [5, 6])
    expected = tf.reduce_mean(jensen_shannon(tf.nn.log_softmax(logits)))
    others = tf.transpose(logits[1:], [1, 0, 2])
    loss = JensenShannon()
    np.testing.assert_allclose(loss(logits[0], others), expected, rtol=1e-6)
    p = tf.nn.softmax(logits)
    from_p = JensenShannon(from_logits=False)
    np.testing.assert_allclose(
        from_p(p[0], tf.transpose(p[1:], [1, 0, 2])), expected, rtol=1e-4
    )
    copy = keras.losses.deserialize(keras.losses.serialize(from_p))
    assert copy.from_logits is False


def test_sample_weights_weight_examples():
    logits = tf.random.stateless_normal([2, 4, 3], [7, 8])
    each = jensen_shannon(tf.nn.log_softmax(logits)).numpy()
    loss = JensenShannon()(
        logits[0],
        tf.transpose(logits[1:], [1, 0, 2]),
        sample_weight=tf.constant([1.0, 0.0, 2.0, 0.0]),
    )
    np.testing.assert_allclose(loss, (each[0] + 2 * each[2]) / 4, rtol=1e-5)


def _kl(p, q):
    return np.sum(p * np.log(p / q), axis=-1)


def test_two_views_are_the_papers_divergence():
    """`JS_pi(p, q)` of two distributions, weights of one half."""
    logits = np.random.default_rng(2).normal(0, 3, [2, 16, 7])
    p, q = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    m = 0.5 * p + 0.5 * q
    expected = 0.5 * _kl(p, m) + 0.5 * _kl(q, m)
    found = jensen_shannon(tf.nn.log_softmax(tf.constant(logits)))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert expected.max() < np.log(2)
    loss = JensenShannon()(
        tf.constant(logits[0], tf.float32),
        tf.constant(logits[1][:, np.newaxis], tf.float32),
    )
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)


def test_kl_of_gaussian_logits_against_its_closed_form():
    """Two classes with log-odds a and b, and the mean over two views."""
    a, b, c = np.random.default_rng(3).normal(0, 2, [3, 9])

    def log_p(odds):
        return np.stack([-np.logaddexp(0, -odds), -np.logaddexp(0, odds)], -1)

    def divergence(a, b):
        p = 1 / (1 + np.exp(-a))
        return p * (a - b) - np.logaddexp(0, a) + np.logaddexp(0, b)

    found = kullback_leibler(tf.constant(np.stack([log_p(a), log_p(b)])))
    np.testing.assert_allclose(found, divergence(a, b), rtol=1e-9)
    found = kullback_leibler(tf.constant([log_p(a), log_p(b), log_p(c)]))
    expected = (divergence(a, b) + divergence(a, c)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # It is the clean prediction that weighs, and the order matters.
    assert not np.allclose(divergence(b, a), divergence(a, b))


def test_kl_loss_values_gradients_and_configuration():
    rng = np.random.default_rng(4)
    clean, noisy = tf.constant(rng.normal(0, 2, [2, 5, 4]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([clean, noisy])
        loss = KullbackLeibler()(clean, noisy[:, tf.newaxis])
    p, q = tf.nn.softmax(clean).numpy(), tf.nn.softmax(noisy).numpy()
    each = _kl(p, q)
    np.testing.assert_allclose(loss, each.mean(), rtol=1e-5)
    # d/dq of KL(p || q) is q - p; d/dp is p (log p/q - KL). Both flow.
    of_clean, of_noisy = tape.gradient(loss, [clean, noisy])
    np.testing.assert_allclose(of_noisy, (q - p) / 5, atol=1e-6)
    expected = p * (np.log(p / q) - each[:, np.newaxis]) / 5
    np.testing.assert_allclose(of_clean, expected, atol=1e-6)
    from_p = KullbackLeibler(from_logits=False)
    np.testing.assert_allclose(from_p(p, q[:, np.newaxis]), loss, rtol=1e-4)
    weighted = KullbackLeibler()(
        clean, noisy[:, tf.newaxis], sample_weight=tf.constant([1.0] + [0] * 4)
    )
    np.testing.assert_allclose(weighted, each[0] / 5, rtol=1e-5)
    copy = keras.losses.deserialize(keras.losses.serialize(from_p))
    assert isinstance(copy, KullbackLeibler) and copy.from_logits is False
    assert (JensenShannon().name, from_p.name) == (
        "jensen_shannon",
        "kullback_leibler",
    )


@pytest.mark.parametrize("name", STABILITIES.names())
def test_stability_terms_at_their_limits(name):
    """Zero for equal views, finite for certainties that contradict."""
    loss = STABILITIES.get(name)()
    logits = tf.constant([[1e4, -1e4, 0.0], [0.3, 0.2, -0.1]])
    np.testing.assert_allclose(loss(logits, logits[:, None]), 0, atol=1e-7)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits, -logits[:, None])
    assert np.isfinite(value) and value > 0.3
    assert np.isfinite(tape.gradient(value, logits)).all()


@pytest.mark.parametrize("outputs", [1, 3])
def test_yes_or_no_outputs_are_pairs_of_probabilities(outputs):
    """The divergence of each output's (p, 1 - p), averaged over outputs."""
    logits = tf.random.stateless_normal([3, 8, outputs], [1, 9]) * 3
    others = tf.transpose(logits[1:], [1, 0, 2])
    p = tf.sigmoid(tf.cast(logits, tf.float64))
    pairs = tf.math.log(tf.stack([p, 1 - p], axis=-1))
    expected = tf.reduce_mean(jensen_shannon(pairs))
    multi_label = outputs > 1
    loss = JensenShannon(multi_label=multi_label)
    np.testing.assert_allclose(loss(logits[0], others), expected, rtol=1e-5)
    from_p = JensenShannon(from_logits=False, multi_label=multi_label)
    np.testing.assert_allclose(
        from_p(tf.sigmoid(logits[0]), tf.sigmoid(others)), expected, rtol=1e-3
    )
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.multi_label is multi_label


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_cross_entropy_is_that_of_the_smoothed_label(from_logits):
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=[6, 5]).astype(np.float32)
    log_p = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
    labels, weights = np.array([0, 1, 4, 4, 2, 3]), rng.uniform(size=6)
    smoothed = 0.8 * np.eye(5)[labels] + 0.2 / 5
    each = -(smoothed * log_p).sum(-1)
    loss = SmoothedCrossEntropy(0.2, from_logits=from_logits)
    given = outputs if from_logits else np.exp(log_p)
    for y in (labels, labels[:, None]):
        np.testing.assert_allclose(loss(y, given), each.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        loss(labels, given, weights), (each * weights).mean(), rtol=1e-5
    )


def test_smoothed_cross_entropy_is_linear_in_the_label():
    """So that mixing two of them is the loss of the mixed, smoothed label."""
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(size=[4, 3]), tf.float32)
    labels = np.array([0, 1, 2, 0])
    plan = MixPlan(tf.constant(0), tf.constant(0.3), tf.constant([2, 1, 0, 3]))
    mixed = 0.3 * np.eye(3)[labels] + 0.7 * np.eye(3)[labels[[2, 1, 0, 3]]]
    expected = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1
    )(mixed, logits)
    loss = SmoothedCrossEntropy(0.1)
    found = Partners(plan, tf.constant(labels), None).mix(
        lambda y, weights: loss(y, logits, weights)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_smoothed_cross_entropy_survives_saving_and_extremes():
    loss = SmoothedCrossEntropy(0.25, from_logits=False)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (copy.label_smoothing, copy.from_logits) == (0.25, False)
    with pytest.raises(UsageError, match=r"label_smoothing=1\.0 must be in"):
        SmoothedCrossEntropy(1.0)
    logits = tf.Variable([[1e4, -1e4, 0.0]], dtype=tf.float16)
    with tf.GradientTape() as tape:
        value = SmoothedCrossEntropy(0.1)(tf.constant([1]), logits)
    assert value.dtype == tf.float32 and np.isfinite(value)
    assert np.isfinite(tape.gradient(value, logits)).all()
