"""`python -m noisymix_tf.toy` and `.theory`: what they write; mistakes."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest

from noisymix_tf.config.theory import TheoryConfig
from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.toys import command, network, theory
from support.parsing import parsed
from support.usage import assert_usage_error

SMALL = (
    "--schemes=baseline --seeds=2 --train_points=60 --width=8 --depth=1 "
    "--test_points=300 --epochs=2 --batch_size=30"
).split()


def toy(*arguments, **values):
    command.run(parsed(ToyConfig, *SMALL, *arguments, **values))


def files(folder):
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {path.name: path.read_bytes() for path in paths}


def test_the_toy_writes_table_and_figure_and_continues(tmp_path, capsys):
    folder = tmp_path / "run"
    toy(output_dir=folder)
    out, err = capsys.readouterr()
    content = json.loads((folder / "table.json").read_text())
    seeds = content["schemes"]["baseline"]["seeds"]
    assert len(seeds) == 2 and seeds[0] != seeds[1]
    mean = np.mean([100 * seed["accuracy"] for seed in seeds])
    assert f"| Baseline | {mean:.2f} ± " in out
    assert out.strip() == (folder / "table.md").read_text().strip()
    before = files(folder)
    assert {"toy.png", "toy.svg", "flags.txt", "baseline-1.npz"} <= {*before}
    (folder / "trainings" / "baseline-0.npz").unlink()
    (folder / "toy.png").unlink()
    toy(output_dir=folder)
    # The one that was missing, and no other, is trained.
    again = capsys.readouterr().err
    assert "baseline-1:" in err and "baseline-0:" in again
    assert "baseline-1:" not in again and files(folder) == before
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
    assert files(folder) == before
    broken = shutil.copytree(folder, tmp_path / "broken")
    with open(broken / "trainings" / "baseline-0.npz", "r+b") as file:
        file.truncate(200)
    assert_usage_error(lambda: toy(output_dir=broken), "npz is damaged")
    wild = {"output_dir": tmp_path / "wild", "learning_rate": 1e30}
    assert_usage_error(lambda: toy(**wild), "seed 0 has diverged: lower")


def test_the_search_uses_points_of_its_own(tmp_path, monkeypatch):
    seeds = []

    def run(self, points, seed):
        seeds.append(seed)
        return self.trainer.model

    monkeypatch.setattr(network.Training, "run", run)
    toy(output_dir=tmp_path, search=3)
    assert sorted(seeds) == sorted(3 * [1000, 1001, 1002, 1003])
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    assert len({trial["values"]["learning_rate"] for trial in trials}) == 3


def theory_door(*arguments, **values):
    return theory.run(parsed(TheoryConfig, *arguments, **values))


def test_the_theory_door_shows_the_orders(tmp_path):
    theory_door(points=15, eps="2e-3,1e-3", output_dir=tmp_path)
    assert {"theory.md", "theory.json", "theory.png"} <= set(files(tmp_path))
    content = json.loads((tmp_path / "theory.json").read_text())
    for name, pair in content["comparisons"].items():
        exact, near = (np.array(pair[key]) for key in ("exact", "predicted"))
        if name.startswith("loss"):
            rest = np.log(np.abs(exact - near))
            assert (rest[0] - rest[1]) / np.log(2) == pytest.approx(3, abs=0.2)
        else:
            assert exact[-1] / near[-1] == pytest.approx(1, abs=0.02), name
    assert len(content["comparisons"]) == 4


def test_the_theory_of_a_model_of_ones_own(tmp_path, capsys):
    """A float32 model of three classes in a file; what is no such thing."""
    first = keras.layers.Dense(5, "tanh", name="first")
    model = keras.Sequential([keras.Input([4]), first, keras.layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=[10, 4]).astype(np.float32)
    y = np.arange(10) % 3

    def saved(name, **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    paths = {
        "model": tmp_path / "model.keras",
        "data": saved("a.npz", x=x, y=y),
    }
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
        (
            "data",
            saved("e.npz", x=x[:, None], y=y),
            "vectors with class numbers",
        ),
        ("data", saved("f.npz", x=x, y=0 * y - 1), "has y from -1 to -1"),
        ("model", "missing.keras", "cannot be loaded (File not found"),
        ("model", paths["model"], "takes [4] and the data have [2]"),
        ("tap", "middle", "Unusable tap 'middle'"),
    ):
        call = functools.partial(theory_door, points=5, **{name: value})
        assert_usage_error(call, words)
