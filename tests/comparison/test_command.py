"""`python -m noisymix_tf.compare`: its command line, whole comparisons."""

import csv
import json
import os
import pathlib
import signal
import time

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments, command, runs, trainings
from support import comparison_runs, door_processes
from support.usage import assert_usage_error

DOOR = "noisymix_tf.compare"
FILES = {f"comparison.{s}" for s in ("md", "csv", "tex", "html", "json")}
TINY = (
    "--flagfile=flags/quickstart.flags --model=tiny --width=1 --epochs=1 "
    "--train_examples=100 --test_examples=40 --batch_size=50 --suites=clean,c "
    "--corruptions=fog --severities=1 --notensorboard --noexport"
).split()


def plan(line, folder="out"):
    words, config, values = comparison_runs.parsed(*line.split())
    return trainings.plan(words, config, folder, values)


def write_method(path, method, *lines):
    """A flagfile of one's own on top of a method's."""
    own = [f"--flagfile=flags/method/{method}.flags", *lines]
    path.write_text("\n".join(own) + "\n")


def test_words_are_joined_and_runs_are_collected():
    """What is not known is left to the parser."""
    values = comparison_runs.parsed()[-1]
    long = "runs/a --epochs 3 --flip runs/b --width=2"
    for given, wanted in (
        (long, "--epochs=3 --flip --width=2 --runs=runs/a,runs/b"),
        ("--runs x -- --odd", "--runs=x,--odd"),
        ("--bogus a", "--bogus --runs=a"),
        ("--help", "--help"),
    ):
        assert arguments.tidy(given.split(), values) == wanted.split()


def test_every_method_with_every_seed_on_one_base():
    base = "--flagfile=flags/quickstart.flags --epochs=2 --seeds=0,1"
    planned = plan(f"{base} --methods=baseline,mixup,noisymix")
    names = ("baseline", "mixup", "noisymix")
    folders = [f"out/{name}/seed{seed}" for seed in (0, 1) for name in names]
    assert [str(training.folder) for training in planned] == folders
    own = [(t.config.method.mixing, t.config.method.views) for t in planned]
    assert own[:2] == [("none", "none"), ("input", "none")]
    assert planned[2].config.method.stability == "jsd"
    for training in planned:
        assert training.config.optimizer.epochs == 2
        assert training.config.model.width == 0.125
        assert training.config.run.output_dir == str(training.folder)
    assert planned[3].config.run.seed == 1
    assert planned[3].title == "Baseline, seed 1"


def test_flags_behind_the_methods_override_them():
    own = "--methods=augmix,noisymix"
    behind = plan(f"{own} --jsd_weight=3 --seed=5")
    assert {t.config.method.jsd_weight for t in behind} == {3.0}
    assert {t.config.run.seed for t in behind} == {5}
    before = plan(f"--methods=mixup --jsd_weight=3 {own}")
    assert {t.config.method.jsd_weight for t in before} == {12.0}
    # By itself a term without views is refused.
    (training,) = plan("--views=none --methods=augmix")
    assert training.config.method.views == "augmix"


def test_a_flagfile_is_a_method_of_its_name(tmp_path):
    """And the flagfile of its training gives its configuration again."""
    file = tmp_path / "cutmix_wide.flags"
    write_method(file, "cutmix", "--alpha=2")
    (training,) = plan(f"--methods={file} --corruptions=fog")
    own = training.config.method
    assert (own.method, own.mixing, own.alpha) == ("cutmix_wide", "cutmix", 2)
    assert training.folder.parts[-2:] == ("cutmix_wide", "seed0")
    fresh = flags.FlagValues()
    command_line.define_flags(fresh)
    line = ["train", *training.text.splitlines()]
    assert command_line.parse_expanded(line, fresh) == training.config


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mixup,nothing", "Unknown method 'nothing'. Known: "),
        ("none.flags", "none.flags cannot be opened"),
        ("augmix --views=none", "Method augmix: --stability=jsd compares"),
        ("mixup --bogus=1", "bogus"),
        ("mixup --seeds=a", "--seeds=a must be a list of whole"),
        ("mixup --train_data_dir=x", "--train_data_dir=x is no folder; make"),
        ("mixup --extra_data_dirs=x", "--extra_data_dirs=x is no folder"),
        ("mixup,long.flags", "epochs: 200 (mixup); 9 (long)"),
        ("mixup,mixup.flags", "names two methods alike"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    tmp_path, monkeypatch, line, words
):
    (tmp_path / "flags").symlink_to(pathlib.Path("flags").resolve())
    monkeypatch.chdir(tmp_path)
    write_method(tmp_path / "long.flags", "mixup", "--epochs=9")
    write_method(tmp_path / "mixup.flags", "mixup")
    assert_usage_error(lambda: plan(f"--methods={line}"), words)
    if "long" in line:
        assert len(plan(f"--methods={line} --compare_anyway")) == 2


