"""`python -m noisymix_tf compare`: its line, its processes, its table."""

import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import types

import pytest

from noisymix_tf import provenance
from noisymix_tf.comparison import command, trainings, writers
from noisymix_tf.errors import Preempted
from noisymix_tf.models.zoo import MODELS, Architecture
from support import comparison_runs, door_processes, pages, tiny_network
from support.usage import assert_usage_error

TINY = (
    "--flagfile=flags/quickstart.flags --model=tiny --width=1 --epochs=1 "
    "--train_examples=100 --test_examples=40 --batch_size=50 --suites=clean,c "
    "--corruptions=fog --severities=1 --notensorboard --noexport"
).split()


def plan(line, folder="out"):
    line = [*line.split(), f"--output_dir={folder}"]
    words, config = comparison_runs.parsed(*line)
    return trainings.plan(words, config)


def test_every_method_with_every_seed_and_mistakes_first(tmp_path, monkeypatch):
    base = "--flagfile=flags/quickstart.flags --epochs=2 --seeds=0,1"
    names = ("baseline", "mixup", "noisymix")
    planned = plan(f"{base} --methods={','.join(names)}")
    folders = [f"out/{name}/seed{seed}" for seed in (0, 1) for name in names]
    assert [str(training.folder) for training in planned] == folders
    mixing = [training.config.mixing for training in planned]
    assert mixing == 2 * ["none", "input", "manifold"]
    of = planned[-1].config
    assert (of.epochs, of.seed) == (2, 1)
    assert of.output_dir == folders[-1]
    # Flags behind the methods override them.
    # By itself a term without views is refused.
    for before, behind, weight, seed in (
        ("", "--jsd_weight 3 --seed=5 --jobs 2", 3.0, 5),
        ("--methods=mixup --jsd_weight=3", "", 12.0, 0),
        ("--views=none", "", 12.0, 0),
    ):
        (training,) = plan(f"{before} --methods=augmix {behind}")
        own = training.config
        assert (own.jsd_weight, own.views, own.seed) == (weight, "augmix", seed)
    line = "--methods=mixup,augmix,noisymix_short --equal_passes --epochs="
    assert [t.config.epochs for t in plan(f"{line}12")] == [12, 4, 6]
    words = "Method augmix: its 3 views do not divide --epochs=10"
    assert_usage_error(functools.partial(plan, f"{line}10"), words)
    # A flagfile is a method of its name. Whose training is finished needs its
    # trees no more.
    (tree := tmp_path / "tree").mkdir()
    text = "--flagfile=flags/method/stylized.flags\n--alpha=2"
    (tmp_path / "own.flags").write_text(text)
    line = f"--methods={tmp_path}/own.flags --train_data_dir={tree}"
    (training,) = plan(line, tmp_path)
    own = training.config
    assert (own.method, own.alpha, training.name) == ("own", 2, "own")
    training.prepare()
    comparison_runs.write(training.folder, training.config)
    assert not training.is_finished()
    training.mark_finished()
    # Another version has its flags in another order.
    mark = training.folder.with_name(f".{training.folder.name}.finished")
    mark.write_text("\n".join(reversed(mark.read_text().splitlines())))
    tree.rmdir()
    assert plan(line, tmp_path) == [training]
    (tmp_path / "flags").symlink_to(pathlib.Path("flags").resolve())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.flags").write_text("--method=mixup\n--epochs=9")
    (tmp_path / "mixup.flags").write_text("--method=mixup")
    for line, words in (
        ("mixup,nothing", "Unknown method 'nothing'. Known: "),
        ("augmix --views=none", "Method augmix: --stability=jsd compares"),
        ("mixup --bogus=1", "bogus"),
        ("mixup --train_data_dir=x", "--train_data_dir=x is no folder; make"),
        ("pixmix", "--views=pixmix needs pictures to mix with"),
        ("ipmix --mixing_dir=x", "--mixing_dir=x is no folder; make"),
        ("mixup,long.flags", "epochs: 200 (mixup); 9 (long)"),
        ("mixup,mixup.flags", "names two methods alike"),
        ("mixup --baseline=x", "--baseline=x stands for 0 rows: give one of"),
    ):
        assert_usage_error(functools.partial(plan, f"--methods={line}"), words)
    assert len(plan("--methods=mixup,long.flags --compare_anyway")) == 2


def compare(*line, launch=None):
    words, config = comparison_runs.parsed(*line)
    return command.run(config, words, launch=launch)


