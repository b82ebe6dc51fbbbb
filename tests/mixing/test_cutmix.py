"""Boxes against the published rule, and the shares of pixels."""

import types

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.mixing import CutMix, InputMixing
from noisymix_tf.mixing.cutmix import box
from support.usage import assert_usage_error

HEIGHT, WIDTH, BATCH = 12, 20, 4


def _clean(shape=(BATCH, HEIGHT, WIDTH, 1)):
    return types.SimpleNamespace(
        images=tf.zeros(shape), features=lambda images: images
    )


def _published(lam, row, column, height, width):
    """The published rule, with the sides called by their names."""
    cut = np.sqrt(1.0 - lam)
    half_h, half_w = int(height * cut) // 2, int(width * cut) // 2
    inside = np.zeros((height, width), bool)
    top, left = max(row - half_h, 0), max(column - half_w, 0)
    inside[top : row + half_h, left : column + half_w] = True
    return inside


@pytest.mark.parametrize("lam", [0.0, 0.1, 0.37, 0.93, 0.999, 1.0])
def test_boxes_are_the_published_ones(lam):
    for row, column in ((0, 0), (3, 19), (11, 7), (6, 10)):
        centre = tf.constant([(row + 0.5) / HEIGHT, (column + 0.5) / WIDTH])
        np.testing.assert_array_equal(
            box(tf.constant(lam), centre, HEIGHT, WIDTH),
            _published(lam, row, column, HEIGHT, WIDTH),
        )


def test_lam_is_the_pixels_share_and_draws_have_their_laws():
    """In every view; compiled by XLA as in a train step."""
    mixing = CutMix(probability=0.7).bind(num_taps=4, alpha=0.5)
    marks = tf.reshape(tf.range(BATCH, dtype=tf.float32), [-1, 1, 1, 1])
    marks += tf.zeros([2, BATCH, HEIGHT, WIDTH, 1])

    @tf.function(jit_compile=True)
    def settled(step):
        drawn = mixing.plan(rng.stream(1, step, "mixing"), BATCH)
        plan = mixing.settle(drawn, _clean())
        return drawn.lam, drawn.centre, plan, mixing.mix(marks, plan)

    count = 400
    draws = [settled(tf.constant(step)) for step in range(count)]
    for _, _, plan, mixed in draws[:40]:
        inside, order = plan.inside.numpy(), plan.permutation.numpy()
        expected = np.where(
            inside[..., None], marks.numpy()[:, order], marks.numpy()
        )
        np.testing.assert_array_equal(mixed, expected)
        np.testing.assert_allclose(plan.lam, 1 - inside.mean(), atol=1e-6)
        assert int(plan.tap) == 0
    lams = np.array([float(lam) for lam, *_ in draws])
    mixes = lams < 1.0
    sigma = np.sqrt(0.7 * 0.3 / count)
    assert abs(mixes.mean() - 0.7) < 4 * sigma
    # Beta(1/2, 1/2) is the arcsine law.
    laws = [2 / np.pi * np.arcsin(np.sqrt(lams[mixes]))]
    centres = np.array([centre for _, centre, *_ in draws])
    for values in (*laws, *centres.T):
        values = np.sort(values)
        places = (np.arange(len(values)) + 0.5) / len(values)
        assert abs(values - places).max() < 1.95 / np.sqrt(len(values))
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(count)
    assert abs(np.corrcoef(centres[mixes, 0], lams[mixes])[0, 1]) < 0.25


def test_the_partners_of_a_step_do_not_depend_on_the_kind():
    seed = rng.stream(0, 5, "mixing")
    one = CutMix().bind(1, 1.0).plan(seed, 8)
    other = InputMixing(probability=0.0).bind(1, 1.0).plan(seed, 8)
    np.testing.assert_array_equal(one.permutation, other.permutation)
    assert float(other.lam) == 1.0 > float(one.lam)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: CutMix().check((2,)),
            "CutMix mixes regions of images [H, W, C], but an example has "
            "shape [2]; use mixing='input'",
        ),
        (
            lambda: CutMix().settle(
                CutMix().plan(rng.stream(0, 0, "mixing"), 8), _clean((8, 2))
            ),
            "shape [2]",
        ),
        (lambda: CutMix(-0.1), "probability=-0.1 must be a number in [0, 1]"),
        (lambda: CutMix(1.5), "probability=1.5"),
        (lambda: CutMix(None), "probability=None"),
        (lambda: CutMix(True), "probability=True"),
    ],
)
def test_what_is_no_share_or_no_image_is_refused(call, words):
    assert_usage_error(call, words)
