"""Differences of rows against NumPy's and SciPy's own formulas."""

import math

import numpy as np
import pytest
from scipy import stats

from noisymix_tf.comparison.differences import Cell, Measure
from noisymix_tf.evaluation import resampling

N, DRAWS = 400, resampling.REPLICATES
# The other model is right where the first one is, but for 8 images.
RIGHT = np.random.default_rng(0).permutation(N) < 0.8 * N
WORSE = RIGHT & (np.cumsum(RIGHT) > 8)


def measure(right, images="these"):
    metric = 100.0 * resampling.means(right)
    error = resampling.error(metric)
    return Measure(float(metric[0]), error, metric[1:], images)


OURS, THEIRS = measure(RIGHT), measure(WORSE)


def test_what_both_models_get_right_cancels_but_not_over_other_images():
    paired = (100.0 * (RIGHT.astype(float) - WORSE)).std(ddof=1) / math.sqrt(N)
    apart = math.hypot(OURS.error, THEIRS.error)
    alone, other = Measure(THEIRS.value, THEIRS.error), measure(WORSE, "those")
    for own, error, is_paired in (
        ([THEIRS], paired, True),
        ([other], apart, False),
        ([alone], apart, False),
        ([THEIRS, other], apart, False),
    ):
        found = Cell([OURS]).minus(Cell(own))
        half = stats.t.ppf(0.975, DRAWS - 1) * error
        assert found.difference == pytest.approx(2.0)
        assert found.high - 2.0 == pytest.approx(half, rel=0.15)
        assert 2.0 - found.low == pytest.approx(found.high - 2.0)
        assert found.is_paired == (found.low > 0.0) == is_paired


def test_runs_add_their_variance_by_their_number_if_all_have_one():
    values, others = (80.0, 83.0, 84.0), (79.0, 80.0)
    ours = Cell([Measure(v, 1.5) for v in values])
    theirs = Cell([Measure(v, 2.0) for v in others])
    assert ours.standard_deviation == pytest.approx(np.std(values, ddof=1))
    parts = [np.var(own, ddof=1) / len(own) for own in (values, others)]
    assert ours.standard_error == pytest.approx(math.sqrt(1.5**2 + parts[0]))
    images = 1.5**2 + 2.0**2
    squares = images**2 / (DRAWS - 1) + parts[0] ** 2 / 2 + parts[1] ** 2
    variance = images + sum(parts)
    gap, error = np.mean(values) - np.mean(others), math.sqrt(variance)
    ends = stats.t.interval(0.95, variance**2 / squares, gap, error)
    found = ours.minus(theirs)
    assert (found.low, found.high) == pytest.approx(ends)
    opposite = np.roll(RIGHT, N // 2)
    cell = Cell([OURS, measure(opposite)])
    error = 50.0 * (RIGHT + opposite.astype(float)).std() / math.sqrt(N)
    assert cell.standard_error == pytest.approx(error, rel=0.15)
    found = Cell([Measure(3.0)]).minus(Cell([Measure(2.0, 0.5)]))
    assert (found.difference, found.low, found.high) == (1.0, None, None)
    assert found.text(1) == "+1.0 [?, ?]"
    same = Cell([Measure(2.0, 0.0)])
    assert (same.minus(same).low, same.minus(same).high) == (0.0, 0.0)
