"""Command lines of comparisons, and what they make of their trainings."""

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.comparison import arguments, runs, trainings
from noisymix_tf.config.compare import CompareConfig, ComparisonFlags
from noisymix_tf.errors import UsageError


@pytest.fixture
def values():
    values = flags.FlagValues()
    command_line.define_flags(values)
    command_line.define_flags(values, config=ComparisonFlags)
    return values


def _plan(values, *line, folder="out"):
    words = arguments.tidy(line, values)
    config = command_line.parse(["compare", *words], values, CompareConfig)
    flat = arguments.flat(words, values)
    return trainings.plan(flat, config, folder, values)


def test_words_are_joined_and_runs_are_collected(values):
    given = ["runs/a", "--epochs", "3", "--flip", "runs/b", "--width=2"]
    assert arguments.tidy(given, values) == [
        "--epochs=3",
        "--flip",
        "--width=2",
        "--runs=runs/a,runs/b",
    ]
    given = ["--runs", "x", "--", "--odd"]
    assert arguments.tidy(given, values) == ["--runs=x,--odd"]
    # What is not known is left to the parser.
    assert arguments.tidy(["--bogus", "a"], values)[0] == "--bogus"
    assert arguments.tidy(["--help"], values) == ["--help"]


def test_every_method_with_every_seed_on_one_base(values):
    planned = _plan(
        values,
        "--flagfile=flags/quickstart.flags",
        "--methods=baseline,mixup,noisymix",
        "--seeds=0,1",
        "--epochs=2",
    )
    assert [str(t.folder) for t in planned] == [
        f"out/{method}/seed{seed}"
        for seed in (0, 1)
        for method in ("baseline", "mixup", "noisymix")
    ]
    base, mixup, noisy = (t.config for t in planned[:3])
    assert base.method.method == "baseline" and base.method.views == "none"
    assert base.method.additive_noise == 0
    assert mixup.method.mixing == "input" and mixup.method.stability == "none"
    assert noisy.method.stability == "jsd"
    for training in planned:
        assert training.config.optimizer.epochs == 2
        assert training.config.model.width == 0.125
        assert training.config.run.output_dir == str(training.folder)
    assert planned[3].config.run.seed == 1
    assert planned[3].title == "Baseline, seed 1"


def test_flags_behind_the_methods_override_them(values):
    own = "--methods=augmix,noisymix"
    behind = _plan(values, own, "--jsd_weight=3", "--seed=5")
    assert {t.config.method.jsd_weight for t in behind} == {3.0}
    assert {t.config.run.seed for t in behind} == {5}
    before = _plan(values, "--jsd_weight=3", own)
    assert {t.config.method.jsd_weight for t in before} == {12.0}


def test_what_is_no_method_by_itself_may_be_a_base(values):
    # By itself a term without views is refused.
    (training,) = _plan(values, "--views=none", "--methods=augmix")
    assert training.config.method.views == "augmix"


def test_a_flagfile_is_a_method_of_its_name(values, tmp_path):
    file = tmp_path / "cutmix_wide.flags"
    file.write_text("--flagfile=flags/method/cutmix.flags\n--alpha=2\n")
    (training,) = _plan(values, f"--methods={file}")
    assert training.config.method.method == "cutmix_wide"
    assert training.config.method.mixing == "cutmix"
    assert training.config.method.alpha == 2.0
    assert training.folder.parts[-2:] == ("cutmix_wide", "seed0")


def test_the_flagfile_of_a_training_gives_its_configuration(values):
    (training,) = _plan(
        values, "--methods=noisymix", "--epochs=7", "--corruptions=fog"
    )
    lines = training.text.splitlines()
    fresh = flags.FlagValues()
    command_line.define_flags(fresh)
    assert (
        command_line.parse_expanded(["train", *lines], fresh) == training.config
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--methods=mixup,nothing"], "Unknown method 'nothing'. Known: "),
        (["--methods=none.flags"], "none.flags cannot be opened"),
        (
            ["--methods=augmix", "--views=none"],
            "Method augmix: --stability=jsd compares several views",
        ),
        (["--methods=mixup", "--bogus=1"], "bogus"),
        (["--methods=mixup", "--seeds=a"], "--seeds=a must be a list of whole"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(values, line, words):
    with pytest.raises(UsageError, match=words):
        _plan(values, *line)


@pytest.mark.parametrize(
    ("method", "flag"),
    [("stylized", "train_data_dir"), ("deepaugment", "extra_data_dirs")],
)
def test_trees_of_images_must_be_there(values, tmp_path, method, flag):
    line = [f"--methods=mixup,{method}", f"--{flag}={tmp_path / 'tree'}"]
    words = f"Method .*: --{flag}={tmp_path / 'tree'} is no folder; make it"
    with pytest.raises(UsageError, match=words):
        _plan(values, *line)
    (tmp_path / "tree").mkdir()
    assert len(_plan(values, *line)) == 2


def test_what_is_finished_needs_its_trees_no_more(values, tmp_path):
    (tmp_path / "tree").mkdir()
    line = ["--methods=stylized", f"--train_data_dir={tmp_path / 'tree'}"]
    (training,) = _plan(values, *line, folder=tmp_path)
    training.prepare()
    report = training.folder / runs.REPORT
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    training.mark_finished()
    (tmp_path / "tree").rmdir()
    assert _plan(values, *line, folder=tmp_path) == [training]


def test_methods_may_not_change_the_budget(values, tmp_path):
    file = tmp_path / "long.flags"
    file.write_text("--flagfile=flags/method/mixup.flags\n--epochs=9\n")
    line = [f"--methods=mixup,{file}"]
    with pytest.raises(UsageError, match=r"epochs: 200 \(mixup\); 9 \(long\)"):
        _plan(values, *line)
    assert len(_plan(values, *line, "--compare_anyway")) == 2
    twice = tmp_path / "mixup.flags"
    twice.write_text("--flagfile=flags/method/mixup.flags\n")
    with pytest.raises(UsageError, match="two methods alike"):
        _plan(values, f"--methods=mixup,{twice}")
