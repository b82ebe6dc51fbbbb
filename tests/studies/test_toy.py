"""The toy problem: its points, its trainings, its table."""

import json
import os
from functools import partial as bind

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import NoisyMix
from noisymix_tf.commands import toy as config
from noisymix_tf.studies import measures, networks, points, toy
from noisymix_tf.studies.networks import SCHEMES
from noisymix_tf.studies.points import CLOUD, CURVE, Points
from support import pages
from support.released_sets import contents
from support.usage import assert_usage_error, parsed

PROBLEM = config.ToyProblemConfig()
POINTS = points.draw(PROBLEM, 500, seed=0)
SMALL = (
    "--schemes=baseline --seeds=2 --train_points=60 --width=8 --depth=1 "
    "--test_points=300 --epochs=2 --batch_size=30"
).split()


def run(*arguments, **values):
    toy.run(parsed(config.ToyConfig, *SMALL, *arguments, **values))


def test_points_lie_around_the_curve_and_in_the_cloud_by_their_posterior():
    problem = config.ToyProblemConfig(curve_share=0.25, cloud_size=1.5)
    x, y = points.draw(problem, 20_000, seed=3)
    assert np.mean(y == CURVE) == 0.25
    cloud, curve = x[y == CLOUD], x[y == CURVE]
    np.testing.assert_allclose(cloud.std(0), 1.5, rtol=0.03)
    # Distance from the half circle below, and from the arms above.
    below = curve[:, 1] < 0
    off = np.where(below, np.linalg.norm(curve, axis=1), abs(curve[:, 0]))
    assert off[np.abs(curve[:, 1]) > 0.3].std() == pytest.approx(0.1, rel=0.05)
    assert below.mean() == pytest.approx(np.pi / (np.pi + 1), abs=0.03)
    draws = [(0, 0.0), (1, 0.0), (0, 0.14)]
    again, other, wrong = (points.draw(PROBLEM, 500, *d) for d in draws)
    same(POINTS.x, again.x)
    same(POINTS.x, wrong.x)
    assert not np.isin(POINTS.x, other.x).any()
    assert np.mean(POINTS.y != wrong.y) == 0.14
    assert len(set(POINTS.y[POINTS.y != wrong.y])) == 2
    # Where the posterior says p, a share p of the points is of the curve.
    x, y = points.draw(PROBLEM, 20_000, seed=0)
    p = points.posterior(PROBLEM, x).numpy()
    # Even on the curve the cloud is there, so that p does not reach one.
    for low in (0.0, 0.15, 0.3, 0.45, 0.6):
        chosen = (low <= p) & (p < low + 0.15)
        mean, error = p[chosen].mean(), 4 * 0.5 / np.sqrt(chosen.sum())
        assert y[chosen].mean() == pytest.approx(mean, abs=error)


def test_measures_of_a_disk():
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
    views, labels = networks.views(POINTS, scheme, 9, 100, seed=1)
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


def test_schemes_are_searched_on_equal_terms(tmp_path, monkeypatch):
    changed = SCHEMES["nfm"].with_values({"alpha": 0.3, "view_noise": 9.0})
    assert (changed.alpha, changed.view_noise) == (0.3, 0.0)
    *others, last = (scheme.setting(4).items() for scheme in SCHEMES.values())
    assert all(setting <= last for setting in others)
    seeds = []

    def trained(scheme, sets, _):
        same(sets[1001].x, points.draw(PROBLEM, 60, 1001).x)
        seeds.extend(sets)
        rate = scheme.learning_rate
        for seed in sets:
            yield seed, lambda x: tf.stack([x[:, 0] - 80 * rate, x[:, 1]], 1)

    monkeypatch.setattr(toy, "trained", trained)
    run(output_dir=tmp_path, search=3)
    assert sorted(seeds) == sorted(3 * [1000, 1001, 1002, 1003])
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    means = [100 * np.mean(trial["accuracies"]) for trial in trials]
    assert means == sorted(means, reverse=True) and len(set(means)) == 3
    best = f"learning_rate={trials[0]['values']['learning_rate']}"
    line = f"| baseline | {means[0]:.2f} | {means[1]:.2f} | {best} |"
    assert line in (tmp_path / "search.md").read_text()


