"""Mixing and noise against recorded draws and closed-form moments."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.mixing import MIXINGS, ManifoldMixing, MixPlan, feature_noise
from noisymix_tf.mixing import noise as noise_lib
from noisymix_tf.mixing.permute import permute
from support.usage import assert_usage_error


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
        keys = [f"{case}__b{b}_{name}" for b in branches]
        return np.stack([file[k] if k in file.files else nothing for k in keys])

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
    cases = sorted({key.split("__")[0] for key in file.files})
    assert len(cases) >= 4
    for case in cases:
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
        np.testing.assert_array_equal(
            file[f"{case}__y_b"], labels[plan.permutation.numpy()]
        )


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


@pytest.mark.parametrize("sparsity", [0.0, 0.65])
def test_noise_has_its_conditional_law(sparsity):
    """Given the amplitudes, noise is a sparse normal and a sparse uniform."""
    shape = (3, 50, 16, 16, 3)
    n = int(np.prod(shape[1:]))
    seed = rng.stream(0, 0, "noise")
    numbers = noise_lib.draw_numbers(seed, shape, [0.5, 1.0, 1.5], [0.5] * 3)
    draws = noise_lib.interpret(numbers, sparsity)
    for kept in (draws.additive_kept, draws.multiplicative_kept):
        share = np.mean(kept, axis=(1, 2, 3, 4))
        sigma = np.sqrt(sparsity * (1 - sparsity) / n)
        np.testing.assert_allclose(share, 1 - sparsity, atol=5 * sigma + 1e-6)
    # The two kinds keep entries independently.
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
    # Many views stand for many steps: each has amplitudes of its own.
    n = 3000
    levels = np.tile([0.5, 1.0, 1.5], n // 3)
    add, _, mult, _ = noise_lib.draw_numbers(
        rng.stream(0, 1, "noise"), (n, 1, 1), levels, [0.4] * n
    )
    add, mult = add.numpy() / levels, mult.numpy() / 0.4
    for values in (add, mult):
        sd = np.sqrt(3 / 28 - (2 / 7) ** 2)
        assert abs(values.mean() - 2 / 7) < 5 * sd / np.sqrt(n)
        assert abs((values**2).mean() - 3 / 28) < 5 * 0.13 / np.sqrt(n)
    # The two kinds of noise and successive views are independent.
    for a, b in ((add, mult), (add[1:], add[:-1]), (mult[1:], mult[:-1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noise_is_linear_and_its_gradient_is_the_slope(jit_compile):
    """And of it a part as large as the two sparsities say."""

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
    for changed in (at_zero.numpy() != 0, abs(slope.numpy() - 1) > 1e-4):
        assert 0.3 < changed.mean() < 0.4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_noise_keeps_the_dtype_and_without_a_level_the_features(dtype):
    x = tf.cast(tf.random.stateless_normal([2, 3, 4], [0, 1]), dtype)
    seed = rng.stream(0, 0, "noise")
    y = feature_noise(x, seed, [0.5] * 2, [0.5] * 2, 0.65)
    assert y.dtype == dtype
    assert np.isfinite(tf.cast(y, tf.float32)).all()
    for level, sparsity in ((0.0, 0.5), (1.0, 1.0)):
        y = feature_noise(x, seed, [level] * 2, [level] * 2, sparsity)
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_plan_is_uniform_over_taps_and_partners_and_beta_in_lam(jit_compile):
    mixing = ManifoldMixing().bind(num_taps=4, alpha=1.0)
    plan = tf.function(
        lambda step: mixing.plan(rng.stream(3, step, "mixing"), 8),
        jit_compile=jit_compile,
    )
    n = 400
    plans = [plan(tf.constant(step)) for step in range(n)]
    taps = np.bincount([int(p.tap) for p in plans], minlength=4)
    # Chi-square with 3 degrees of freedom; 16.3 is its 0.999 quantile.
    assert ((taps - n / 4) ** 2 / (n / 4)).sum() < 16.3
    lams = np.sort([float(p.lam) for p in plans])
    distance = np.abs(lams - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / np.sqrt(n)  # Kolmogorov's 0.001 quantile
    orders = np.array([p.permutation for p in plans])
    assert (np.sort(orders) == range(8)).all()
    # Each place has each partner equally often, also itself.
    counts = np.array([np.bincount(c, minlength=8) for c in orders.T])
    assert abs(counts - n / 8).max() < 5 * np.sqrt(n * 7 / 64)


def test_kinds_that_do_not_mix_or_only_at_the_first_tap():
    x = tf.random.stateless_normal([2, 5, 3], [0, 1])
    still = ManifoldMixing().bind(num_taps=2, alpha=0.0)
    first = MIXINGS.get("input")().bind(4, lambda: 1.0)
    none = MIXINGS.get("none")().bind(4, 1.0)
    for step in range(10):
        seed = rng.stream(0, step, "mixing")
        for mixing in (still, none):
            plan = mixing.plan(seed, 5)
            assert float(plan.lam) == 1.0
            np.testing.assert_array_equal(mixing.mix(x, plan), x)
        plan = first.plan(seed, 5)
        assert int(plan.tap) == 0 and float(plan.lam) < 1.0
        assert (first.mix(x, plan).numpy() != x.numpy()).any()


def test_unknown_mixing_lists_the_known():
    assert_usage_error(
        lambda: MIXINGS.get("mixed"), "'mixed'", "none, input, manifold"
    )