def test_what_is_finished_needs_its_trees_no_more(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    line = f"--methods=stylized --train_data_dir={tree}"
    (training,) = plan(line, tmp_path)
    training.prepare()
    report = training.folder / runs.REPORT
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    training.mark_finished()
    tree.rmdir()
    assert plan(line, tmp_path) == [training]


# Whole comparisons.


def compare(*line, launch=None):
    """The door without a process of its own; returns its `Table`."""
    words, config, values = comparison_runs.parsed(*line)
    return command.run(config, words, launch=launch, flag_values=values)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two runs below the working directory, and something that is none."""
    monkeypatch.chdir(tmp_path)
    for method, clean in (("baseline", 0.75), ("noisymix", 0.875)):
        config = comparison_runs.flags(method)
        comparison_runs.write(tmp_path / "runs" / method, config, clean=clean)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    return tmp_path / "runs"


def test_two_runs_give_a_table_and_their_command_gives_it_again(two, tmp_path):
    folder = tmp_path / "table"
    done = door_processes.run(DOOR, two, f"--output_dir={folder}")
    assert done.returncode == 0, done.stderr
    assert "| NoisyMix | **87.5** |" in done.stdout
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files.keys() == {*FILES, "comparison.flags"}
    assert files["comparison.md"].decode().strip() == done.stdout.strip()
    assert all(f"Table: {folder / name}" in done.stderr for name in FILES)
    compare(f"--flagfile={folder / 'comparison.flags'}")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files


def test_what_is_left_out_is_told_and_the_rest_compared(two, capsys):
    (two / "noisymix" / "evaluation" / "report.json").unlink()
    line = ["runs", "full", "nowhere"]
    assert_usage_error(lambda: compare(*line), "3 left out, as said above")
    out, err = capsys.readouterr()
    assert "| Baseline |  75.0 |" in out and "NoisyMix" not in out
    told = [x for x in err.splitlines() if x.startswith("left out: ")]
    assert len(told) == 3
    assert "full holds no run" in told[0]
    assert "nowhere is no directory" in told[1]
    assert "noisymix was not evaluated yet" in told[2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "Give directories of runs to compare, or --methods"),
        ("runs --methods=mixup", "and not both"),
        ("--methods=mixup", "--output_dir is missing"),
        ("runs --epochs=3", "--epochs is for trainings"),
        ("nowhere", "nowhere is no directory"),
        # Nothing of others is written over.
        ("runs --output_dir=runs/baseline", "holds a run"),
        ("runs --output_dir=full", "holds no comparison"),
        ("runs --output_dir=full/mine/table", "cannot be written"),
    ],
)
def test_mistakes_of_the_command_line(two, line, words):
    assert_usage_error(lambda: compare(*line.split()), words)
    assert (two.parent / "full" / "mine").read_text() == "mine"
    if line == "nowhere":
        done = door_processes.run(DOOR, line)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith(f"error: {words}")


def launch(training, jobs):
    """A training of the tiny network."""
    flagfile = f"--flagfile={training.flagfile}"
    return door_processes.Process(
        "support.tiny_network", flagfile, log=training.log
    )


def test_methods_are_trained_in_processes_and_compared(tmp_path, capsys):
    """Once: the same command trains nothing, another one is refused."""
    folder = tmp_path / "comparison"
    line = [*TINY, "--methods=baseline,mixup", "--jobs=2"]
    line.append(f"--output_dir={folder}")
    table = compare(*line, launch=launch)
    assert [row.title for row in table.rows] == ["Baseline", "Mixup"]
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    for row, method in zip(rows, ("baseline", "mixup")):
        run = folder / method / "seed0"
        log = (folder / method / "seed0.log").read_text()
        assert f"{method} on digits: 100 training" in log
        report = json.loads((run / "evaluation/report.json").read_text())
        accuracy = report["sections"]["clean"]["figures"]["accuracy"]
        assert float(row["clean"]) == pytest.approx(100 * accuracy)
    capsys.readouterr()
    files = [folder / "comparison.json", folder / "mixup/seed0/model.keras"]
    before = [file.read_bytes() for file in files]
    assert compare(*line).rows == table.rows
    assert capsys.readouterr().err.count("there already") == 2
    words = "run of another configuration: --al"
    assert_usage_error(lambda: compare(*line, "--alpha=3"), words)
    assert [file.read_bytes() for file in files] == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "interrupted")],
)
def test_signals_end_the_training_and_the_comparison(
    tmp_path, number, status, word
):
    """Nothing of it is running any more: its directory is free."""
    folder = tmp_path / "comparison"
    log = folder / "baseline" / "seed0.log"
    line = ["--methods=baseline,mixup", "--epochs=2000"]
    with door_processes.Process(
        DOOR, *line, f"--output_dir={folder}"
    ) as process:
        while not log.exists() or not log.read_text():
            assert process.is_running()
            time.sleep(0.02)
        os.kill(process.pid, number)
        _, err = process.communicate()
        assert process.returncode == status, err
    assert f"{word}: " in err and "Baseline, seed 0 is kept" in err
    assert not (folder / "mixup").exists()
    assert not list(folder.rglob(".lock"))
