"""The second-order theory against finite differences and closed forms."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close

from noisymix_tf import NoisyMix, theory
from noisymix_tf.theory import problems, tail
from support.usage import assert_usage_error

N, K = 12, 3


def network(outputs=K, activation=None):
    def dense(units, activation, seed, **more):
        more["kernel_initializer"] = keras.initializers.GlorotNormal(seed)
        bias = keras.initializers.RandomNormal(0, 0.3, seed + 9)
        more |= {"bias_initializer": bias, "dtype": "float64"}
        return keras.layers.Dense(units, activation, **more)

    layers = [dense(8, "tanh", 1, name="first"), dense(8, "tanh", 2)]
    layers.append(dense(outputs, activation, 3))
    return keras.Sequential([keras.Input([2], dtype="float64"), *layers])


MODEL = network()
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=[N, 2]), RNG.integers(K, size=N)


def numbers(model, x=X, y=Y, **options):
    found = theory.regularizers(model, x, y, **options)
    names = ("loss", "r1", "r2", "r3", "a2", "a3", "m2", "m3")
    return [getattr(found, name) for name in names]


def logits(h, tap="input"):
    weights = MODEL.get_weights()[0 if tap == "input" else 2 :]
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2])
    for w, b in hidden:
        h = np.tanh(h @ w + b)
    return h @ kernel + bias


def differences(function, h, step=1e-4):
    unit = step * np.eye(len(h))
    slope = [(function(h + e) - function(h - e)) / (2 * step) for e in unit]
    sides = [(1, 1), (-1, 1), (1, -1), (-1, -1)]

    def second(d, e):
        return sum(s * t * function(h + s * d + t * e) for s, t in sides)

    bend = [[second(d, e) for e in unit] for d in unit]
    return np.stack(slope, -1), np.moveaxis(bend, 2, 0) / (4 * step**2)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("tap", ["input", "first"])
def test_regularizers_are_finite_differences_and_the_rest_third_order(tap):
    h = tail.Tail(MODEL, X, tap).features.numpy()
    totals = np.zeros(8)
    for point, label in zip(h, Y):
        p = softmax(logits(point, tap))
        error = p - np.eye(K)[label]
        slope, bend = differences(lambda h: logits(h, tap), point)
        newton = slope.T @ (np.diag(p) - np.outer(p, p)) @ slope
        curved = np.einsum("c,cde->de", error, bend)
        away = h - point
        totals[:2] += -np.log(p[label]), error @ slope @ away.mean(0)
        seconds = (away.T @ away / N, np.eye(len(point)), np.diag(point**2))
        for k, second in enumerate(seconds):
            totals[2 + 2 * k] += 0.5 * np.sum(newton * second)
            totals[3 + 2 * k] += 0.5 * np.sum(curved * second)
    close(numbers(MODEL, tap=tap), totals / N, rtol=1e-5, atol=1e-7)
    found = theory.regularizers(MODEL, X, Y, tap=tap)
    for weight in (0.0, 12.0):
        scales = {"additive": 0.5, "multiplicative": 0.4, "jsd_weight": weight}
        # The divergence's fourth order is large: it needs smaller steps.
        eps = np.array([0.016, 0.008, 0.004]) / (32 if weight else 1)
        exact = theory.noisymix_loss(MODEL, X, Y, eps, tap=tap, **scales)
        rest = exact - np.array([found.expansion(e, **scales) for e in eps])
        slope = np.polyfit(np.log(eps), np.log(np.abs(rest)), 1)[0]
        assert abs(slope - 3.0) < 0.2, weight


def test_mixup_is_the_mean_over_coefficients_and_pairs():
    labels, expected = np.eye(K)[Y], []
    i, r = np.divmod(np.arange(N * N), N)
    for lam in (np.arange(100) + 0.5) / 100:
        p = softmax(logits(lam * X[i] + (1 - lam) * X[r]))
        targets = lam * labels[i] + (1 - lam) * labels[r]
        expected.append(-np.mean(np.sum(targets * np.log(p), -1)))
    mixed, _ = theory.mixup_losses(MODEL, X, Y, nodes=16)
    assert mixed == pytest.approx(np.mean(expected), rel=0.01)
    # Mixed labels are a law of the coefficient.
    for alpha, beta in ((1.0, None), (2.0, 1.5)):
        options = {"alpha": alpha, "beta": beta, "nodes": 32}
        mixed, own = theory.mixup_losses(MODEL, X, Y, **options)
        assert abs(mixed - own) < 1e-10
        # Something is integrated: the law left alone is another.
        assert abs(mixed - numbers(MODEL)[0]) > 1e-3


def test_divergence_of_two_views_is_the_fisher_information():
    move, expected = np.array([0.6, -0.8]), 0.0
    for point in X:
        p, (slope, _) = softmax(logits(point)), differences(logits, point)
        change = slope @ move
        expected += 0.3 * 0.7 / 2 * (p @ change**2 - (p @ change) ** 2)
    moves = 0.001 * np.stack([np.zeros([N, 2]), np.tile(move, [N, 1])])
    exact, near = theory.stability(MODEL, X, moves, weights=(0.3, 0.7))
    assert near == pytest.approx(1e-6 * expected / N, rel=1e-5)
    assert exact == pytest.approx(near, rel=0.01)


def test_coefficients_of_the_defaults():
    found = theory.coefficients(jsd_weight=0.0)
    assert found["a3"] == found["a2"] == pytest.approx(0.0968**2, rel=1e-3)
    assert found["m3"] == found["m2"] == pytest.approx(0.0559**2, rel=1e-3)
    close([found[r] for r in ("r1", "r2", "r3")], [1 / 3, 1 / 6, 1 / 6], 1e-6)
    assert theory.coefficients(alpha=0.0)["r1"] == 0.0
    # What three views with factors 1, 2, 3 add, and one factor for `m2`.
    more = theory.coefficients(jsd_weight=9.0)
    assert more["a2"] / found["a2"] == pytest.approx(1 + 9 * 2 * 14 / 9)
    assert more["m2"] / found["m2"] == pytest.approx(1 + 9 * 2 * 3 / 9)


def test_the_adversarial_gap_is_as_predicted_and_the_worst():
    x, y = problems.clouds(30)
    model = problems.piecewise_linear(x, y)
    noise = {"additive": 0.7, "multiplicative": 0.5}
    for eps in (0.001, 0.0005):
        found = theory.adversarial_gap(model, x, y, eps, **noise)
        assert 0.0 < found.gap == pytest.approx(found.predicted, rel=0.02)
    eps, sign = 0.05, 2.0 * y - 1.0

    def margin(x):
        found = model(x.reshape(-1, 2)).numpy()
        return (found[:, 1] - found[:, 0]).reshape(x.shape[:-1])

    slope = [(margin(x + e) - margin(x - e)) / 2e-6 for e in 1e-6 * np.eye(2)]
    radius = eps * np.abs(margin(x)) / np.linalg.norm(slope, axis=0)
    angle = np.linspace(0, 2 * np.pi, 721)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    worst = np.log1p(np.exp(-sign * margin(x + radius[:, None] * circle)))
    found = theory.adversarial_gap(model, x, y, eps)
    assert found.adversarial == pytest.approx(worst.max(0).mean(), rel=1e-4)
    for bad, words in (
        ((model, x + 1.0, y), "mean of x is 1 away"),
        ((model, x, 1 - y), "30 of 30 examples"),
        ((network(2), x, y), "without biases"),
        ((MODEL, X, Y), "3 classes"),
    ):
        call = functools.partial(theory.adversarial_gap, *bad, 0.1)
        assert_usage_error(call, words)


def test_outputs_and_models_of_all_kinds_and_a_copy_in_float64():
    weights = network(1).get_weights()
    doubled = [*weights[:-2], *(np.insert(w, 0, 0, -1) for w in weights[-2:])]
    found = []
    for kind in ((1, None), (1, "sigmoid"), (2, None), (2, "softmax")):
        model = network(*kind)
        model.set_weights(weights if kind[0] == 1 else doubled)
        found.append(numbers(model, y=Y % 2))
    close(found, [found[0]] * 4, rtol=1e-9)

    class Wrapped(keras.Model):
        def call(self, x):
            return MODEL(x)

    assert numbers(Wrapped(dtype="float64")) == numbers(MODEL)
    layers = [keras.Input([2]), keras.layers.Dense(K)]
    _, _, *found = numbers(keras.Sequential(layers))
    assert found[1::2] == [0.0] * 3 and min(found[::2]) > 0.0
    for policy in ("float32", "mixed_float16"):
        layers = [
            keras.layers.Dense(4, "tanh", dtype=policy),
            keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Dropout(0.5, dtype=policy),
            keras.layers.Dense(K, dtype=policy),
        ]
        model = keras.Sequential([keras.Input([2]), *layers])
        copy = theory.in_float64(model)
        assert copy(X).dtype == tf.float64 and theory.in_float64(copy) is copy
        if policy == "float32":
            close(copy(X), model(X), atol=1e-6)
            close(numbers(copy), numbers(NoisyMix(model)), 1e-4, 1e-6)
    assert_usage_error(lambda: numbers(model), "computes in float16")
    assert numbers(copy)[4] > 0.0


def test_mistakes():
    bind = functools.partial
    loss, two = bind(theory.noisymix_loss, MODEL, X, Y), np.stack([X, X])
    mixup, stability = theory.mixup_losses, bind(theory.stability, MODEL, X)
    for call, words in (
        (bind(numbers, MODEL, X, Y + 1), "from 1 to 3"),
        (bind(numbers, MODEL, X, Y + 0.5), "whole numbers"),
        (bind(numbers, MODEL, X, Y[:3]), "y 3 labels"),
        (bind(numbers, MODEL, X, np.eye(3)[Y] * 2), "no distribution"),
        (bind(numbers, MODEL, X, Y[None, None]), "y has the shape"),
        (bind(numbers, MODEL, X[:, :1], Y), "takes [N, 2]"),
        (bind(numbers, MODEL, X * np.nan, Y), "not finite"),
        (bind(numbers, MODEL, "x", Y), "array of numbers"),
        (bind(numbers, MODEL, [[1.0], [1.0, 2.0]]), "parts differ in length"),
        (bind(numbers, MODEL, X[:0], Y[:0]), "x is empty"),
        (bind(numbers, None), "no Keras model"),
        (bind(numbers, network(3, "sigmoid")), "yes or no answers"),
        (bind(numbers, MODEL, tap=None), "one name"),
        (bind(numbers, MODEL, tap="last"), "'last'"),
        (bind(loss, -0.1), "eps=-0.1 must"),
        (bind(loss, 0.1, additive=-1.0), "at least 0."),
        (bind(mixup, MODEL, X, Y, nodes=0), "nodes=0"),
        (bind(mixup, MODEL, X, Y, alpha=0), "alpha=0"),
        (bind(stability, X), "give [V, 12, 2]"),
        (bind(stability, two, weights=(0.5, 0.6)), "2 positive numbers"),
        (bind(theory.coefficients, noise_per_view=()), "view=() must be"),
        (bind(theory.coefficients, noise_sparsity=2), "sparsity=2 must be"),
    ):
        assert_usage_error(call, words)
