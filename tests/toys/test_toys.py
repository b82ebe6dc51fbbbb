"""The toy problem's parts: points, views, training, measures, table, search."""

import io
import itertools
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.toys import figure, measures, network, report, search
from noisymix_tf.toys.measures import Measures
from noisymix_tf.toys.points import CLOUD, CURVE, Points, Problem
from noisymix_tf.toys.schemes import SCHEMES


def test_points_lie_around_the_curve_and_in_the_cloud():
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
    first, again, other = (Problem().draw(50, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.isin(first.x, other.x).any()
    right, wrong = (Problem().draw(400, 0, noise) for noise in (0.0, 0.15))
    np.testing.assert_array_equal(right.x, wrong.x)
    assert np.mean(right.y != wrong.y) == 0.15
    assert len(set(right.y[right.y != wrong.y])) == 2


def test_the_posterior_is_the_share_of_the_curve():
    """Where it says p, a share p of the points is of the curve."""
    problem = Problem()
    points = problem.draw(20_000, seed=0)
    p = problem.posterior(points.x).numpy()
    # Even on the curve the cloud is there, so that p does not reach one.
    for low, high in itertools.pairwise(np.linspace(0.0, 0.75, 6)):
        chosen = (low <= p) & (p < high)
        error = 4 * 0.5 / np.sqrt(chosen.sum())
        share = points.y[chosen].mean()
        assert share == pytest.approx(p[chosen].mean(), abs=error)


def test_measures_of_a_disk():
    """`sigmoid(4 (1 - r))`: a circle, and a gradient that is known."""
    points = Problem().draw(500, seed=0)
    r = np.linalg.norm(points.x, axis=1)
    inside = Points(points.x, (r < 1).astype(np.int32))
    found, field = measures.measure(
        lambda x: tf.sigmoid(4.0 * (1.0 - tf.norm(x, axis=1))), inside
    )
    p = 1 / (1 + np.exp(-4 * (1 - r)))
    assert found.accuracy == 1.0
    assert found.gradient_norm == pytest.approx(np.mean(4 * p * (1 - p)))
    assert found.boundary_length == pytest.approx(2 * np.pi, rel=1e-3)
    # The second coordinate is along the rows.
    x = measures.axis()
    expected = 1 / (1 + np.exp(-4 * (1 - np.hypot(x[200], x[10]))))
    assert field[10, 200] == pytest.approx(expected, rel=1e-5)


def test_views_are_copies_with_noise_of_their_own():
    points = Problem().draw(60, seed=0)
    scheme = SCHEMES["noisymix"].with_values({"view_noise": 0.25})
    views, labels = network.views(
        points, scheme, epochs=50, batch_size=20, seed=1
    )
    assert views.shape == (150, 20, 3, 2)
    clean = views[:, :, 0].reshape(50, 60, 2)
    everyone = np.lexsort(points.x.T)
    for epoch, own in zip(clean, labels.reshape(50, 60)):
        order = np.lexsort(epoch.T)
        np.testing.assert_array_equal(epoch[order], points.x[everyone])
        np.testing.assert_array_equal(own[order], points.y[everyone])
    assert not np.array_equal(clean[0], clean[1])
    noise = views[:, :, 1:] - views[:, :, :1]
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.25, rtol=0.05)
    assert abs(np.corrcoef(noise.reshape(-1, 4).T)[0, 2]) < 0.05


def test_schemes_are_points_of_one_trainer_searched_on_equal_terms():
    assert [s.num_views for s in SCHEMES.values()] == [1, 1, 1, 1, 3, 3]
    changed = SCHEMES["nfm"].with_values({"alpha": 0.3, "view_noise": 9.0})
    assert (changed.alpha, changed.view_noise) == (0.3, 0.0)
    assert SCHEMES["nfm"].with_values({"alpha": None}) == SCHEMES["nfm"]
    settings = [search.setting(name, 4) for name in SCHEMES]
    assert all(s.items() <= settings[-1].items() for s in settings)
    for key, value in settings[-1].items():
        low, high = search.RANGES[key]
        assert low <= value <= high
    trials = search.search("nfm", 5, lambda scheme, index: [scheme.alpha] * 2)
    means = [trial.mean for trial in trials]
    assert means == sorted(means, reverse=True) and len(set(means)) == 5
    assert trials[0].values["alpha"] == means[0]


def test_a_training_depends_on_its_seed_alone_and_compares_its_views():
    points = Problem().draw(100, seed=0)
    scheme = SCHEMES["manifold_mixup_jsd"]
    sizes = {"width": 8, "depth": 3, "epochs": 2, "batch_size": 50}
    training = network.Training(scheme, 100, **sizes)
    assert len(training.trainer.taps) == 4 and "input" in training.trainer.taps
    runs = [
        np.concatenate([w.ravel() for w in model.get_weights()])
        for model in (training.run(points, seed) for seed in (0, 1, 0))
    ]
    np.testing.assert_array_equal(runs[0], runs[2])
    assert not np.isclose(runs[0], runs[1]).any(where=runs[0] != 0)
    # Equal views have no divergence: why this scheme needs noise of its own.
    for level in (0.0, 0.3):
        # Private: the level is no part of the traced step.
        training._scheme = scheme.with_values({"view_noise": level})
        training.run(points, seed=0)
        found = float(training.trainer.get_metrics_result()["jsd"])
        assert found > 1e-4 if level else abs(found) < 1e-7


def row(name, *accuracies):
    found = [Measures(a, a, 10 * a) for a in accuracies]
    return report.Row(SCHEMES[name], tuple(found))


def test_the_table_compares_seed_by_seed():
    rows = {
        "baseline": row("baseline", 0.8, 0.9),
        "noisymix": row("noisymix", 0.82, 0.93),
    }
    best, config = Measures(0.95, 0.5, 9.0), ToyConfig()
    text = report.markdown(rows, best, config)
    assert (
        "| NoisyMix | 87.50 ± 7.78 | +2.50 ± 0.50 | 0.875 ± 0.055 "
        "| +0.025 ± 0.005 | 8.75 ± 0.55 | +0.25 ± 0.05 |"
    ) in text
    assert "| best possible | 95.00 |" in text
    assert "NoisyMix, ahead of Baseline by 2.50 ± 0.50 points." in text
    rows["nfm"] = row("nfm", 0.85, 0.95)
    rows["manifold_mixup"] = row("manifold_mixup", 0.84, 0.94)
    assert report.markdown(rows, best, config).endswith(
        "NFM, ahead of Manifold Mixup by 1.00 ± 0.00 points, ahead of NoisyMix "
        "by 2.50 ± 0.50 points.\n"
    )
    content = json.loads(report.to_json(rows, best, config))
    assert content["schemes"]["noisymix"]["seeds"][1]["accuracy"] == 0.93
    # One seed has no errors.
    text = report.markdown({"nfm": row("nfm", 0.8)}, best, config)
    assert "| NFM | 80.00 |  | 0.800 |  | 8.00 |  |" in text
    assert "Highest mean accuracy: NFM." in text


@pytest.mark.slow
def test_the_figure_shows_both_classes_in_every_panel():
    points, x = Problem().draw(200, seed=0), measures.axis()
    field = np.broadcast_to(1 / (1 + np.exp(-4 * x)), [len(x)] * 2)
    panels = [
        figure.Panel(scheme.title, row(name, 0.8, 0.9), field)
        for name, scheme in SCHEMES.items()
    ]
    files = figure.draw(panels, points)
    assert files == figure.draw(panels, points)
    assert b"<svg" in files["svg"][:1000]
    image = PIL.Image.open(io.BytesIO(files["png"])).convert("RGB")
    assert 800 <= image.width <= 1400
    pixels = np.asarray(image).astype(int)
    for column in np.array_split(pixels[: int(0.85 * len(pixels))], 3, axis=1):
        for panel in np.array_split(column, 2, axis=0):
            red, _, blue = panel.reshape(-1, 3).T
            assert np.mean(red - blue > 100) > 0.2, "orange at the left"
            assert np.mean(blue - red > 100) > 0.2, "blue at the right"
