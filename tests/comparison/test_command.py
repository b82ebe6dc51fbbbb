"""`python -m noisymix_tf.compare`: its command line, whole comparisons."""

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
    for given, wanted in (
        ("a --epochs 3 --flip b", "--epochs=3 --flip --runs=a,b"),
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
    wanted = [("none", "none"), ("input", "none"), ("manifold", "augmix")]
    assert own == 2 * wanted
    for training, folder in zip(planned, folders):
        config = training.config
        assert (config.optimizer.epochs, config.model.width) == (2, 0.125)
        assert config.run.output_dir == folder
    assert (config.run.seed, training.title) == (1, "NoisyMix, seed 1")
    # Flags behind the methods override them.
    own = "--methods=augmix"
    (training,) = plan(f"{own} --jsd_weight=3 --seed=5")
    assert training.config.method.jsd_weight == 3.0
    assert training.config.run.seed == 5
    (training,) = plan(f"--methods=mixup --jsd_weight=3 {own}")
    assert training.config.method.jsd_weight == 12.0
    # By itself a term without views is refused.
    (training,) = plan(f"--views=none {own}")
    assert training.config.method.views == "augmix"


def test_a_flagfile_is_a_method_of_its_name(tmp_path):
    """And the flagfile of its training gives its configuration again."""
    write_method(tmp_path / "wide.flags", "cutmix", "--alpha=2")
    (training,) = plan(f"--methods={tmp_path}/wide.flags --corruptions=fog")
    own = training.config.method
    assert (own.method, own.mixing, own.alpha) == ("wide", "cutmix", 2)
    assert training.folder.parts[-2:] == ("wide", "seed0")
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
    (tree := tmp_path / "tree").mkdir()
    line = f"--methods=stylized --train_data_dir={tree}"
    (training,) = plan(line, tmp_path)
    training.prepare()
    comparison_runs.write(training.folder, training.config)
    training.mark_finished()
    tree.rmdir()
    assert plan(line, tmp_path) == [training]


def compare(*line, launch=None):
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
    line = two, f"--output_dir={folder}"
    done = door_processes.run("noisymix_tf.compare", *line)
    assert done.returncode == 0, done.stderr
    assert "| NoisyMix | **87.5** |" in done.stdout
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = {f"comparison.{s}" for s in ("md", "csv", "tex", "html", "json")}
    assert files.keys() == {*names, "comparison.flags"}
    assert files["comparison.md"].decode().strip() == done.stdout.strip()
    assert all(f"Table: {folder / name}" in done.stderr for name in names)
    compare(f"--flagfile={folder / 'comparison.flags'}")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files


def test_what_is_left_out_is_told_and_the_rest_compared(two, capsys):
    (two / "noisymix" / "evaluation" / "report.json").unlink()
    call = lambda: compare("runs", "full", "nowhere")  # noqa: E731
    assert_usage_error(call, "3 left out, as said above")
    out, err = capsys.readouterr()
    assert "| Baseline |  75.0 |" in out and "NoisyMix" not in out
    words = "full holds no run", "nowhere is no dir", "noisymix was not eval"
    for word, line in zip(words, err.splitlines()[-3:]):
        assert line.startswith("left out: ") and word in line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "Give directories of runs to compare, or --methods"),
        ("runs --methods=mixup", "and not both"),
        ("--methods=mixup", "--output_dir is missing"),
        ("runs --epochs=3", "--epochs is for trainings"),
        ("nowhere", "nowhere is no directory"),
        ("runs --output_dir=runs/baseline", "holds a run"),
        ("runs --output_dir=full", "holds no comparison"),
        ("runs --output_dir=full/mine/table", "cannot be written"),
    ],
)
def test_mistakes_of_the_command_line(two, line, words):
    assert_usage_error(lambda: compare(*line.split()), words)
    assert (two.parent / "full" / "mine").read_text() == "mine"


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
