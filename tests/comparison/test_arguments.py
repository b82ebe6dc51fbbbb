"""Command lines of comparisons, and what they make of their trainings."""

import pathlib

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments, runs, trainings
from support import comparison_runs
from support.usage import assert_usage_error


def plan(line, folder="out"):
    words, config, values = comparison_runs.parsed(*line.split())
    return trainings.plan(words, config, folder, values)


def write_method(path, method, *lines):
    """A flagfile of one's own on top of a method's."""
    own = [f"--flagfile=flags/method/{method}.flags", *lines]
    path.write_text("\n".join(own) + "\n")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            "runs/a --epochs 3 --flip runs/b --width=2",
            "--epochs=3 --flip --width=2 --runs=runs/a,runs/b",
        ),
        ("--runs x -- --odd", "--runs=x,--odd"),
        # What is not known is left to the parser.
        ("--bogus a", "--bogus --runs=a"),
        ("--help", "--help"),
    ],
)
def test_words_are_joined_and_runs_are_collected(given, wanted):
    values = comparison_runs.parsed()[-1]
    assert arguments.tidy(given.split(), values) == wanted.split()


def test_every_method_with_every_seed_on_one_base():
    base = "--flagfile=flags/quickstart.flags --epochs=2 --seeds=0,1"
    planned = plan(f"{base} --methods=baseline,mixup,noisymix")
    assert [str(t.folder) for t in planned] == [
        f"out/{name}/seed{seed}"
        for seed in (0, 1)
        for name in ("baseline", "mixup", "noisymix")
    ]
    base, mixup, noisy = (t.config.method for t in planned[:3])
    assert (base.method, base.views) == ("baseline", "none")
    assert base.additive_noise == 0
    assert (mixup.mixing, mixup.stability) == ("input", "none")
    assert noisy.stability == "jsd"
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
    before = plan(f"--jsd_weight=3 {own}")
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
