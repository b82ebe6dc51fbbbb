"""`python -m noisymix_tf.compare`: its command line, whole comparisons."""

import functools
import pathlib

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments, command, runs, trainings
from support import comparison_runs, door_processes
from support.usage import assert_usage_error

TINY = (
    "--flagfile=flags/quickstart.flags --model=tiny --width=1 --epochs=1 "
    "--train_examples=100 --test_examples=40 --batch_size=50 --suites=clean,c "
    "--corruptions=fog --severities=1 --notensorboard --noexport"
).split()


def plan(line, folder="out"):
    words, config, values = comparison_runs.parsed(*line.split())
    return trainings.plan(words, config, folder, values)


def write_method(path, method, line=""):
    path.write_text(f"--flagfile=flags/method/{method}.flags\n{line}\n")


def test_words_are_joined_and_runs_are_collected():
    """What is not known is left to the parser."""
    *_, values = comparison_runs.parsed()
    line = "a --epochs 3 --flip b", "--epochs=3 --flip --runs=a,b"
    others = [("--bogus a", "--bogus --runs=a"), ("--help", "--help")]
    for given, wanted in (
        line,
        ("--runs x -- --odd", "--runs=x,--odd"),
        *others,
    ):
        assert arguments.tidy(given.split(), values) == wanted.split()


def test_every_method_with_every_seed_on_one_base(tmp_path):
    base = "--flagfile=flags/quickstart.flags --epochs=2 --seeds=0,1"
    names = ("baseline", "mixup", "noisymix")
    planned = plan(f"{base} --methods={','.join(names)}")
    folders = [f"out/{name}/seed{seed}" for seed in (0, 1) for name in names]
    assert [str(training.folder) for training in planned] == folders
    own = [(t.config.method.mixing, t.config.method.views) for t in planned]
    wanted = [("none", "none"), ("input", "none"), ("manifold", "augmix")]
    assert own == 2 * wanted
    for training, folder in zip(planned, folders):
        config = training.config
        assert (config.optimizer.epochs, config.model.width) == (2, 0.125)
        assert config.run.output_dir == folder
    assert (config.run.seed, training.title) == (1, "NoisyMix, seed 1")
    # Flags behind the methods override them.
    # By itself a term without views is refused.
    for before, behind, weight, seed in (
        ("", "--jsd_weight=3 --seed=5", 3.0, 5),
        ("--methods=mixup --jsd_weight=3", "", 12.0, 0),
        ("--views=none", "", 12.0, 0),
    ):
        (training,) = plan(f"{before} --methods=augmix {behind}")
        own = training.config.method
        assert (own.jsd_weight, own.views) == (weight, "augmix")
        assert training.config.run.seed == seed
    # A flagfile is a method of its name, and the flagfile of its training
    # gives its configuration again.
    write_method(tmp_path / "wide.flags", "cutmix", "--alpha=2")
    (training,) = plan(f"--methods={tmp_path}/wide.flags --corruptions=fog")
    own = training.config.method
    assert (own.method, own.mixing, own.alpha) == ("wide", "cutmix", 2)
    assert training.folder.parts[-2:] == ("wide", "seed0")
    fresh = flags.FlagValues()
    command_line.define_flags(fresh)
    line = ["train", *training.text.splitlines()]
    assert command_line.parse_expanded(line, fresh) == training.config
    # Whose training is finished needs its trees no more.
    (tree := tmp_path / "tree").mkdir()
    line = f"--methods=stylized --train_data_dir={tree}"
    (training,) = plan(line, tmp_path)
    training.prepare()
    comparison_runs.write(training.folder, training.config)
    training.mark_finished()
    tree.rmdir()
    assert plan(line, tmp_path) == [training]