def test_runs_are_compared_and_mistakes_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two = tmp_path / "runs"
    for method, clean in (("baseline", 0.75), ("noisymix", 0.875)):
        config = comparison_runs.flags(method)
        comparison_runs.write(two / method, config, clean=clean)
    (tmp_path / "full").mkdir()
    (mine := tmp_path / "full" / "mine").write_text("mine")
    folder = tmp_path / "table"
    line = two, "--output_dir", folder
    done = door_processes.run("noisymix_tf", "compare", *line)
    assert done.returncode == 0, done.stderr
    assert "| NoisyMix | **87.5 ± 2." in done.stdout
    assert re.search(r"Baseline \| +−12\.5 \[−", done.stdout), done.stdout
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = {f"comparison.{s}" for s in "md csv tex html json".split()}
    assert files.keys() == {*names, "comparison.flags"}
    assert files["comparison.md"].decode().strip() == done.stdout.strip()
    compare(f"--flagfile={folder / 'comparison.flags'}")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    for line, words in (
        ("", "Give directories of runs to compare, or --methods"),
        ("--methods=mixup", "--output_dir is missing"),
        ("runs --epochs=3", "--epochs is for trainings"),
        ("nowhere", "nowhere is no directory"),
        ("runs --output_dir=runs/baseline", "no comparison, but evaluation"),
        ("runs --output_dir=full", "holds no comparison"),
    ):
        assert_usage_error(functools.partial(compare, *line.split()), words)
        assert mine.read_text() == "mine"
    (two / "noisymix" / "evaluation" / "report.json").unlink()
    capsys.readouterr()
    line = "runs", "full", "nowhere", pages.empty(tmp_path)[1]
    call = functools.partial(compare, *line)
    assert_usage_error(call, "3 left out (see above)", "#a stays as it is")
    out, err = capsys.readouterr()
    assert "| Baseline | 75.0 ± " in out and "NoisyMix" not in out
    words = "full holds no run", "nowhere is no dir", "report.json is missing"
    for word, line in zip(words, err.splitlines()[-3:]):
        assert line.startswith("left out: ") and word in line


def test_methods_are_trained_in_processes_and_compared(
    tmp_path, capsys, monkeypatch
):
    entry = Architecture(tiny_network.build)
    monkeypatch.setitem(MODELS._entries, "tiny", entry)

    def launch(training, jobs):
        line = "support.tiny_network", f"--flagfile={training.flagfile}"
        return door_processes.Process(*line, log=training.log)

    folder, (page, flag) = tmp_path / "comparison", pages.empty(tmp_path)
    line = [*TINY, "--methods=baseline,mixup", f"--output_dir={folder}", flag]
    table = compare(*line, "--jobs=2", launch=launch)
    gaps = [row.cells["clean/accuracy"].difference for row in table.rows]
    assert [gap.is_paired for gap in gaps if gap] == [True]
    for method in ("baseline", "mixup"):
        log = (folder / method / "seed0.log").read_text()
        assert f"{method} on digits: 100 training" in log
    assert "[2/2] Mixup, seed 0: started" in capsys.readouterr().err
    files = [folder / "comparison.json", folder / "mixup/seed0/model.keras"]
    before = [file.read_bytes() for file in files]
    made = provenance.words()
    _, own, _, differences, *_ = writers.markdown(table).split("\n\n")
    facts = f"{table.title}. Seeds 0. ±"
    text, card = page.read_text(), files[1].with_suffix(".card.json")
    assert own in text and differences not in text
    assert f", trained by {made}. {facts}" in text and "Clean: 40 im" in text
    moved = card.read_text().replace(f'"{made}"', f'"commit 0", "{made}"')
    card.write_text(moved)
    compare(*line)
    words = f"1 by {made}; 1 by commit 0, then {made}. {facts}"
    assert words in page.read_text()
    assert capsys.readouterr().err.count("there already") == 2
    call = functools.partial(compare, *line, "--alpha=3")
    assert_usage_error(call, "run of another configuration: --al")
    assert [file.read_bytes() for file in files] == before


EVERY = ["baseline0", "mixup0", "baseline1", "mixup1"]


def every(folder, **more):
    def one(name):
        method, path = name[:-1], folder / name / "run"
        config = comparison_runs.flags(method, int(name[-1]), **more)
        return trainings.Training(method, config, path)

    return [one(name) for name in EVERY]


class Launch:
    def __init__(self, status=0):
        self.started, self._status = [], status

    def __call__(self, training, jobs):
        self.started.append(training.folder.parent.name)
        assert training.flagfile.read_text() == training.text
        status = self._status if self.started[-1] == "mixup0" else 0
        if status:
            training.log.write_text("1/9 [..]\r2/9 [=.]\nerror: no such\n\n")
        elif not training.folder.exists():
            comparison_runs.write(training.folder, training.config, clean=0.75)
        ended = types.SimpleNamespace(send_signal=lambda number: None)
        ended.poll = ended.wait = lambda: status
        return ended


