"""Boxes against the published rule, and the shares of pixels."""

import types

import numpy as np
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from noisymix_tf import rng
from noisymix_tf.mixing import CutMix, InputMixing
from noisymix_tf.mixing.cutmix import box
from support.usage import assert_usage_error as refused

HEIGHT, WIDTH, BATCH = 12, 20, 4


def _settled(drawn, shape=(BATCH, HEIGHT, WIDTH, 1)):
    clean = types.SimpleNamespace(images=tf.zeros(shape), features=tf.identity)
    return CutMix().settle(drawn, clean)


def test_boxes_are_the_published_ones_and_draws_have_their_laws():
    for lam in (0.0, 0.1, 0.37, 0.93, 0.999, 1.0):
        # The published rule, with the sides called by their names.
        cut = np.sqrt(1.0 - lam)
        half_h, half_w = int(HEIGHT * cut) // 2, int(WIDTH * cut) // 2
        for row, column in ((0, 0), (3, 19), (11, 7), (6, 10)):
            expected = np.zeros((HEIGHT, WIDTH), bool)
            top, left = max(row - half_h, 0), max(column - half_w, 0)
            expected[top : row + half_h, left : column + half_w] = True
            centre = [(row + 0.5) / HEIGHT, (column + 0.5) / WIDTH]
            ours = box(tf.constant(lam), tf.constant(centre), HEIGHT, WIDTH)
            assert_array_equal(ours, expected)
    mixing = CutMix(probability=0.7).bind(num_taps=4, alpha=0.5)
    draw = tf.function(lambda s: mixing.plan(rng.stream(1, s, "mixing"), BATCH))
    count = 400
    draws = [draw(tf.constant(step)) for step in range(count)]
    own = np.zeros([2, BATCH, HEIGHT, WIDTH, 1], np.float32)
    own += np.arange(BATCH).reshape(-1, 1, 1, 1)

    @tf.function(jit_compile=True)
    def mixed(drawn):
        plan = _settled(drawn)
        return plan, mixing.mix(tf.constant(own), plan)

    for plan, ours in map(mixed, draws[:40]):
        inside, order = plan.inside.numpy(), plan.permutation.numpy()
        expected = np.where(inside[..., None], own[:, order], own)
        assert_array_equal(ours, expected)
        assert_allclose(plan.lam, 1 - inside.mean(), atol=1e-6)
        assert int(plan.tap) == 0
    lams = np.array([float(plan.lam) for plan in draws])
    centres, mixes = np.array([plan.centre for plan in draws]), lams < 1.0
    assert abs(mixes.mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / count)
    # Beta(1/2, 1/2) is the arcsine law.
    for values in (2 / np.pi * np.arcsin(np.sqrt(lams[mixes])), *centres.T):
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(count)
    assert abs(np.corrcoef(centres[mixes, 0], lams[mixes])[0, 1]) < 0.25
    # The partners of a step do not depend on the kind.
    seed = rng.stream(1, 0, "mixing")
    other = InputMixing(probability=0.0).bind(1, 1.0).plan(seed, BATCH)
    assert_array_equal(draws[0].permutation, other.permutation)
    assert float(other.lam) == 1.0


def test_what_is_no_share_or_no_image_is_refused():
    drawn = CutMix().plan(rng.stream(0, 0, "mixing"), 8)
    refused(lambda: CutMix(-0.1), "-0.1 must be in [0, 1]")
    refused(lambda: CutMix(True), "probability=True")
    refused(lambda: _settled(drawn, (8, 2)), "CutMix mixes regions", "[2]")
