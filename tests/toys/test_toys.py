"""The toy problem's parts: points, views, training, measures, table, search."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.toys import measures, network, report, search
from noisymix_tf.toys.measures import Measures
from noisymix_tf.toys.points import CLOUD, CURVE, Points, Problem
from noisymix_tf.toys.schemes import SCHEMES

POINTS = Problem().draw(500, seed=0)


def test_points_lie_around_the_curve_and_in_the_cloud_by_their_posterior():
    problem = Problem(curve_share=0.25, position_noise=0.1, cloud_size=1.5)
    points = problem.draw(20_000, seed=3)
    assert np.mean(points.y == CURVE) == 0.25
    cloud, curve = points.x[points.y == CLOUD], points.x[points.y == CURVE]
    np.testing.assert_allclose(cloud.std(0), 1.5, rtol=0.03)
    # Distance from the half circle below, and from the arms above.
    below = curve[:, 1] < 0
    circle, arms = np.linalg.norm(curve, axis=1), np.abs(curve[:, 0])
    off = np.where(below, circle - 1, arms - 1)
    assert off[np.abs(curve[:, 1]) > 0.3].std() == pytest.approx(0.1, rel=0.05)
    assert below.mean() == pytest.approx(np.pi / (np.pi + 1), abs=0.03)
    draws = [(0, 0.0), (1, 0.0), (0, 0.14)]
    again, other, wrong = (Problem().draw(500, *each) for each in draws)
    same(POINTS.x, again.x)
    same(POINTS.x, wrong.x)
    assert not np.isin(POINTS.x, other.x).any()
    assert np.mean(POINTS.y != wrong.y) == 0.14
    assert len(set(POINTS.y[POINTS.y != wrong.y])) == 2

    # Where the posterior says p, a share p of the points is of the curve.
    points = Problem().draw(20_000, seed=0)
    p = Problem().posterior(points.x).numpy()
    # Even on the curve the cloud is there, so that p does not reach one.
    for low, high in itertools.pairwise(np.linspace(0.0, 0.75, 6)):
        chosen = (low <= p) & (p < high)
        error = 4 * 0.5 / np.sqrt(chosen.sum())
        mean = p[chosen].mean()
        assert points.y[chosen].mean() == pytest.approx(mean, abs=error)


def test_measures_of_a_disk():
    """`sigmoid(4 (1 - r))`: a circle, and a gradient that is known."""
    r = np.linalg.norm(POINTS.x, axis=1)
    inside = Points(POINTS.x, (r < 1).astype(np.int32))
    disk = lambda x: tf.sigmoid(4.0 * (1.0 - tf.norm(x, axis=1)))  # noqa: E731
    found, field = measures.measure(disk, inside)
    p = 1 / (1 + np.exp(-4 * (1 - r)))
    assert found.accuracy == 1.0
    assert found.gradient_norm == pytest.approx(np.mean(4 * p * (1 - p)))
    assert found.boundary_length == pytest.approx(2 * np.pi, rel=1e-3)
    # The second coordinate is along the rows.
    x = measures.axis()
    expected = 1 / (1 + np.exp(-4 * (1 - np.hypot(x[200], x[10]))))
    assert field[10, 200] == pytest.approx(expected, rel=1e-5)


def test_views_are_copies_with_noise_of_their_own():
    scheme = SCHEMES["noisymix"].with_values({"view_noise": 0.25})
    sizes = {"epochs": 9, "batch_size": 100, "seed": 1}
    views, labels = network.views(POINTS, scheme, **sizes)
    assert views.shape == (45, 100, 3, 2)
    clean = views[:, :, 0].reshape(9, 500, 2)
    everyone = np.lexsort(POINTS.x.T)
    for epoch, own in zip(clean, labels.reshape(9, 500)):
        order = np.lexsort(epoch.T)
        same(epoch[order], POINTS.x[everyone])
        same(own[order], POINTS.y[everyone])
    assert not np.array_equal(clean[0], clean[1])
    noise = views[:, :, 1:] - views[:, :, :1]
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.25, rtol=0.05)
    assert abs(np.corrcoef(noise.reshape(-1, 4).T)[0, 2]) < 0.05


def test_schemes_are_points_of_one_trainer_searched_on_equal_terms():
    assert [s.num_views for s in SCHEMES.values()] == [1, 1, 1, 1, 3, 3]
    nfm = SCHEMES["nfm"]
    changed = nfm.with_values({"alpha": 0.3, "view_noise": 9.0})
    assert (changed.alpha, changed.view_noise) == (0.3, 0.0)
    assert nfm.with_values({"alpha": None}) == nfm
    settings = [search.setting(name, 4) for name in SCHEMES]
    assert all(s.items() <= settings[-1].items() for s in settings)
    for key, value in settings[-1].items():
        assert search.RANGES[key][0] <= value <= search.RANGES[key][1]
    trials = search.search("nfm", 5, lambda scheme, index: [scheme.alpha] * 2)
    means = [trial.mean for trial in trials]
    assert means == sorted(means, reverse=True) and len(set(means)) == 5
    assert trials[0].values["alpha"] == means[0]


def test_a_training_depends_on_its_seed_alone_and_compares_its_views():
    scheme = SCHEMES["manifold_mixup_jsd"]
    sizes = {"width": 8, "depth": 3, "epochs": 2, "batch_size": 250}
    training = network.Training(scheme, 500, **sizes)
    assert len(training.trainer.taps) == 4 and "input" in training.trainer.taps
    runs = [training.run(POINTS, seed).get_weights()[2] for seed in (0, 1, 0)]
    same(runs[0], runs[2])
    assert not np.isclose(runs[0], runs[1]).any()
    # Equal views have no divergence: why this scheme needs noise of its own.
    for level in (0.0, 0.3):
        # Private: the level is no part of the traced step.
        training._scheme = scheme.with_values({"view_noise": level})
        training.run(POINTS, seed=0)
        found = float(training.trainer.get_metrics_result()["jsd"])
        assert found > 1e-4 if level else abs(found) < 1e-7


def test_the_table_compares_seed_by_seed():
    def row(name, *accuracies):
        found = [Measures(a, a, 10 * a) for a in accuracies]
        return report.Row(SCHEMES[name], tuple(found))

    rows = {"baseline": row("baseline", 0.8, 0.9)}
    rows["noisymix"] = row("noisymix", 0.82, 0.93)
    rest = Measures(0.95, 0.5, 9.0), ToyConfig()
    text = report.markdown(rows, *rest)
    assert (
        "| NoisyMix | 87.50 ± 7.78 | +2.50 ± 0.50 | 0.875 ± 0.055 "
        "| +0.025 ± 0.005 | 8.75 ± 0.55 | +0.25 ± 0.05 |"
    ) in text
    assert "| best possible | 95.00 |" in text
    assert "NoisyMix, ahead of Baseline by 2.50 ± 0.50 points." in text
    # One seed has no errors.
    text = report.markdown({"nfm": row("nfm", 0.8)}, *rest)
    assert "| NFM | 80.00 |  | 0.800 |  | 8.00 |  |" in text
    assert "Highest mean accuracy: NFM." in text
