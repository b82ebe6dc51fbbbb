"""`python -m noisymix_tf.toy` and `.theory`: what they write; mistakes."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.config.theory import TheoryConfig
from noisymix_tf.config.toy import ToyConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.toys import command, network, theory
from support import door_processes

SMALL = (
    "--schemes=baseline,noisymix",
    "--seeds=2",
    "--train_points=60",
    "--test_points=300",
    "--width=8",
    "--epochs=2",
    "--batch_size=30",
)


def _parse(config, *arguments):
    values = flags.FlagValues()
    command_line.define_flags(values, config=config)
    return command_line.parse(["door", *map(str, arguments)], values, config)


def _toy(*arguments):
    """What the door prints, `(stdout, stderr)`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        command.run(_parse(ToyConfig, *SMALL, *arguments))
    return out.getvalue(), err.getvalue()


def _files(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "run"
    return folder, *_toy(f"--output_dir={folder}")


def test_the_toy_writes_table_and_figure(run):
    folder, out, err = run
    content = json.loads((folder / "table.json").read_text())
    assert list(content["schemes"]) == ["baseline", "noisymix"]
    seeds = content["schemes"]["noisymix"]["seeds"]
    assert len(seeds) == 2 and seeds[0] != seeds[1]
    mean = np.mean([100 * seed["accuracy"] for seed in seeds])
    assert f"| NoisyMix | {mean:.2f} ± " in out
    assert out.strip() == (folder / "table.md").read_text().strip()
    names = set(_files(folder))
    assert {"toy.png", "toy.svg", "flags.txt", "noisymix-1.npz"} <= names
    assert "noisymix-1:" in err


def test_the_same_command_continues(run):
    folder = run[0]
    before = _files(folder)
    (folder / "trainings" / "baseline-0.npz").unlink()
    (folder / "toy.png").unlink()
    _, err = _toy(f"--output_dir={folder}")
    # The one that was missing, and no other, is trained.
    assert "baseline-0:" in err
    assert "baseline-1:" not in err and "noisymix" not in err
    assert _files(folder) == before


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--epochs=3"], "--epochs=3 (was --epochs=2)"),
        (["--schemes=mixup"], "--schemes=mixup must name some of baseline,"),
        (["--schemes=nfm,nfm"], "--schemes=nfm,nfm names a scheme twice"),
        (["--batch_size=61"], "--batch_size=61 must be at most"),
        (["--curve_share=0.001"], "leaves a class without points"),
        (["--search=1", "--alpha=2"], "leave --alpha out"),
        (["--curve_share=1"], "--curve_share=1.0 must be between 0 and 1"),
        (["--position_noise=101"], "must be from 0.03 to 100"),
        (["--output_dir="], "--output_dir is missing"),
    ],
)
def test_mistakes_are_one_line(run, arguments, words):
    folder = run[0]
    before = _files(folder)
    with pytest.raises(UsageError) as raised:
        _toy(f"--output_dir={folder}", *arguments)
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert _files(folder) == before


def test_a_mistake_ends_the_process_with_status_2(run):
    before = _files(run[0])
    done = door_processes.run(
        "noisymix_tf.toy", f"--output_dir={run[0]}", "--epochs=3"
    )
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: --output_dir")
    )
    assert _files(run[0]) == before


def test_a_damaged_result_is_named(run, tmp_path):
    folder = tmp_path / "run"
    (folder / "trainings").mkdir(parents=True)
    for name, size in (("flags.txt", None), ("trainings/baseline-0.npz", 200)):
        (folder / name).write_bytes((run[0] / name).read_bytes()[:size])
    with pytest.raises(UsageError, match="npz is damaged"):
        _toy(f"--output_dir={folder}")


def test_a_training_that_diverges_is_said_to(tmp_path):
    with pytest.raises(UsageError, match="seed 0 has diverged: lower"):
        _toy(f"--output_dir={tmp_path}", "--learning_rate=1e30")


def test_the_search_uses_points_of_its_own(tmp_path, monkeypatch, capsys):
    seeds = []

    def run(self, points, seed):
        seeds.append(seed)
        return self.trainer.model

    monkeypatch.setattr(network.Training, "run", run)
    command.run(
        _parse(
            ToyConfig,
            "--schemes=baseline",
            "--search=3",
            "--test_points=100",
            f"--output_dir={tmp_path}",
        )
    )
    assert sorted(set(seeds)) == [1000, 1001, 1002, 1003] and len(seeds) == 12
    trials = json.loads((tmp_path / "search.json").read_text())["baseline"]
    assert len({trial["values"]["learning_rate"] for trial in trials}) == 3
    assert "learning_rate=" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["noisymix_tf.toy", "noisymix_tf.theory"])
def test_help(name):
    done = door_processes.run(name, "--help")
    assert done.returncode == 0 and "--output_dir" in done.stdout


def test_the_theory_door_shows_the_orders(tmp_path):
    theory.run(
        _parse(
            TheoryConfig,
            "--points=15",
            "--eps=4e-3,2e-3,1e-3",
            f"--output_dir={tmp_path}",
        )
    )
    assert {"theory.md", "theory.json", "theory.png"} <= set(_files(tmp_path))
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
def model_and_data(tmp_path_factory):
    """A float32 model of three classes in a file, and data for it."""
    folder = tmp_path_factory.mktemp("theory")
    layers = [
        keras.layers.Dense(5, "tanh", name="first"),
        keras.layers.Dense(3),
    ]
    keras.Sequential([keras.Input([4]), *layers]).save(folder / "model.keras")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=[10, 4]).astype(np.float32), np.arange(10) % 3
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "empty.npz", x=x)
    np.savez(folder / "words.npz", x=x, y=y.astype(str))
    np.savez(folder / "negative.npz", x=x, y=np.full(10, -1))
    return folder


def test_the_theory_of_a_model_of_ones_own(model_and_data, capsys):
    found, pairs = theory.run(
        _parse(
            TheoryConfig,
            f"--model={model_and_data / 'model.keras'}",
            f"--data={model_and_data / 'data.npz'}",
            "--tap=first",
            "--eps=2e-3,1e-3",
        )
    )
    assert abs(pairs["loss"].slope - 3.0) < 0.2
    assert abs(pairs["divergence"].ratio[-1] - 1.0) < 0.01
    # The model's float32 would leave nothing of the remainder.
    assert np.all(np.abs(pairs["loss"].remainder) < 1e-7)
    text = capsys.readouterr().out
    assert f"| A2 | {found.a2:.6g} |" in text
    assert "not compared: The model has 3 classes" in text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--data=missing.npz"], "--data=missing.npz cannot be read"),
        (["--data=FOLDER/empty.npz"], "arrays x and y"),
        (
            ["--model=missing.keras"],
            "missing.keras' cannot be loaded (File not found",
        ),
        (["--model=FOLDER/model.keras"], "takes [4] and the data have [2]"),
        (["--tap=middle"], "Unusable tap 'middle'"),
        (["--eps=2"], "--eps=2.0 must be a list of numbers between 0 and 1"),
        (["--eps=0.1"], "--eps=0.1 must be a list"),
        (["--data=FOLDER/words.npz"], "array of numbers"),
        (["--data=FOLDER/negative.npz"], "has y from -1 to -1"),
    ],
)
def test_mistakes_of_the_theory_are_one_line(model_and_data, arguments, words):
    arguments = [a.replace("FOLDER", str(model_and_data)) for a in arguments]
    with pytest.raises(UsageError) as raised:
        theory.run(_parse(TheoryConfig, "--points=5", *arguments))
    assert words in str(raised.value) and "\n" not in str(raised.value)
