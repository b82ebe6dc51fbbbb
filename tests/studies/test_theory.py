"""The second-order theory against finite differences and closed forms."""

import dataclasses
import json
from functools import partial as bind

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose as close
from scipy.special import softmax

from noisymix_tf import NoisyMix, theory
from noisymix_tf.commands.theory import TheoryConfig
from noisymix_tf.studies import networks, points, tail
from noisymix_tf.studies import theory as command
from noisymix_tf.training.precision import dtype_policy
from support import pages
from support.released_sets import contents
from support.usage import assert_usage_error, parsed

N, K, RNG = 12, 3, np.random.default_rng


def network(outputs=K, activation=None):
    first = keras.layers.Dense(8, "tanh", dtype="float64", name="first")
    second = keras.layers.Dense(8, "tanh", dtype="float64")
    last = keras.layers.Dense(outputs, activation, dtype="float64")
    inputs = keras.Input([2], dtype="float64")
    return drawn(keras.Sequential([inputs, first, second, last]), 1, 0.4)


def drawn(model, seed, scale=1.0):
    shapes, rng = [w.shape for w in model.get_weights()], RNG(seed)
    model.set_weights([rng.normal(0, scale, shape) for shape in shapes])
    return model


MODEL, X, Y = network(), RNG(0).normal(size=[N, 2]), RNG(2).integers(K, size=N)


def numbers(model, x=X, y=Y, **options):
    return dataclasses.astuple(theory.regularizers(model, x, y, **options))


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
        scales["noise_per_view"] = (1.5, 1.0, 2.0)  # The first was ignored.
        eps = np.array([0.0008, 0.0004, 0.0002])
        exact = theory.noisymix_loss(MODEL, X, Y, eps, tap=tap, **scales)
        rest = exact - np.array([found.expansion(e, **scales) for e in eps])
        slope = np.polyfit(np.log(eps), np.log(np.abs(rest)), 1)[0]
        assert abs(slope - 3.0) < 0.2, weight


def test_mixup_is_the_mean_over_coefficients_and_pairs():
    labels, expected = np.eye(K)[Y], []
    i, r = np.divmod(np.arange(N * N), N)
    for lam in (np.arange(100) + 0.5) / 100:
        p = softmax(logits(lam * X[i] + (1 - lam) * X[r]), -1)
        targets = lam * labels[i] + (1 - lam) * labels[r]
        expected.append(-np.mean(np.sum(targets * np.log(p), -1)))
    mixed, _ = theory.mixup_losses(MODEL, X, Y, nodes=16)
    assert mixed == pytest.approx(np.mean(expected), rel=0.01)
    # Mixed labels are a law of the coefficient.
    for own in ({"alpha": 1.0}, {"alpha": 2.0, "beta": 1.5}):
        mixed, own = theory.mixup_losses(MODEL, X, Y, nodes=32, **own)
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
    found = [more[name] / found[name] for name in ("a2", "m2")]
    close(found, [1 + 9 * 2 * 14 / 9, 1 + 9 * 2 * 3 / 9], rtol=1e-6)


def test_the_adversarial_gap_is_as_predicted_and_the_worst():
    x, y = points.two_clouds(30)
    model = networks.fitted(x, y, "relu", use_bias=False)
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
        ((model, x + 1.0, y), "mean of x is 1: give"),
        ((model, x, 1 - y), "30 of 30 examples"),
        ((network(2), x, y), "without biases"),
        ((MODEL, X, Y), "3 classes"),
    ):
        assert_usage_error(bind(theory.adversarial_gap, *bad, 0.1), words)


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
    kernel, drop = keras.initializers.GlorotNormal(3), keras.layers.Dropout
    dense = bind(keras.layers.Dense, kernel_initializer=kernel)
    _, _, *found = numbers(keras.Sequential([keras.Input([2]), dense(K)]))
    assert found[1::2] == [0.0] * 3 and min(found[::2]) > 0.0
    for policy in ("float32", "mixed_float16"):
        with dtype_policy(policy):
            layers = [keras.Input([2]), dense(4, "tanh"), drop(0.5, name="d")]
            layers += [keras.layers.BatchNormalization(), drop(0.5), dense(K)]
            model = keras.Sequential(layers)
        copy = theory.in_float64(model)
        assert copy(X).dtype == "float64" and theory.in_float64(copy) is copy
        if policy == "float32":
            close(copy(X), model(X), atol=1e-6)
            whole = numbers(NoisyMix(model), tap="d")
            close(numbers(copy, tap="d"), whole, 1e-4, 1e-6)
    assert_usage_error(lambda: numbers(model), "computes in float16")


