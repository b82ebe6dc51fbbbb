"""Mixing and noise against recorded draws and closed-form moments."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS, ManifoldMixing, MixPlan, feature_noise
from noisymix_tf.mixing import noise as noise_lib
from noisymix_tf.mixing.permute import permute


def _cases(file):
    return sorted({key.split("__")[0] for key in file.files})


def _recorded_draws(file, case, additive, multiplicative, sparsity):
    x, jsd = file[f"{case}__x"], file[f"{case}__levels"][4]
    branches = (1, 2, 3) if jsd else (1,)
    shape = {
        "beta": (),
        "normal": (len(x) // len(branches), *x.shape[1:]),
    }

    def stacked(name):
        # The reference draws nothing for a level of zero.
        nothing = np.zeros(shape["beta" if "beta" in name else "normal"])
        return np.stack(
            [
                file[key] if key in file.files else nothing
                for key in (f"{case}__b{b}_{name}" for b in branches)
            ]
        )

    return noise_lib.NoiseDraws(
        additive_amplitude=tf.constant(
            np.array(branches) * additive * stacked("add_beta").ravel(),
            tf.float32,
        ),
        normal=tf.constant(stacked("add_normal"), tf.float32),
        additive_kept=tf.constant(stacked("add_sparse_u") >= sparsity),
        multiplicative_amplitude=tf.constant(
            multiplicative * stacked("mult_beta").ravel(), tf.float32
        ),
        uniform=tf.constant(2 * stacked("mult_uniform") - 1, tf.float32),
        multiplicative_kept=tf.constant(stacked("mult_sparse_u") >= sparsity),
    )


def test_mix_and_inject_reproduce_the_reference(golden):
    file = golden("noisymix_mixnoise.npz")
    checked = 0
    for case in _cases(file):
        additive, multiplicative, sparsity, _, jsd = file[f"{case}__levels"]
        x = tf.constant(file[f"{case}__x"])
        x = tf.reshape(x, [3 if jsd else 1, -1, *x.shape[1:]])
        plan = MixPlan(
            tf.constant(0),
            tf.constant(file[f"{case}__lam"], tf.float32),
            tf.constant(file[f"{case}__perm"], tf.int32),
        )
        mixed = ManifoldMixing().bind(4, 1.0).mix(x, plan)
        draws = _recorded_draws(file, case, additive, multiplicative, sparsity)
        out, _ = noise_lib.inject(mixed, draws)
        expected = file[f"{case}__out"].reshape(out.shape)
        np.testing.assert_allclose(out, expected, atol=2e-6, err_msg=case)
        labels = file[f"{case}__y"]
        np.testing.assert_array_equal(file[f"{case}__y_a"], labels)
        np.testing.assert_array_equal(
            file[f"{case}__y_b"], labels[plan.permutation.numpy()]
        )
        checked += 1
    assert checked >= 4


def test_permute_gradient_is_that_of_gather():
    x = tf.random.stateless_normal([3, 5, 4], [1, 2])
    weights = tf.random.stateless_normal([3, 5, 4], [3, 4])
    order = tf.constant([3, 1, 4, 0, 2])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours = tf.reduce_sum(permute(x, order) * weights)
        theirs = tf.reduce_sum(tf.gather(x, order, axis=1) * weights)
    np.testing.assert_array_equal(permute(x, order), x.numpy()[:, order])
    np.testing.assert_allclose(
        tape.gradient(ours, x), tape.gradient(theirs, x), rtol=1e-6
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.65])
def test_noise_has_its_conditional_law(jit_compile, sparsity):
    """Given the amplitudes, noise is a sparse normal and a sparse uniform."""
    shape = (3, 50, 16, 16, 3)
    n = int(np.prod(shape[1:]))

    @tf.function(jit_compile=jit_compile)
    def draw(seed):
        numbers = noise_lib.draw_numbers(
            seed, shape, [0.5, 1.0, 1.5], [0.5] * 3
        )
        return noise_lib.interpret(numbers, sparsity)

    draws = draw(rng.stream(0, 0, "noise"))
    for kept in (draws.additive_kept, draws.multiplicative_kept):
        share = tf.reduce_mean(tf.cast(kept, tf.float32), axis=[1, 2, 3, 4])
        sigma = np.sqrt(sparsity * (1 - sparsity) / n)
        np.testing.assert_allclose(share, 1 - sparsity, atol=5 * sigma + 1e-6)
    both = draws.additive_kept & draws.multiplicative_kept
    np.testing.assert_allclose(
        np.mean(both), (1 - sparsity) ** 2, atol=5 / np.sqrt(3 * n)
    )
    normal = draws.normal.numpy()[draws.additive_kept.numpy()]
    uniform = draws.uniform.numpy()[draws.multiplicative_kept.numpy()]
    m = len(normal)
    # Five standard errors of mean, variance and fourth moment.
    assert abs(normal.mean()) < 5 / np.sqrt(m)
    assert abs(normal.var() - 1) < 5 * np.sqrt(2 / m)
    assert abs((normal**4).mean() - 3) < 5 * np.sqrt(96 / m)
    assert abs(uniform.mean()) < 5 * np.sqrt(1 / 3 / m)
    assert abs((uniform**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / m)
    assert abs(uniform).max() <= 1


def test_noise_amplitudes_follow_the_scaled_beta():
    """E[b] = 2/7 and E[b^2] = 3/28 of Beta(2, 5), times the level."""
    n = 4000
    numbers = [
        noise_lib.draw_numbers(
            rng.stream(0, step, "noise"),
            (3, 1, 1),
            [0.5, 1.0, 1.5],
            [0.4] * 3,
        )
        for step in range(n // 10)
    ]
    add = np.array([each[0] for each in numbers]) / [0.5, 1.0, 1.5]
    mult = np.array([each[2] for each in numbers]) / 0.4
    for values in (add, mult):
        m = values.size
        sd = np.sqrt(3 / 28 - (2 / 7) ** 2)
        assert abs(values.mean() - 2 / 7) < 5 * sd / np.sqrt(m)
        assert abs((values**2).mean() - 3 / 28) < 5 * 0.13 / np.sqrt(m)
    # Views and the two kinds of noise are independent of one another.
    columns = np.concatenate([add, mult], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(6)
    assert abs(correlation).max() < 5 / np.sqrt(len(columns))


def test_noise_standard_deviation_matches_the_closed_form():
    """Var(add) = level^2 (3/28)(1-s), Var(mult - 1) = level^2 (1/28)(1-s)."""
    levels = np.array([0.5, 1.0, 1.5])
    zeros, ones = tf.zeros([3, 64, 4]), tf.ones([3, 64, 4])
    sums = np.zeros([2, 3])
    steps = 3000

    @tf.function
    def powers(step):
        add = feature_noise(
            zeros, rng.stream(1, step, "a"), levels, [0.0] * 3, 0.65
        )
        mult = feature_noise(
            ones, rng.stream(1, step, "m"), [0.0] * 3, [0.5] * 3, 0.65
        )
        return tf.reduce_mean(tf.stack([add, mult - 1.0]) ** 2, axis=[2, 3])

    for step in range(steps):
        sums += powers(tf.constant(step)).numpy()
    std = np.sqrt(sums / steps)
    # One amplitude a draw: the standard error of a std is about 1 %.
    np.testing.assert_allclose(std[0], [0.0968, 0.1936, 0.2905], rtol=0.05)
    np.testing.assert_allclose(std[1], 0.0559, rtol=0.05)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noise_is_linear_and_its_gradient_is_the_slope(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def noisy(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = feature_noise(
                x, rng.stream(4, 0, "noise"), [0.5] * 2, [0.5] * 2, 0.65
            )
            loss = tf.reduce_sum(y * y)
        return y, tape.gradient(loss, x)

    zeros = tf.zeros([2, 3, 8, 8, 4])
    at_zero, _ = noisy(zeros)
    at_one, gradient = noisy(zeros + 1.0)
    slope = at_one - at_zero
    np.testing.assert_allclose(gradient, 2.0 * at_one * slope, atol=1e-5)
    assert 0.3 < np.mean(np.abs(slope.numpy() - 1.0) > 1e-4) < 0.4


def test_noise_without_levels_or_with_full_sparsity_changes_nothing():
    x = tf.random.stateless_normal([2, 3, 4], [0, 1])
    seed = rng.stream(0, 0, "noise")
    same = feature_noise(x, seed, [0.0] * 2, [0.0] * 2, 0.5)
    np.testing.assert_array_equal(same, x)
    same = feature_noise(x, seed, [1.0] * 2, [1.0] * 2, 1.0)
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_noise_keeps_the_dtype(dtype):
    x = tf.zeros([1, 4, 4], dtype)
    out = feature_noise(x, rng.stream(0, 0, "n"), [0.5], [0.5], 0.65)
    assert out.dtype == dtype
    assert np.isfinite(tf.cast(out, tf.float32)).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_plan_is_uniform_over_taps_and_beta_in_lam(jit_compile):
    mixing = ManifoldMixing().bind(num_taps=4, alpha=1.0)
    plan = tf.function(
        lambda step: mixing.plan(rng.stream(3, step, "mixing"), 8),
        jit_compile=jit_compile,
    )
    n = 600
    plans = [plan(tf.constant(step)) for step in range(n)]
    taps = np.bincount([int(p.tap) for p in plans], minlength=4)
    # Chi-square with 3 degrees of freedom; 16.3 is its 0.999 quantile.
    assert ((taps - n / 4) ** 2 / (n / 4)).sum() < 16.3
    lams = np.sort([float(p.lam) for p in plans])
    distance = np.abs(lams - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / np.sqrt(n)  # Kolmogorov's 0.001 quantile
    for p in plans[:20]:
        assert sorted(p.permutation.numpy()) == list(range(8))
    assert len({tuple(p.permutation.numpy()) for p in plans}) > n * 0.95


def test_alpha_zero_means_no_mixing():
    mixing = ManifoldMixing().bind(num_taps=2, alpha=0.0)
    x = tf.random.stateless_normal([2, 5, 3], [0, 1])
    for step in range(20):
        plan = mixing.plan(rng.stream(0, step, "mixing"), 5)
        assert float(plan.lam) == 1.0
        np.testing.assert_array_equal(mixing.mix(x, plan), x)


def test_input_mixing_uses_the_first_tap_only():
    mixing = MIXINGS.get("input")().bind(4, 1.0)
    taps = {
        int(mixing.plan(rng.stream(0, step, "mixing"), 4).tap)
        for step in range(20)
    }
    assert taps == {0}


def test_unknown_mixing_lists_the_known():
    with pytest.raises(UsageError, match=r"'mixed'.*none, input, manifold"):
        MIXINGS.get("mixed")
