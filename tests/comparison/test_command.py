"""`python -m noisymix_tf.compare`: whole comparisons, and its mistakes."""

import csv
import json
import os
import signal
import time

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments, command
from noisymix_tf.config.compare import CompareConfig, ComparisonFlags
from noisymix_tf.errors import UsageError
from support import comparison_runs, door_processes

FILES = {f"comparison.{s}" for s in ("md", "csv", "tex", "html", "json")}
TINY = (
    "--flagfile=flags/quickstart.flags",
    "--model=tiny",
    "--width=1",
    "--train_examples=100",
    "--test_examples=40",
    "--batch_size=50",
    "--epochs=1",
    "--suites=clean,c",
    "--corruptions=fog",
    "--severities=1",
    "--notensorboard",
    "--noexport",
)


def _compare(*line):
    return door_processes.run("noisymix_tf.compare", *line)


def _in_this_process(*line, launch=None):
    """The door without a process of its own; returns its `Table`."""
    values = flags.FlagValues()
    command_line.define_flags(values)
    command_line.define_flags(values, config=ComparisonFlags)
    words = arguments.tidy(map(str, line), values)
    config = command_line.parse(["compare", *words], values, CompareConfig)
    flat = arguments.flat(words, values)
    return command.run(config, flat, launch=launch, flag_values=values)


@pytest.fixture
def two(tmp_path):
    """Directories of two runs."""
    return [
        comparison_runs.write(
            tmp_path / "runs" / method,
            comparison_runs.flags(method),
            clean=clean,
        )
        for method, clean in (("baseline", 0.75), ("noisymix", 0.875))
    ]


def test_two_runs_give_a_table(two, tmp_path):
    folder = tmp_path / "table"
    done = _compare(*two, f"--output_dir={folder}")
    assert done.returncode == 0, done.stderr
    assert "| NoisyMix | **87.5** |" in done.stdout
    assert {path.name for path in folder.iterdir()} == {
        *FILES,
        "comparison.flags",
    }
    assert (folder / "comparison.md").read_text().strip() == (
        done.stdout.strip()
    )
    for name in FILES:
        assert f"Table: {folder / name}" in done.stderr


def test_what_is_left_out_is_told_and_the_rest_compared(two, tmp_path, capsys):
    (two[1] / "evaluation" / "report.json").unlink()
    (tmp_path / "empty").mkdir()
    line = [*two, tmp_path / "empty", tmp_path / "nowhere"]
    with pytest.raises(UsageError, match="3 left out, as said above"):
        _in_this_process(*line)
    out, err = capsys.readouterr()
    assert "| Baseline |  75.0 |" in out and "NoisyMix" not in out
    told = [x for x in err.splitlines() if x.startswith("left out: ")]
    assert len(told) == 3
    assert "empty holds no run" in told[0]
    assert "nowhere is no directory" in told[1]
    assert "noisymix was not evaluated yet" in told[2]


def test_the_same_command_writes_the_same_table(two, tmp_path):
    line = [f"--runs={two[0].parent}", f"--output_dir={tmp_path / 'table'}"]
    _in_this_process(*line)
    before = {p: p.read_bytes() for p in (tmp_path / "table").iterdir()}
    _in_this_process(f"--flagfile={tmp_path / 'table' / 'comparison.flags'}")
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], "Give directories of runs to compare, or --methods"),
        (["runs/a", "--methods=mixup"], "and not both"),
        (["--methods=mixup"], "--output_dir is missing"),
        (["runs/a", "--epochs=3"], "--epochs is for trainings"),
        (["nowhere"], "nowhere is no directory"),
    ],
)
def test_mistakes_of_the_command_line(line, words):
    with pytest.raises(UsageError, match=words):
        _in_this_process(*line)


@pytest.mark.parametrize(
    ("name", "words"),
    [("runs/baseline", "holds a run"), ("full", "holds no comparison")],
)
def test_nothing_of_others_is_written_over(two, tmp_path, name, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "comparison.md").write_text("mine")
    with pytest.raises(UsageError, match=words):
        _in_this_process(*two, f"--output_dir={tmp_path / name}")
    assert (tmp_path / "full" / "comparison.md").read_text() == "mine"


def test_a_mistake_is_one_line_and_status_2():
    done = _compare("nowhere")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: nowhere is no dir")


def _launch(training, jobs):
    """A training of the tiny network."""
    return door_processes.Process(
        "support.tiny_network",
        f"--flagfile={training.flagfile}",
        log=training.log,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "comparison"
    line = [
        *TINY,
        "--methods=baseline,mixup",
        "--jobs=2",
        f"--output_dir={folder}",
    ]
    return folder, line, _in_this_process(*line, launch=_launch)


def test_methods_are_trained_and_compared(trained):
    folder, _, table = trained
    assert [row.title for row in table.rows] == ["Baseline", "Mixup"]
    for method in ("baseline", "mixup"):
        run = folder / method / "seed0"
        assert (run / "model.keras").is_file()
        assert f"--method={method}" in (run / "flags.txt").read_text()
        log = (folder / method / "seed0.log").read_text()
        assert f"{method} on digits: 100 training" in log
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    for row in rows:
        report = folder / row["method"] / "seed0" / "evaluation/report.json"
        sections = json.loads(report.read_text())["sections"]
        accuracy = sections["clean"]["figures"]["accuracy"]
        assert float(row["clean"]) == pytest.approx(100 * accuracy)


def test_a_finished_comparison_trains_nothing(trained, capsys):
    folder, line, table = trained
    before = (folder / "comparison.json").read_bytes()
    assert _in_this_process(*line).rows == table.rows
    assert (folder / "comparison.json").read_bytes() == before
    assert capsys.readouterr().err.count("there already") == 2


def test_other_hyperparameters_need_another_directory(trained):
    folder, line, _ = trained
    weights = (folder / "mixup" / "seed0" / "model.keras").read_bytes()
    with pytest.raises(UsageError, match="run of another configuration: --al"):
        _in_this_process(*line, "--alpha=3")
    assert (folder / "mixup/seed0/model.keras").read_bytes() == weights


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "interrupted")],
)
def test_signals_end_the_training_and_the_comparison(
    tmp_path, number, status, word
):
    folder = tmp_path / "comparison"
    log = folder / "baseline" / "seed0.log"
    with door_processes.Process(
        "noisymix_tf.compare",
        "--methods=baseline,mixup",
        "--epochs=2000",
        f"--output_dir={folder}",
    ) as process:
        while not log.exists() or not log.read_text():
            assert process.is_running()
            time.sleep(0.02)
        os.kill(process.pid, number)
        _, err = process.communicate()
        assert process.returncode == status, err
    assert f"{word}: " in err and "Baseline, seed 0 is kept" in err
    assert not (folder / "mixup").exists()
    # Nothing of it is running any more: its directory is free.
    assert not list(folder.rglob(".lock"))
