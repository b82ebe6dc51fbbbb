"""`python -m noisymix_tf.toy` and `.theory`: what they write; mistakes."""

import contextlib
import functools
import io
import json
import shutil

import keras
import numpy as np
import pytest

from noisymix_tf.config.theory import TheoryConfig
from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.toys import command, network, theory
from support import door_processes
from support.parsing import parsed
from support.usage import assert_usage_error

SMALL = (
    "--schemes=baseline,noisymix --seeds=2 --train_points=60 --width=8 "
    "--test_points=300 --epochs=2 --batch_size=30 --depth=1"
).split()


def toy(*arguments, **values):
    """What the door prints, `(stdout, stderr)`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        command.run(parsed(ToyConfig, *SMALL, *arguments, **values))
    return out.getvalue(), err.getvalue()


def files(folder):
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "run"
    return folder, *toy(output_dir=folder)


def test_the_toy_writes_table_and_figure_and_continues(run):
    folder, out, err = run
    content = json.loads((folder / "table.json").read_text())
    assert list(content["schemes"]) == ["baseline", "noisymix"]
    seeds = content["schemes"]["noisymix"]["seeds"]
    assert len(seeds) == 2 and seeds[0] != seeds[1]
    mean = np.mean([100 * seed["accuracy"] for seed in seeds])
    assert f"| NoisyMix | {mean:.2f} ± " in out
    assert out.strip() == (folder / "table.md").read_text().strip()
    before = files(folder)
    assert {"toy.png", "toy.svg", "flags.txt", "noisymix-1.npz"} <= {*before}
    assert "noisymix-1:" in err
    (folder / "trainings" / "baseline-0.npz").unlink()
    (folder / "toy.png").unlink()
    _, err = toy(output_dir=folder)
    # The one that was missing, and no other, is trained.
    assert "baseline-0:" in err
    assert "baseline-1:" not in err and "noisymix" not in err
    assert files(folder) == before


def test_mistakes_of_the_toy_are_one_line(run, tmp_path):
    before = files(run[0])
    for arguments, words in (
        ("--epochs=3", "--epochs=3 (was --epochs=2)"),
        ("--schemes=mixup", "--schemes=mixup must name some of baseline,"),
        ("--schemes=nfm,nfm", "--schemes=nfm,nfm names a scheme twice"),
        ("--batch_size=61", "--batch_size=61 must be at most"),
        ("--curve_share=0.001", "leaves a class without points"),
        ("--search=1 --alpha=2", "leave --alpha out"),
        ("--output_dir=", "--output_dir is missing"),
    ):
        arguments = [f"--output_dir={run[0]}", *arguments.split()]
        assert_usage_error(functools.partial(toy, *arguments), words)
    assert files(run[0]) == before
    broken = shutil.copytree(run[0], tmp_path / "run")
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
    options = {"schemes": "baseline", "search": 3}
    out, _ = toy(output_dir=tmp_path, **options)
    assert sorted(set(seeds)) == [1000, 1001, 1002, 1003] and len(seeds) == 12
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    assert len({trial["values"]["learning_rate"] for trial in trials}) == 3
    assert "learning_rate=" in out


@pytest.mark.slow
def test_doors_are_processes(run):
    for name in ("noisymix_tf.toy", "noisymix_tf.theory"):
        done = door_processes.run(name, "--help")
        assert done.returncode == 0 and "--output_dir" in done.stdout
    flags = (f"--output_dir={run[0]}", "--epochs=3")
    done = door_processes.run("noisymix_tf.toy", *flags)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: --output_d")


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


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A float32 model of three classes in a file, and data for it."""
    folder = tmp_path_factory.mktemp("theory")
    first = keras.layers.Dense(5, "tanh", name="first")
    model = keras.Sequential([keras.Input([4]), first, keras.layers.Dense(3)])
    model.save(folder / "model.keras")
    x = np.random.default_rng(0).normal(size=[10, 4]).astype(np.float32)
    y = np.arange(10) % 3
    for name, arrays in {
        "data": {"x": x, "y": y},
        "empty": {"x": x},
        "words": {"x": x, "y": y.astype(str)},
        "short": {"x": x, "y": y[:4]},
        "images": {"x": x[:, None], "y": y},
        "negative": {"x": x, "y": 0 * y - 1},
    }.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


def test_the_theory_of_a_model_of_ones_own(inputs, capsys):
    files = {"model": inputs / "model.keras", "data": inputs / "data.npz"}
    found, pairs = theory_door(**files, tap="first", eps="2e-3,1e-3")
    assert abs(pairs["loss"].slope - 3.0) < 0.2
    assert abs(pairs["divergence"].ratio[-1] - 1.0) < 0.01
    # The model's float32 would leave nothing of the remainder.
    assert np.all(np.abs(pairs["loss"].remainder) < 1e-7)
    text = capsys.readouterr().out
    assert f"| A2 | {found.a2:.6g} |" in text
    assert "not compared: The model has 3 classes" in text


def test_mistakes_of_the_theory_are_one_line(inputs):
    for name, value, words in (
        ("data", "missing.npz", "cannot be read"),
        ("data", inputs / "empty.npz", "arrays x and y"),
        ("data", inputs / "words.npz", "array of numbers"),
        ("data", inputs / "short.npz", "5 examples and 4 labels"),
        ("data", inputs / "images.npz", "vectors with class numbers"),
        ("data", inputs / "negative.npz", "has y from -1 to -1"),
        ("model", "missing.keras", "cannot be loaded (File not found"),
        ("model", inputs / "model.keras", "takes [4] and the data have [2]"),
        ("tap", "middle", "Unusable tap 'middle'"),
    ):
        call = functools.partial(theory_door, points=5, **{name: value})
        assert_usage_error(call, words)
