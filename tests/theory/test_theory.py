"""The second-order theory against finite differences, quadrature, sampling."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import theory
from noisymix_tf.theory import losses, problems
from noisymix_tf.theory.tail import Tail
from support import smooth_network
from support.smooth_network import K, N, network

EPS = [0.016, 0.008, 0.004, 0.002]
TAPS = ("input", "first")


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def examples():
    return smooth_network.examples()


def features(model, x, tap):
    return Tail(model, x, tap).features.numpy()


def numpy_logits(model, tap):
    """The network behind a tap, restated."""
    weights = model.get_weights()[0 if tap == "input" else 2 :]

    def logits(h):
        *hidden, (kernel, bias) = zip(weights[::2], weights[1::2])
        for w, b in hidden:
            h = np.tanh(h @ w + b)
        return h @ kernel + bias

    return logits


def differences(function, h, step=1e-4):
    """Jacobian `[K, D]` and Hessians `[K, D, D]` at one point."""
    unit = step * np.eye(len(h))
    slope = [(function(h + e) - function(h - e)) / (2 * step) for e in unit]
    bend = [
        [
            function(h + d + e)
            - function(h + d - e)
            - function(h - d + e)
            + function(h - d - e)
            for e in unit
        ]
        for d in unit
    ]
    return np.stack(slope, -1), np.moveaxis(bend, 2, 0) / (4 * step**2)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("tap", TAPS)
def test_regularizers_are_those_of_finite_differences(model, examples, tap):
    x, y = examples
    h, logits = features(model, x, tap), numpy_logits(model, tap)
    totals = np.zeros(8)
    for i in range(N):
        p = softmax(logits(h[i]))
        error = p - np.eye(K)[y[i]]
        slope, bend = differences(logits, h[i])
        newton = slope.T @ (np.diag(p) - np.outer(p, p)) @ slope
        curved = np.einsum("c,cde->de", error, bend)
        away = h - h[i]
        totals[:2] += -np.log(p[y[i]]), error @ slope @ away.mean(0)
        for k, second in enumerate(
            (away.T @ away / N, np.eye(len(h[i])), np.diag(h[i] ** 2))
        ):
            totals[2 + 2 * k] += 0.5 * np.sum(newton * second)
            totals[3 + 2 * k] += 0.5 * np.sum(curved * second)
    found = nm.theory.regularizers(model, x, y, tap=tap)
    names = ("loss", "r1", "r2", "r3", "a2", "a3", "m2", "m3")
    np.testing.assert_allclose(
        [getattr(found, name) for name in names],
        totals / N,
        rtol=1e-5,
        atol=1e-7,
    )


def test_a_linear_classifier_has_no_curvature(examples):
    x, y = examples
    inputs = keras.Input([2], dtype="float64")
    model = keras.Sequential([inputs, keras.layers.Dense(K, dtype="float64")])
    found = theory.regularizers(model, x, y)
    assert found.r3 == found.a3 == found.m3 == 0.0
    assert min(found.r2, found.a2, found.m2) > 0.0


@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("jsd_weight", [0.0, 12.0])
def test_the_remainder_is_of_third_order(model, examples, tap, jsd_weight):
    numbers = {
        "additive": 0.5,
        "multiplicative": 0.4,
        "jsd_weight": jsd_weight,
    }
    # The divergence's fourth order is large: it needs smaller steps.
    eps = np.array(EPS) / (32 if jsd_weight else 1)
    exact = theory.noisymix_loss(model, *examples, eps, tap=tap, **numbers)
    found = theory.regularizers(model, *examples, tap=tap)
    rest = exact - np.array([found.expansion(e, **numbers) for e in eps])
    slope = np.polyfit(np.log(eps), np.log(np.abs(rest)), 1)[0]
    assert abs(slope - 3.0) < 0.2


@pytest.mark.parametrize("alpha, beta", [(1.0, None), (0.5, 0.5), (2.0, 1.5)])
def test_mixed_labels_are_a_law_of_the_coefficient(
    model, examples, alpha, beta
):
    mixed, own = theory.mixup_losses(
        model, *examples, alpha=alpha, beta=beta, nodes=32
    )
    assert abs(mixed - own) < 1e-10
    # Something is integrated: the law of the labels left alone is another.
    unmixed = theory.regularizers(model, *examples).loss
    assert abs(mixed - unmixed) > 1e-3


def test_mixup_is_the_mean_over_coefficients_and_pairs(model, examples):
    x, y = examples
    logits, labels = numpy_logits(model, "input"), np.eye(K)[y]
    lams = (np.arange(2000) + 0.5) / 2000
    i, r = np.divmod(np.arange(N * N), N)
    losses = []
    for lam in lams[::20]:
        p = softmax(logits(lam * x[i] + (1 - lam) * x[r]))
        targets = lam * labels[i] + (1 - lam) * labels[r]
        losses.append(-np.mean(np.sum(targets * np.log(p), -1)))
    mixed, _ = theory.mixup_losses(model, x, y, nodes=16)
    assert mixed == pytest.approx(np.mean(losses), rel=0.01)


def test_the_design_has_the_moments_of_the_noise():
    scales = np.array([[0.5, 1.0, 1.5], [0.4, 0.4, 0.4]])
    points = np.stack(losses._design(*scales, dimension=2), axis=1)
    points = points.reshape(len(points), -1)
    expected = np.diag(np.repeat(scales.ravel() ** 2, 2))
    np.testing.assert_allclose(points.mean(0), 0.0, atol=1e-15)
    np.testing.assert_allclose(
        points.T @ points / len(points), expected, atol=1e-12
    )
    third = np.einsum("ni,nj,nk->ijk", points, points, points)
    np.testing.assert_allclose(third, 0.0, atol=1e-12)


def test_the_design_is_normal_noise_to_the_fourth_order(model, examples):
    """Gauss-Hermite quadrature over additive noise in the plane."""
    x, y = examples
    logits = numpy_logits(model, "input")
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    noise = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    i, r = np.divmod(np.arange(N * N), N)
    eps, rest = np.array([0.08, 0.04]), []
    for e in eps:
        mixed = (1 - e) * x[i] + e * x[r]
        p = softmax(logits(mixed + e * noise[:, None]))
        loss = -np.log(p[:, np.arange(N * N), y[i]]).mean(1)
        design = theory.noisymix_loss(model, x, y, e, multiplicative=0.0)
        rest.append(weights @ loss - design)
    slope = np.diff(np.log(np.abs(rest)))[0] / np.diff(np.log(eps))[0]
    assert slope > 3.8


@pytest.mark.parametrize("weights", [None, (0.5, 0.3, 0.2), (0.7, 0.3)])
def test_divergence_of_displaced_views(model, examples, weights):
    views = len(weights or "123")
    moves = np.random.default_rng(1).normal(size=[views, N, 2])
    ratios = []
    for eps in (0.01, 0.005):
        exact, near = theory.stability(
            model, examples[0], eps * moves, weights=weights
        )
        ratios.append(exact / near - 1.0)
    assert np.all(np.abs(ratios) < 0.01)
    assert abs(ratios[1]) < 0.6 * abs(ratios[0])


def test_divergence_of_two_views_is_the_fisher_information(model, examples):
    x = examples[0]
    logits = numpy_logits(model, "input")
    move, expected = np.array([0.6, -0.8]), 0.0
    for point in x:
        p, (slope, _) = softmax(logits(point)), differences(logits, point)
        change = slope @ move
        expected += 0.3 * 0.7 / 2 * (p @ change**2 - (p @ change) ** 2)
    moves = 0.001 * np.stack([np.zeros([N, 2]), np.tile(move, [N, 1])])
    exact, near = theory.stability(model, x, moves, weights=(0.3, 0.7))
    assert near == pytest.approx(1e-6 * expected / N, rel=1e-5)
    assert exact == pytest.approx(near, rel=0.01)


@pytest.mark.parametrize(
    "views, share", [((1.0, 2.0, 3.0), 14 / 9), ((0.0, 1.0), 1 / 8)]
)
def test_divergence_of_noisy_views(model, examples, views, share):
    """Published factors of `sigma^2 tr F`; the mean of tr F is twice A2."""
    eps, numbers = 0.002, {"multiplicative": 0.0, "noise_per_view": views}
    with_it, without = (
        theory.noisymix_loss(
            model, *examples, eps, jsd_weight=weight, **numbers
        )
        for weight in (1.0, 1e-12)
    )
    trace = 2.0 * theory.regularizers(model, *examples).a2
    ratio = (with_it - without) / (share * eps**2 * trace)
    assert ratio == pytest.approx(1.0, abs=0.01)


def test_what_the_trainer_adds_is_what_the_coefficients_say(model, examples):
    """The divergence that `nm.NoisyMix` measures, noise drawn as it draws."""
    x, y = (np.tile(a, [20] + [1] * (a.ndim - 1)) for a in examples)
    plain = keras.models.clone_model(
        model,
        input_tensors=keras.Input([2]),
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float32"}
        ),
    )
    plain.set_weights(model.get_weights())
    levels = {
        "additive_noise": 0.1,
        "multiplicative_noise": 0.2,
        "noise_sparsity": 0.3,
    }
    trainer = nm.NoisyMix(
        plain, taps="input", alpha=0.0, mixing="manifold", **levels
    )
    trainer.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=50,
    )
    views = np.repeat(x[:, None], 3, axis=1)
    steps = tf.data.Dataset.from_tensors((views, y)).repeat(2000)
    measured = trainer.fit(steps, verbose=0, shuffle=False).history["jsd"][-1]
    found = theory.regularizers(model, *examples)
    times = {
        weight: theory.coefficients(alpha=0.0, jsd_weight=weight, **levels)
        for weight in (0.0, 1.0)
    }
    expected = sum(
        (times[1.0][name] - times[0.0][name]) * getattr(found, name)
        for name in ("a2", "m2")
    )
    assert measured == pytest.approx(expected, rel=0.05)


def test_coefficients_of_the_defaults():
    """Standard deviations 0.0968 and 0.0559; `lam ~ Beta(2, 1)`."""
    found = theory.coefficients(jsd_weight=0.0)
    assert found["a3"] == found["a2"] == pytest.approx(0.0968**2, rel=1e-3)
    assert found["m3"] == found["m2"] == pytest.approx(0.0559**2, rel=1e-3)
    assert found["r1"] == pytest.approx(1 / 3)
    assert found["r2"] == found["r3"] == pytest.approx(1 / 6)
    assert theory.coefficients(alpha=0.0)["r1"] == 0.0


@pytest.fixture(scope="module")
def separated():
    x, y = problems.clouds(30)
    return problems.piecewise_linear(x, y), x, y


def test_the_adversarial_gap_is_as_predicted(separated):
    for eps in (0.001, 0.0005):
        found = theory.adversarial_gap(
            *separated, eps, additive=0.7, multiplicative=0.5
        )
        assert found.gap > 0.0
        assert found.gap == pytest.approx(found.predicted, rel=0.02)


def test_the_adversarial_loss_is_the_worst_in_the_ball(separated):
    model, x, y = separated
    eps = 0.05
    found = theory.adversarial_gap(model, x, y, eps)
    sign = 2.0 * y - 1.0

    def margin(x):
        logits = model(x.reshape(-1, 2)).numpy()
        return (logits[:, 1] - logits[:, 0]).reshape(x.shape[:-1])

    _, slope = zip(*(_slope(margin, point) for point in x))
    radius = eps * np.abs(margin(x)) / np.linalg.norm(slope, axis=1)
    angle = np.linspace(0, 2 * np.pi, 721)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    worst = np.log1p(np.exp(-sign * margin(x + radius[:, None] * circle)))
    assert found.adversarial == pytest.approx(worst.max(0).mean(), rel=1e-4)


def _slope(function, point, step=1e-6):
    units = step * np.eye(2)
    return None, [
        float(function(point + e) - function(point - e)) / (2 * step)
        for e in units
    ]