def test_mistakes():
    loss, two = bind(theory.noisymix_loss, MODEL, X, Y), np.stack([X, X])
    mixup, stability = theory.mixup_losses, bind(theory.stability, MODEL, X)
    for call, words in (
        (bind(numbers, MODEL, X, Y + 1), "from 1 to 3"),
        (bind(numbers, MODEL, X, np.eye(3)[Y] * 2), "rows [12, 3] of sum 1"),
        (bind(numbers, MODEL, X[:, :1], Y), "takes (None, 2)"),
        (bind(numbers, MODEL, X * np.nan, Y), "x must be an array of finite"),
        (bind(numbers, MODEL, [[1.0], [1.0, 2.0]]), "differ in length"),
        (bind(numbers, MODEL, X[:0], Y[:0]), "x is empty"),
        (bind(numbers, None), "no Keras model"),
        (bind(numbers, network(3, "sigmoid")), "yes or no answers"),
        (bind(numbers, MODEL, tap=None), "one name"),
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


@pytest.mark.slow
def test_the_command_shows_orders_also_of_ones_own_model(tmp_path, capsys):
    def shown(*line, **values):
        return command.run(parsed(TheoryConfig, *line, **values))

    folder, (page, flag) = tmp_path / "run", pages.empty(tmp_path)
    shown(flag, points=15, eps="2e-3,1e-3", output_dir=folder)
    assert {"theory.md", "theory.json", "theory.png"} <= set(contents(folder))
    text = page.read_text()
    assert "| R1 | " in text and "Seed 0, 15 examples." in text
    content = json.loads((folder / "theory.json").read_text())
    assert len(content["comparisons"]) == 4
    first = keras.layers.Dense(5, "tanh", name="first")
    layers = [keras.Input([4]), first, keras.layers.Dense(3)]
    # Where the third order is small, the fourth is seen at any eps.
    model = drawn(keras.Sequential(layers), 2)
    model.save(tmp_path / "model.keras")
    x, y = RNG(0).normal(size=[10, 4]).astype(np.float32), np.arange(10) % 3

    def saved(name, **arrays):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    paths = {"model": tmp_path / "model.keras", "data": saved("a", x=x, y=y)}
    found, pairs = shown(**paths, tap="first", eps="2e-3,1e-3,1e-3")
    assert all(abs(pair.order - 3.0) < 0.2 for pair in pairs.values())
    # The model's float32 would leave nothing of the remainder.
    assert np.all(np.abs(pairs["loss"].remainder) < 1e-7)
    text = capsys.readouterr().out
    assert f"| A2 | {found.a2:.6g} |" in text
    assert "not compared: The model has 3 classes" in text
    unbuilt = tmp_path / "unbuilt.keras"
    keras.Sequential([keras.layers.Dense(2)], name="unbuilt").save(unbuilt)
    for name, value, words in (
        ("data", "missing.npz", "cannot be read"),
        ("data", saved("b", x=x), "arrays x and y"),
        ("data", saved("e", x=x[:, None], y=y), "vectors with class n"),
        ("data", saved("f", x=x, y=0 * y - 1), "from -1 to -1"),
        ("model", unbuilt, "Sequential 'unbuilt' cannot be copied"),
        ("tap", "middle", "Unusable tap 'middle'"),
    ):
        assert_usage_error(bind(shown, points=5, **{name: value}), words)
