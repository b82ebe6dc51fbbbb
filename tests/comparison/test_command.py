"""`python -m noisymix_tf.compare`: whole comparisons, and its mistakes."""

import csv
import json
import os
import signal
import time

import pytest

from noisymix_tf.comparison import command
from support import comparison_runs, door_processes
from support.usage import assert_usage_error

DOOR = "noisymix_tf.compare"
FILES = {f"comparison.{s}" for s in ("md", "csv", "tex", "html", "json")}
TINY = (
    "--flagfile=flags/quickstart.flags --model=tiny --width=1 --epochs=1 "
    "--train_examples=100 --test_examples=40 --batch_size=50 --suites=clean,c "
    "--corruptions=fog --severities=1 --notensorboard --noexport"
).split()


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


def test_a_mistake_is_one_line_and_status_2():
    done = door_processes.run(DOOR, "nowhere")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: nowhere is no dir")


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
        assert f"--method={method}" in (run / "flags.txt").read_text()
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
