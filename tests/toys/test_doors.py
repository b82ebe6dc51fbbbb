"""`python -m noisymix_tf.toy` and `.theory`: what they write; mistakes."""

import contextlib
import functools
import io
import json

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
    "--test_points=300 --epochs=2 --batch_size=30"
).split()


def toy(*arguments):
    """What the door prints, `(stdout, stderr)`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        command.run(parsed(ToyConfig, *SMALL, *arguments))
    return out.getvalue(), err.getvalue()


def files(folder):
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "run"
    return folder, *toy(f"--output_dir={folder}")


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
    _, err = toy(f"--output_dir={folder}")
    # The one that was missing, and no other, is trained.
    assert "baseline-0:" in err
    assert "baseline-1:" not in err and "noisymix" not in err
    assert files(folder) == before


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--epochs=3", "--epochs=3 (was --epochs=2)"),
        ("--schemes=mixup", "--schemes=mixup must name some of baseline,"),
        ("--schemes=nfm,nfm", "--schemes=nfm,nfm names a scheme twice"),
        ("--batch_size=61", "--batch_size=61 must be at most"),
        ("--curve_share=0.001", "leaves a class without points"),
        ("--search=1 --alpha=2", "leave --alpha out"),
        ("--curve_share=1", "--curve_share=1.0 must be between 0 and 1"),
        ("--position_noise=101", "must be from 0.03 to 100"),
        ("--output_dir=", "--output_dir is missing"),
    ],
)
def test_mistakes_are_one_line(run, arguments, words):
    before = files(run[0])
    call = functools.partial(toy, f"--output_dir={run[0]}", *arguments.split())
    assert_usage_error(call, words)
    assert files(run[0]) == before


def test_damage_and_divergence_are_one_line(run, tmp_path):
    (tmp_path / "run" / "trainings").mkdir(parents=True)
    for name, size in (("flags.txt", None), ("trainings/baseline-0.npz", 200)):
        content = (run[0] / name).read_bytes()[:size]
        (tmp_path / "run" / name).write_bytes(content)
    damaged = functools.partial(toy, f"--output_dir={tmp_path / 'run'}")
    assert_usage_error(damaged, "npz is damaged")
    wild = (f"--output_dir={tmp_path / 'wild'}", "--learning_rate=1e30")
    assert_usage_error(lambda: toy(*wild), "seed 0 has diverged: lower")


def test_the_search_uses_points_of_its_own(tmp_path, monkeypatch, capsys):
    seeds = []

    def run(self, points, seed):
        seeds.append(seed)
        return self.trainer.model

    monkeypatch.setattr(network.Training, "run", run)
    options = {"schemes": "baseline", "search": 3, "test_points": 100}
    command.run(parsed(ToyConfig, output_dir=tmp_path, **options))
    assert sorted(set(seeds)) == [1000, 1001, 1002, 1003] and len(seeds) == 12
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    assert len({trial["values"]["learning_rate"] for trial in trials}) == 3
    assert "learning_rate=" in capsys.readouterr().out


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
    theory_door(points=15, eps="4e-3,2e-3,1e-3", output_dir=tmp_path)
    assert {"theory.md", "theory.json", "theory.png"} <= set(files(tmp_path))
    found = json.loads((tmp_path / "theory.json").read_text())["comparisons"]
    for name in ("loss", "loss with divergence"):
        pair = {key: np.array(value) for key, value in found[name].items()}
        rest = np.abs(pair["exact"] - pair["predicted"])
        slope = np.polyfit(np.log(pair["eps"]), np.log(rest), 1)[0]
        assert abs(slope - 3.0) < 0.2
    for name, tolerance in (("divergence", 0.01), ("attack", 0.02)):
        ratio = found[name]["exact"][-1] / found[name]["predicted"][-1]
        assert abs(ratio - 1.0) < tolerance


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A float32 model of three classes in a file, and data for it."""
    folder = tmp_path_factory.mktemp("theory")
    dense = keras.layers.Dense
    layers = [dense(5, "tanh", name="first"), dense(3)]
    keras.Sequential([keras.Input([4]), *layers]).save(folder / "model.keras")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=[10, 4]).astype(np.float32), np.arange(10) % 3
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "empty.npz", x=x)
    np.savez(folder / "words.npz", x=x, y=y.astype(str))
    np.savez(folder / "short.npz", x=x, y=y[:4])
    np.savez(folder / "images.npz", x=x[:, None], y=y)
    np.savez(folder / "negative.npz", x=x, y=np.full(10, -1))
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


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--data=missing.npz", "--data=missing.npz cannot be read"),
        ("--data=FOLDER/empty.npz", "arrays x and y"),
        ("--data=FOLDER/words.npz", "array of numbers"),
        ("--data=FOLDER/short.npz", "5 examples and 4 labels"),
        ("--data=FOLDER/images.npz", "vectors with class numbers"),
        ("--data=FOLDER/negative.npz", "has y from -1 to -1"),
        ("--model=missing.keras", "cannot be loaded (File not found"),
        ("--model=FOLDER/model.keras", "takes [4] and the data have [2]"),
        ("--tap=middle", "Unusable tap 'middle'"),
        ("--eps=2", "--eps=2.0 must be a list of numbers between 0 and 1"),
        ("--eps=0.1", "--eps=0.1 must be a list"),
    ],
)
def test_mistakes_of_the_theory_are_one_line(inputs, argument, words):
    argument = argument.replace("FOLDER", str(inputs))
    assert_usage_error(lambda: theory_door("--points=5", argument), words)