@pytest.mark.slow
def test_a_training_depends_on_its_seed_and_compares_its_views(monkeypatch):
    scheme, made = SCHEMES["manifold_mixup_jsd"], []
    sizes = config.ToyTrainingConfig(width=8, depth=3, epochs=2, batch_size=250)

    def trainer(*arguments, **options):
        made.append(NoisyMix(*arguments, **options))
        return made[-1]

    def weights(scheme, *seeds):
        sets = dict.fromkeys(seeds, POINTS)
        found = networks.trained(scheme, sets, sizes)
        return [model.get_weights()[2] for _, model in found]

    monkeypatch.setattr(networks, "NoisyMix", trainer)
    first, second = weights(scheme, 0, 1)
    assert not np.isclose(first, second).any()
    same(weights(scheme, 1)[0], second)
    # Equal views have no divergence: why this scheme needs noise of its own.
    weights(scheme.with_values({"view_noise": 0.0}), 0)
    noisy, _, equal = (t.get_metrics_result()["jsd"] for t in made)
    assert noisy > 1e-5 and abs(equal) < 1e-7
    assert len(made[0].taps) == 4 and "input" in made[0].taps


def test_the_table_compares_seed_by_seed():
    def table(**found):
        for name, accuracies in found.items():
            found[name] = [measures.Measures(a, a, 10 * a) for a in accuracies]
        rest = measures.Measures(0.95, 0.5, 9.0), config.ToyConfig()
        return toy.markdown({n: SCHEMES[n] for n in found}, found, *rest)

    text = table(baseline=(0.7, 0.6), nfm=(0.8, 0.9), noisymix=(0.82, 0.93))
    line = "| NoisyMix | 87.50 ± 7.78 | +22.50 ± 10.50 | 0.875 ± 0.055 |"
    assert line in text and "| Baseline | 65.00 ± 7.07 |  |" in text
    assert "| best possible | 95.00 | | 0.500 | | 9.00 | |" in text
    assert "NoisyMix, ahead of NFM by 2.50 ± 0.50 points." in text
    assert "- NFM: learning_rate=0.041, alpha=0.19, additive_noise=1.2" in text
    # One seed has no errors; NoisyMix is named wherever it is.
    text = table(noisymix=[0.6], nfm=[0.8], baseline=[0.7])
    assert "| NFM | 80.00 | +10.00 | 0.800 | +0.100 | 8.00 | +1.00 |" in text
    assert "NFM, ahead of Baseline by 10.00 points, ahead of NoisyMix" in text


def test_the_toy_writes_its_table_and_continues(tmp_path, capsys, monkeypatch):
    # A coarse map: no option makes it so, and a fine one takes 0.7 GB.
    monkeypatch.setattr(measures, "_GRID", 101)
    folder, (page, flag) = tmp_path / "run", pages.empty(tmp_path)
    run(flag, output_dir=folder)
    out, err = capsys.readouterr()
    content = json.loads((folder / "table.json").read_text())
    first, second = content["schemes"]["baseline"]["seeds"]
    assert first != second
    values = [100 * first["accuracy"], 100 * second["accuracy"]]
    mean, spread = np.mean(values), np.std(values, ddof=1)
    assert f"| Baseline | {mean:.2f} ± {spread:.2f} | " in out
    title = f"<!-- {mean:.1f} ± {spread:.1f} % -->"
    assert title in (folder / "toy.svg").read_text()
    assert out.strip() == (folder / "table.md").read_text().strip()
    before = contents(folder)
    assert {"toy.png", "toy.svg", "flags.txt"} <= {*before}
    (folder / "trainings" / "baseline-0.npz").unlink()
    (folder / "toy.png").unlink()
    text = page.read_text()
    assert f"| Baseline | {mean:.2f} ± " in text and "Seeds 0 to 1." in text
    run(flag, output_dir=folder)
    # The one that was missing, and no other, is trained.
    again = capsys.readouterr().err
    assert "baseline-1:" in err and "baseline-0:" in again
    assert "baseline-1:" not in again and contents(folder) == before
    for arguments, words in (
        ("--epochs=3", "--epochs=3 (was --epochs=2)"),
        ("--schemes=nfm,nfm", "--schemes=nfm,nfm must name some of"),
        ("--batch_size=61", "--batch_size=61 must be at most"),
        ("--curve_share=0.001", "leaves a class without points"),
        ("--search=1 --alpha=2", "leave --alpha out"),
    ):
        given = f"--output_dir={folder}", *arguments.split()
        assert_usage_error(bind(run, *given), words)
    assert contents(folder) == before
    os.truncate(folder / "trainings" / "baseline-0.npz", 200)
    assert_usage_error(lambda: run(output_dir=folder), "npz is damaged")
    wild = {"output_dir": tmp_path / "wild", "learning_rate": 1e30}
    assert_usage_error(lambda: run(**wild), "seed 0 has diverged: lower")
