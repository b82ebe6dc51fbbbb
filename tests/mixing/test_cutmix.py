"""Boxes against the published rule, and the shares of pixels."""

import types

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import CutMix
from noisymix_tf.mixing.cutmix import box

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


@pytest.mark.parametrize("lam", [0.0, 0.1, 0.37, 0.5, 0.93, 0.999, 1.0])
def test_boxes_are_the_published_ones(lam):
    for row, column in ((0, 0), (3, 19), (11, 7), (6, 10)):
        centre = tf.constant([(row + 0.5) / HEIGHT, (column + 0.5) / WIDTH])
        np.testing.assert_array_equal(
            box(tf.constant(lam), centre, HEIGHT, WIDTH),
            _published(lam, row, column, HEIGHT, WIDTH),
        )


@pytest.fixture(scope="module")
def step():
    """Draws and settles the plan of a step: lam before and after, and box."""
    mixing = CutMix(probability=0.7).bind(num_taps=4, alpha=0.5)

    @tf.function(jit_compile=True)
    def settled(step):
        drawn = mixing.plan(rng.stream(1, step, "mixing"), BATCH)
        plan = mixing.settle(drawn, _clean())
        own = tf.zeros([2, BATCH, HEIGHT, WIDTH, 1])
        marks = own + tf.reshape(
            tf.range(BATCH, dtype=tf.float32), [-1, 1, 1, 1]
        )
        return drawn, plan, mixing.mix(marks, plan)

    return settled


def test_lam_is_the_share_of_the_pixels_in_every_view(step):
    shares = set()
    for index in range(40):
        _, plan, mixed = step(tf.constant(index))
        for view in mixed.numpy():
            for own, partner, image in zip(
                range(BATCH), plan.permutation.numpy(), view
            ):
                if own == partner:
                    continue
                share = np.mean(image == own)
                np.testing.assert_allclose(share, plan.lam, atol=1e-6)
                np.testing.assert_allclose(
                    np.mean(image == partner), 1.0 - share, atol=1e-6
                )
                shares.add(round(float(share), 4))
        assert int(plan.tap) == 0
    assert len(shares) > 15


def test_coefficients_centres_and_probability_have_their_laws(step):
    count = 600
    drawn = [step(tf.constant(index))[0] for index in range(count)]
    lams = np.array([float(plan.lam) for plan in drawn])
    mixed = lams < 1.0
    sigma = np.sqrt(0.7 * 0.3 / count)
    assert abs(mixed.mean() - 0.7) < 4 * sigma
    # Beta(1/2, 1/2) is the arcsine law.
    levels = np.sort(2 / np.pi * np.arcsin(np.sqrt(lams[mixed])))
    places = (np.arange(len(levels)) + 0.5) / len(levels)
    assert abs(levels - places).max() < 1.95 / np.sqrt(len(levels))
    centres = np.array([plan.centre.numpy() for plan in drawn])
    for axis in centres.T:
        axis = np.sort(axis)
        places = (np.arange(count) + 0.5) / count
        assert abs(axis - places).max() < 1.95 / np.sqrt(count)
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(count)
    assert abs(np.corrcoef(centres[mixed, 0], lams[mixed])[0, 1]) < 0.2


def test_what_draws_nothing_more_has_the_plans_it_had():
    """The partners of a step do not depend on the kind of mixing."""
    from noisymix_tf.mixing import InputMixing

    seed = rng.stream(0, 5, "mixing")
    one = CutMix().bind(1, 1.0).plan(seed, 8)
    other = InputMixing(probability=0.0).bind(1, 1.0).plan(seed, 8)
    np.testing.assert_array_equal(one.permutation, other.permutation)
    assert float(other.lam) == 1.0 > float(one.lam)


def test_vectors_have_no_boxes():
    with pytest.raises(UsageError, match=r"images \[H, W, C\].*shape \[2\]"):
        CutMix().check((2,))
    with pytest.raises(UsageError, match="mixing='input'"):
        plan = CutMix().plan(rng.stream(0, 0, "mixing"), 8)
        CutMix().settle(plan, _clean((8, 2)))


@pytest.mark.parametrize("value", [-0.1, 1.5, "often", None, True])
def test_probabilities_are_shares(value):
    with pytest.raises(UsageError, match=f"probability={value!r} must be"):
        CutMix(probability=value)
