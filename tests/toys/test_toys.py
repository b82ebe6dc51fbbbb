"""The toy problem, and what its door and that of the theory write."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf.config.theory import TheoryConfig
from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.toys import command, measures, network, report, search, theory
from noisymix_tf.toys.measures import Measures
from noisymix_tf.toys.points import CLOUD, CURVE, Points, Problem
from noisymix_tf.toys.schemes import SCHEMES
from support.parsing import parsed
from support.released_sets import contents
from support.usage import assert_usage_error

POINTS = Problem().draw(500, seed=0)
SMALL = (
    "--schemes=baseline --seeds=2 --train_points=60 --width=8 --depth=1 "
    "--test_points=300 --epochs=2 --batch_size=30"
).split()


def toy(*arguments, **values):
    command.run(parsed(ToyConfig, *SMALL, *arguments, **values))


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
    for low in (0.0, 0.15, 0.3, 0.45, 0.6):
        chosen = (low <= p) & (p < low + 0.15)
        mean, error = p[chosen].mean(), 4 * 0.5 / np.sqrt(chosen.sum())
        assert points.y[chosen].mean() == pytest.approx(mean, abs=error)


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


def test_schemes_are_searched_on_equal_terms(tmp_path, monkeypatch):
    changed = SCHEMES["nfm"].with_values({"alpha": 0.3, "view_noise": 9.0})
    assert (changed.alpha, changed.view_noise) == (0.3, 0.0)
    *others, last = (search.setting(name, 4).items() for name in SCHEMES)
    assert all(setting <= last for setting in others)
    trials = search.search("nfm", 5, lambda scheme, index: [scheme.alpha] * 2)
    means = [trial.mean for trial in trials]
    assert means == sorted(means, reverse=True) and len(set(means)) == 5
    assert trials[0].values["alpha"] == means[0]
    seeds = []

    def run(self, points, seed):
        seeds.append(seed)
        return self.trainer.model

    monkeypatch.setattr(network.Training, "run", run)
    toy(output_dir=tmp_path, search=3)
    assert sorted(seeds) == sorted(3 * [1000, 1001, 1002, 1003])
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    assert len({trial["values"]["learning_rate"] for trial in trials}) == 3


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
        found = tuple(Measures(a, a, 10 * a) for a in accuracies)
        return report.Row(SCHEMES[name], found)

    given = {"nfm": (0.8, 0.9), "noisymix": (0.82, 0.93)}
    rows = {name: row(name, *accuracies) for name, accuracies in given.items()}
    rest = Measures(0.95, 0.5, 9.0), ToyConfig()
    text = report.markdown(rows, *rest)
    assert "| NoisyMix | 87.50 ± 7.78 |" in text
    assert "NoisyMix, ahead of NFM by 2.50 ± 0.50 points." in text
    # One seed has no errors.
    text = report.markdown({"nfm": row("nfm", 0.8)}, *rest)
    assert "| NFM | 80.00 |  | 0.800 |  | 8.00 |  |" in text


def test_the_toy_writes_its_table_and_continues(tmp_path, capsys, monkeypatch):
    # A coarse map: no option makes it so, and a fine one takes 0.7 GB.
    monkeypatch.setattr(measures, "_GRID", 101)
    folder = tmp_path / "run"
    toy(output_dir=folder)
    out, err = capsys.readouterr()
    content = json.loads((folder / "table.json").read_text())
    first, second = content["schemes"]["baseline"]["seeds"]
    assert first != second
    mean = 50 * (first["accuracy"] + second["accuracy"])
    assert f"| Baseline | {mean:.2f} ± " in out
    assert out.strip() == (folder / "table.md").read_text().strip()
    before = contents(folder)
    assert {"toy.png", "toy.svg", "flags.txt"} <= {*before}
    (folder / "trainings" / "baseline-0.npz").unlink()
    (folder / "toy.png").unlink()
    toy(output_dir=folder)
    # The one that was missing, and no other, is trained.
    again = capsys.readouterr().err
    assert "baseline-1:" in err and "baseline-0:" in again
    assert "baseline-1:" not in again and contents(folder) == before
    for arguments, words in (
        ("--epochs=3", "--epochs=3 (was --epochs=2)"),
        ("--schemes=mixup", "--schemes=mixup must name some of baseline,"),
        ("--schemes=nfm,nfm", "--schemes=nfm,nfm names a scheme twice"),
        ("--batch_size=61", "--batch_size=61 must be at most"),
        ("--curve_share=0.001", "leaves a class without points"),
        ("--search=1 --alpha=2", "leave --alpha out"),
        ("--output_dir=", "--output_dir is missing"),
    ):
        arguments = [f"--output_dir={folder}", *arguments.split()]
        assert_usage_error(functools.partial(toy, *arguments), words)
    assert contents(folder) == before
    broken = shutil.copytree(folder, tmp_path / "broken")
    with open(broken / "trainings" / "baseline-0.npz", "r+b") as file:
        file.truncate(200)
    assert_usage_error(lambda: toy(output_dir=broken), "npz is damaged")
    wild = {"output_dir": tmp_path / "wild", "learning_rate": 1e30}
    assert_usage_error(lambda: toy(**wild), "seed 0 has diverged: lower")


def theory_door(*arguments, **values):
    return theory.run(parsed(TheoryConfig, *arguments, **values))


def test_the_theory_door_shows_orders_also_of_ones_own_model(tmp_path, capsys):
    theory_door(points=15, eps="2e-3,1e-3", output_dir=tmp_path)
    assert {"theory.md", "theory.json", "theory.png"} <= set(contents(tmp_path))
    content = json.loads((tmp_path / "theory.json").read_text())
    assert len(content["comparisons"]) == 4
    first = keras.layers.Dense(5, "tanh", name="first")
    model = keras.Sequential([keras.Input([4]), first, keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=[10, 4]).astype(np.float32)
    y = np.arange(10) % 3

    def saved(name, **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    data = saved("a.npz", x=x, y=y)
    paths = {"model": tmp_path / "model.keras", "data": data}
    found, pairs = theory_door(**paths, tap="first", eps="2e-3,1e-3")
    assert abs(pairs["loss"].slope - 3.0) < 0.2
    assert abs(pairs["divergence"].ratio[-1] - 1.0) < 0.01
    # The model's float32 would leave nothing of the remainder.
    assert np.all(np.abs(pairs["loss"].remainder) < 1e-7)
    text = capsys.readouterr().out
    assert f"| A2 | {found.a2:.6g} |" in text
    assert "not compared: The model has 3 classes" in text
    for name, value, words in (
        ("data", "missing.npz", "cannot be read"),
        ("data", saved("b.npz", x=x), "arrays x and y"),
        ("data", saved("c.npz", x=x, y=y.astype(str)), "array of numbers"),
        ("data", saved("d.npz", x=x, y=y[:4]), "5 examples and 4 labels"),
        ("data", saved("e.npz", x=x[:, None], y=y), "vectors with class n"),
        ("data", saved("f.npz", x=x, y=0 * y - 1), "has y from -1 to -1"),
        ("model", "missing.keras", "cannot be loaded (File not found"),
        ("model", paths["model"], "takes [4] and the data have [2]"),
        ("tap", "middle", "Unusable tap 'middle'"),
    ):
        call = functools.partial(theory_door, points=5, **{name: value})
        assert_usage_error(call, words)
