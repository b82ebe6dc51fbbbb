"""Mixing and noise against recorded draws and closed-form moments."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from noisymix_tf import rng
from noisymix_tf.mixing import MIXINGS, ManifoldMixing, MixPlan, feature_noise
from noisymix_tf.mixing import noise as noise_lib
from support.augmentation import assert_moments


def test_mix_and_inject_reproduce_the_reference(golden):
    file = golden("noisymix_mixnoise.npz")
    cases = sorted({key.split("__")[0] for key in file.files})
    assert len(cases) >= 4
    for case in cases:
        additive, multiplicative, sparsity, _, jsd = file[f"{case}__levels"]
        views, x = 3 if jsd else 1, file[f"{case}__x"]
        x = x.reshape(views, -1, *x.shape[1:])

        def drawn(name, shape=x.shape[1:], case=case, views=views):
            # The reference draws nothing for a level of zero.
            keys = [f"{case}__b{b + 1}_{name}" for b in range(views)]
            zero = np.zeros(shape)
            found = [file[k] if k in file.files else zero for k in keys]
            return np.reshape(found, [views, *shape]).astype("float32")

        lam, order = file[f"{case}__lam"], file[f"{case}__perm"]
        plan = MixPlan(tf.constant(0), tf.constant(lam, "float32"), order)
        mixed = ManifoldMixing().bind(4, 1.0).mix(tf.constant(x), plan)
        # The levels of the views are one, two and three times the first.
        level = np.arange(1, views + 1) * additive * drawn("add_beta", ())
        kept = [drawn(f"{k}_sparse_u") >= sparsity for k in ("add", "mult")]
        added = level, drawn("add_normal"), kept[0]
        level, values = drawn("mult_beta", ()), 2 * drawn("mult_uniform") - 1
        multiplied = multiplicative * level, values, kept[1]
        out, _ = noise_lib.inject(mixed, added, multiplied)
        expected = file[f"{case}__out"].reshape(out.shape)
        assert_allclose(out, expected, atol=2e-6, err_msg=case)


@pytest.mark.parametrize("sparsity", [0.0, 0.65])
def test_noise_has_its_conditional_law(sparsity):
    """Given the amplitudes, noise is a sparse normal and a sparse uniform."""
    shape = (3, 50, 16, 16, 3)
    seed = rng.stream(0, 0, "noise")
    numbers = noise_lib.draw_numbers(seed, shape, [0.5, 1.0, 1.5], [0.5] * 3)
    draws = noise_lib.interpret(numbers, sparsity)
    (_, normal, add), (_, uniform, mult) = draws
    add, mult = add.numpy(), mult.numpy()
    # The two kinds keep entries independently, alike in each view.
    for mask, power in ((add, 1), (mult, 1), (add & mult, 2)):
        share = (1 - sparsity) ** power
        sigma = np.sqrt(share * (1 - share) / mask[0].size)
        assert_allclose(mask.mean((1, 2, 3, 4)), share, atol=5 * sigma + 1e-6)
    assert_moments("normal", normal[add])
    assert_moments("uniform", uniform[mult])


def test_noise_has_scaled_beta_amplitudes_and_is_linear():
    """Beta(2, 5), times the level."""
    # Many views stand for many steps: each has amplitudes of its own.
    n, seed = 3000, rng.stream(0, 1, "noise")
    levels = np.tile([0.5, 1.0, 1.5], n // 3)
    numbers = noise_lib.draw_numbers(seed, (n, 1, 1), levels, [0.4] * n)
    add, mult = numbers[0].numpy() / levels, numbers[2].numpy() / 0.4
    for values in (add, mult):
        assert stats.kstest(values, stats.beta(2, 5).cdf).pvalue > 1e-3
    # The two kinds of noise and successive views are independent.
    for a, b in ((add, mult), (add[1:], add[:-1]), (mult[1:], mult[:-1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)

    def noisy(x):
        seed = rng.stream(4, 0, "noise")
        return feature_noise(x, seed, [0.5] * 2, [0.5] * 2, 0.65)

    at_zero, ones = noisy(tf.zeros([2, 3, 8, 8, 4])), tf.ones([2, 3, 8, 8, 4])
    with tf.GradientTape() as tape:
        tape.watch(ones)
        squares = (at_one := noisy(ones)) ** 2
    gradient, slope = tape.gradient(squares, ones), at_one - at_zero
    assert_allclose(gradient, 2.0 * at_one * slope, atol=1e-5)
    for changed in (at_zero.numpy() != 0, abs(slope.numpy() - 1) > 1e-4):
        assert 0.3 < changed.mean() < 0.4


def test_plan_is_uniform_over_taps_and_partners_and_beta_in_lam():
    draw, n = tf.function(ManifoldMixing().bind(4, 1.0).plan), 400
    plans = [draw(rng.stream(3, step, "mixing"), 8) for step in range(n)]
    taps = np.bincount([int(p.tap) for p in plans], minlength=4)
    assert stats.chisquare(taps).pvalue > 1e-3
    lams = [float(p.lam) for p in plans]
    assert stats.kstest(lams, "uniform").pvalue > 1e-3
    orders = np.array([p.permutation for p in plans])
    assert (np.sort(orders) == range(8)).all()
    # Each place has each partner equally often, also itself.
    counts = np.array([np.bincount(c, minlength=8) for c in orders.T])
    assert abs(counts - n / 8).max() < 5 * np.sqrt(n * 7 / 64)


def test_blending_rounds_as_apart_and_goes_back_by_the_inverse():
    plan = MixPlan(0, tf.constant(0.3), tf.constant([2, 0, 1, 4, 3]))
    for shape in ((2, 5, 7), (3, 5, 4, 4, 3), (1, 5, 8, 8, 16)):
        x, up = (rng.uniform([0, n], shape) - 0.5 for n in (1, 2))
        with tf.GradientTape() as tape:
            tape.watch(x)
            mixed = MIXINGS.get("input")().mix(x, plan)
        slope, back = tape.gradient(mixed, x, up), tf.argsort(plan.permutation)
        # Two products and a sum, each rounded: eagerly nothing is fused.
        for ours, a, order in (mixed, x, plan.permutation), (slope, up, back):
            apart = plan.lam * a
            apart += (1.0 - plan.lam) * tf.gather(a, order, axis=1)
            assert_array_equal(ours, apart)


def test_kinds_that_do_not_mix_or_only_at_the_first_tap():
    x = tf.random.stateless_normal([2, 5, 3], [0, 1])
    still = ManifoldMixing().bind(num_taps=2, alpha=0.0)
    first = MIXINGS.get("input")().bind(4, lambda: 1.0)
    for step in range(10):
        seed = rng.stream(0, step, "mixing")
        for mixing in (still, MIXINGS.get("none")().bind(4, 1.0)):
            plan = mixing.plan(seed, 5)
            assert float(plan.lam) == 1.0
            assert_array_equal(mixing.mix(x, plan), x)
        plan = first.plan(seed, 5)
        assert int(plan.tap) == 0 and float(plan.lam) < 1.0
