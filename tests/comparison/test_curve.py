"""Figures by budget: which runs stand where, and what is refused."""

import re

import pytest

from noisymix_tf.comparison import command, curve, runs
from support import comparison_runs as made
from support.comparison_runs import accuracies, flags, write
from support.usage import assert_usage_error

# Of clean images: baseline 1 view, NoisyMix 3.
CLEAN = {("baseline", 6): 0.7, ("baseline", 12): 0.8}
CLEAN |= {("noisymix", 2): 0.6, ("noisymix", 4): 0.9}


def run(folder, method, epochs, clean, **more):
    config = flags(method, epochs=epochs, **more)
    name = f"{method}{epochs}-{len(list(folder.iterdir()))}"
    own = {"c": accuracies(clean - 0.3), "clean": clean}
    return runs.read(write(folder / name, config, **own))


@pytest.fixture
def found(tmp_path):
    return [run(tmp_path, *own, clean) for own, clean in CLEAN.items()]


def test_epochs_count_once_for_each_view(found, tmp_path):
    built = curve.build(found, baseline="baseline")
    assert list(built) == [6, 12]
    text = curve.markdown(built)
    (clean,) = re.findall("## Clean: .*\n\n((?:.*\n)+)", text)
    lines = [re.split(r" *\| *", line)[1:-1] for line in clean.splitlines()]
    assert lines[0] == ["Passes of each image", "6", "12"]
    number = [[re.sub(r"\*| ±.*", "", cell) for cell in own] for own in lines]
    assert number[2:4] == [
        ["Baseline", "70.0", "80.0"],
        ["NoisyMix", "60", "90.0"],
    ]
    # The best of each budget, where it can be told.
    assert [[cell[0] == "*" for cell in own[1:]] for own in lines[2:4]] == [
        [True, False],
        [False, True],
    ]
    # What a budget's own baseline divides stands in its own table alone.
    assert "mCE" not in text
    files = [path.name for path in curve.write(tmp_path, built)]
    assert files[-2:] == ["curve.md", "curve.png"]
    assert "mCE" in (tmp_path / "passes12/comparison.md").read_text()
    seeds = list(curve.facts(built))[1:3]
    assert seeds == ["6 passes: seeds 0", "12 passes: seeds 0"]


def test_other_recipes_are_other_lines(found, tmp_path):
    """Two rates became one line, as they were looked at by budget."""
    other = run(tmp_path, "baseline", 24, 0.8, learning_rate=0.5)
    names = re.findall(
        r"(?m)^\| (\w.*?) *\|", curve.markdown(curve.build([*found, other]))
    )
    names = [*dict.fromkeys(names)]
    rates = "Baseline (learning_rate=0.5)", "Baseline (learning_rate=0.1)"
    assert names == ["Passes of each image", *rates, "NoisyMix"]


def test_what_is_no_curve(found, tmp_path):
    assert_usage_error(lambda: curve.build(found[:1]), "one, 6 passes")
    other = run(tmp_path, "baseline", 24, 0.8, batch_size=128)
    words = "batch_size: 64 ("
    assert_usage_error(lambda: curve.build([*found, other]), words)
    path = made.evaluation(tmp_path / "own")
    own = [*found, runs.read(path)]
    assert_usage_error(lambda: curve.build(own), f"{path} is an evaluation")
    # Between budgets and within one.
    text = "".join(curve.facts(curve.build([*found, other], anyway=True)))
    assert "Differs: batch_size: 64 (" in text
    line = made.parsed("--methods=mixup", "--curve", f"--output_dir={tmp_path}")
    words = "--curve is of finished runs"
    assert_usage_error(lambda: command.run(*line[::-1]), words)