def test_mistakes_are_told_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "flags").symlink_to(pathlib.Path("flags").resolve())
    monkeypatch.chdir(tmp_path)
    write_method(tmp_path / "long.flags", "mixup", "--epochs=9")
    write_method(tmp_path / "mixup.flags", "mixup")
    for line, words in (
        ("mixup,nothing", "Unknown method 'nothing'. Known: "),
        ("none.flags", "none.flags cannot be opened"),
        ("augmix --views=none", "Method augmix: --stability=jsd compares"),
        ("mixup --bogus=1", "bogus"),
        ("mixup --seeds=a", "--seeds=a must be a list of whole"),
        ("mixup --train_data_dir=x", "--train_data_dir=x is no folder; make"),
        ("mixup --extra_data_dirs=x", "--extra_data_dirs=x is no folder"),
        ("mixup,long.flags", "epochs: 200 (mixup); 9 (long)"),
        ("mixup,mixup.flags", "names two methods alike"),
    ):
        call = functools.partial(plan, f"--methods={line}")
        assert_usage_error(call, words)
    assert len(plan("--methods=mixup,long.flags --compare_anyway")) == 2


def compare(*line, launch=None):
    words, config, values = comparison_runs.parsed(*line)
    return command.run(config, words, launch=launch, flag_values=values)


def test_runs_are_compared_and_mistakes_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two = tmp_path / "runs"
    for method, clean in (("baseline", 0.75), ("noisymix", 0.875)):
        config = comparison_runs.flags(method)
        comparison_runs.write(two / method, config, clean=clean)
    (tmp_path / "full").mkdir()
    (mine := tmp_path / "full" / "mine").write_text("mine")
    folder = tmp_path / "table"
    line = two, f"--output_dir={folder}"
    done = door_processes.run("noisymix_tf.compare", *line)
    assert done.returncode == 0, done.stderr
    assert "| NoisyMix | **87.5** |" in done.stdout
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = {f"comparison.{s}" for s in "md csv tex html json".split()}
    assert files.keys() == {*names, "comparison.flags"}
    assert files["comparison.md"].decode().strip() == done.stdout.strip()
    assert all(f"Table: {folder / name}" in done.stderr for name in names)
    compare(f"--flagfile={folder / 'comparison.flags'}")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    for line, words in (
        ("", "Give directories of runs to compare, or --methods"),
        ("runs --methods=mixup", "and not both"),
        ("--methods=mixup", "--output_dir is missing"),
        ("runs --epochs=3", "--epochs is for trainings"),
        ("nowhere", "nowhere is no directory"),
        ("runs --output_dir=runs/baseline", "holds a run"),
        ("runs --output_dir=full", "holds no comparison"),
        ("runs --output_dir=full/mine/table", "cannot be written"),
    ):
        assert_usage_error(functools.partial(compare, *line.split()), words)
        assert mine.read_text() == "mine"
    (two / "noisymix" / "evaluation" / "report.json").unlink()
    capsys.readouterr()
    call = functools.partial(compare, "runs", "full", "nowhere")
    assert_usage_error(call, "3 left out, as said above")
    out, err = capsys.readouterr()
    assert "| Baseline |  75.0 |" in out and "NoisyMix" not in out
    words = "full holds no run", "nowhere is no dir", "noisymix was not eval"
    for word, line in zip(words, err.splitlines()[-3:]):
        assert line.startswith("left out: ") and word in line


def test_methods_are_trained_in_processes_and_compared(tmp_path, capsys):
    """Once: the same command trains nothing, another one is refused."""

    def launch(training, jobs):
        line = "support.tiny_network", f"--flagfile={training.flagfile}"
        return door_processes.Process(*line, log=training.log)

    folder = tmp_path / "comparison"
    line = [*TINY, "--methods=baseline,mixup", f"--output_dir={folder}"]
    table = compare(*line, "--jobs=2", launch=launch)
    for row, method in zip(table.rows, ("baseline", "mixup"), strict=True):
        log = (folder / method / "seed0.log").read_text()
        assert f"{method} on digits: 100 training" in log
        run = runs.read(folder / method / "seed0")
        accuracy = pytest.approx(100 * run.figure("clean", "accuracy"))
        assert row.cells["clean"].values == (accuracy,)
    assert "[2/2] Mixup, seed 0: started" in capsys.readouterr().err
    files = [folder / "comparison.json", folder / "mixup/seed0/model.keras"]
    before = [file.read_bytes() for file in files]
    assert compare(*line).rows == table.rows
    assert capsys.readouterr().err.count("there already") == 2
    words = "run of another configuration: --al"
    assert_usage_error(lambda: compare(*line, "--alpha=3"), words)
    assert [file.read_bytes() for file in files] == before
