"""`python -m noisymix_tf compare`: its command line, whole comparisons."""

import functools
import pathlib
import re

from noisymix_tf.comparison import command, trainings
from noisymix_tf.models.zoo import MODELS, Architecture
from support import comparison_runs, door_processes, tiny_network
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
    training.mark_finished()
    tree.rmdir()
    assert plan(line, tmp_path) == [training]
    (tmp_path / "flags").symlink_to(pathlib.Path("flags").resolve())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.flags").write_text("--method=mixup\n--epochs=9")
    (tmp_path / "mixup.flags").write_text("--method=mixup")
    for line, words in (
        ("mixup,nothing", "Unknown method 'nothing'. Known: "),
        ("none.flags", "none.flags cannot be opened"),
        ("augmix --views=none", "Method augmix: --stability=jsd compares"),
        ("mixup --bogus=1", "bogus"),
        ("mixup --train_data_dir=x", "--train_data_dir=x is no folder; make"),
        ("mixup --extra_data_dirs=x", "--extra_data_dirs=x is no folder"),
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
        ("runs --methods=mixup", "and not both"),
        ("--methods=mixup", "--output_dir is missing"),
        ("runs --epochs=3", "--epochs is for trainings"),
        ("nowhere", "nowhere is no directory"),
        ("runs --output_dir=runs/baseline", "no comparison, but evaluation"),
        ("runs --output_dir=full", "holds no comparison"),
        ("runs --output_dir=full/mine/table", "cannot be written"),
    ):
        assert_usage_error(functools.partial(compare, *line.split()), words)
        assert mine.read_text() == "mine"
    (two / "noisymix" / "evaluation" / "report.json").unlink()
    capsys.readouterr()
    call = functools.partial(compare, "runs", "full", "nowhere")
    assert_usage_error(call, "3 left out (see above)")
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

    folder = tmp_path / "comparison"
    line = [*TINY, "--methods=baseline,mixup", f"--output_dir={folder}"]
    table = compare(*line, "--jobs=2", launch=launch)
    gaps = [row.cells["clean/accuracy"].difference for row in table.rows]
    assert [gap.is_paired for gap in gaps if gap] == [True]
    for method in ("baseline", "mixup"):
        log = (folder / method / "seed0.log").read_text()
        assert f"{method} on digits: 100 training" in log
    assert "[2/2] Mixup, seed 0: started" in capsys.readouterr().err
    files = [folder / "comparison.json", folder / "mixup/seed0/model.keras"]
    before = [file.read_bytes() for file in files]
    compare(*line)
    assert capsys.readouterr().err.count("there already") == 2
    call = functools.partial(compare, *line, "--alpha=3")
    assert_usage_error(call, "run of another configuration: --al")
    assert [file.read_bytes() for file in files] == before