def test_what_is_not_finished_is_trained_in_turn_and_told(tmp_path, capsys):
    def started(planned, status=0):
        failures = command.train(planned, launch := Launch(status))
        return launch.started, failures, capsys.readouterr().err.splitlines()

    planned = every(tmp_path)
    names, failures, lines = started(planned)
    assert names == EVERY and all(own.is_finished() for own in planned)
    head = "[2/4] Mixup, seed 0:"
    assert lines[2:4] == [
        f"{head} started",
        f"{head} 0 s; Clean 75.0 %, ECE 20.0 %",
    ]
    names, failures, lines = started(planned)
    assert names == [] and "there already; Clean 75.0 %" in lines[0]
    (planned[2].folder / "evaluation" / "report.json").unlink()
    assert started(planned)[0] == ["baseline1"]
    # Other measurements are asked for: the process knows what is missing.
    assert started(every(tmp_path, suites=("clean",)))[0] == EVERY
    # One that fails does not keep the rest; one that was told to end does.
    planned = every(tmp_path / "failing")
    names, failures, lines = started(planned, 2)
    log = planned[1].log
    assert failures == [f"Mixup, seed 0: status 2, see {log}: no such"]
    assert lines[3].startswith(f"{head} failed after 0 s: status 2")
    assert names == EVERY and not planned[1].is_finished()
    _, (failure,), _ = started(planned, -9)
    assert failure.startswith("Mixup, seed 0: its process was ended by SIGKILL")
    assert started(planned)[:2] == (["mixup0"], [])
    for status, error in ((75, Preempted), (130, KeyboardInterrupt)):
        launch = Launch(status)
        with pytest.raises(error, match="Mixup, seed 0 is kept"):
            command.train(every(tmp_path / f"{status}"), launch)
        assert launch.started == EVERY[:2]
    (training, *_), launch = every(tmp_path / "told"), Launch()
    logs = [b"one\n\n", b"1/9 [=>..]\r2/9 [==>.]", b""]

    def poll():
        with training.log.open("ab") as log:
            log.write(logs.pop(0) if logs else b"")
        return None if logs else 0

    def begin(training, jobs):
        ended = launch(training, jobs)
        ended.poll = poll
        return ended

    assert command.train([training], begin, silence=0.0) == []
    *_, first, second, _ = capsys.readouterr().err.splitlines()
    assert first.endswith("0: one") and second.endswith("0: 2/9 [==>.]")


# Counts the signals that it gets, and takes a while to end.
PATIENT = """
import signal, time
seen = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: seen.append(number))
print("ready", flush=True)
while not seen: time.sleep(0.01)
time.sleep(0.2)
print(*map(int, seen))
"""


@pytest.mark.parametrize(
    ("number", "error", "jobs"),
    [(signal.SIGTERM, Preempted, 1), (signal.SIGINT, KeyboardInterrupt, 2)],
)
def test_a_signal_is_passed_on_once(tmp_path, number, error, jobs):
    started, pipe = [], {"stdout": subprocess.PIPE, "start_new_session": True}

    def launch(training, jobs):
        process = subprocess.Popen([sys.executable, "-c", PATIENT], **pipe)
        assert process.stdout.readline() == b"ready\n"
        started.append(process)
        if len(started) == jobs:
            threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        return process

    def end(number, frame):
        raise Preempted("as a door does")

    previous = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(error, match="Baseline, seed 0 is kept") as caught:
            command.train(every(tmp_path), launch, jobs)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert str(caught.value).count("seed 0 is kept") == len(started) == jobs
    for process in started:
        with process.stdout:
            assert process.stdout.read() == b"%d\n" % number
        assert process.returncode == 0


def test_faults_end_the_others_and_cores_are_shared(tmp_path, monkeypatch):
    started = []

    def launch(training, jobs):
        if started:
            raise OSError("no space left on device")
        started.append(subprocess.Popen(["sleep", "60"]))
        return started[0]

    with pytest.raises(OSError, match="no space"):
        command.train(every(tmp_path), launch, jobs=2)
    assert started[0].returncode == -signal.SIGTERM
    python, name = tmp_path / "python", "TF_NUM_INTRAOP_THREADS"
    python.write_text(f'#!/bin/sh\necho "${name}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv(name)
    (training, *_) = every(tmp_path / "own")
    training.prepare()
    for jobs in (1, 3, 9):
        assert command.launch(training, jobs).wait() == 0
    monkeypatch.setenv(name, "5")
    command.launch(training, 3).wait()
    assert training.log.read_text().split("\n") == ["", "2", "1", "5", ""]
