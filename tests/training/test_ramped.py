"""Levels that flags ramp over a training."""

import json

import pytest

from noisymix_tf.config import MethodConfig, ramps
from noisymix_tf.errors import UsageError
from noisymix_tf.training import ramped
from support import door_processes

STEPS = 200


def _levels(*texts, **values):
    """Functions from the step to the level, by name."""
    schedule = ramped.schedule(MethodConfig(ramps=texts, **values), STEPS)
    return schedule._functions


def test_nothing_moves_by_default():
    assert ramped.schedule(MethodConfig(), STEPS) is None


def test_a_level_goes_evenly_between_shares_of_the_training():
    levels = _levels("alpha:0:0.5:1", alpha=2.0)
    assert set(levels) == {"alpha"}
    expected = {0: 2.0, 100: 2.0, 125: 1.5, 150: 1.0, 200: 0.0}
    assert {s: levels["alpha"](s) for s in expected} == pytest.approx(expected)


def test_ramps_of_a_level_go_on_from_each_other():
    """Up from the flag's value, a plateau, and down."""
    weight = _levels("jsd_weight:12:0:0.25", "jsd_weight:3:0.5:0.75")
    start_at_0 = _levels(
        "jsd_weight:12:0.1:0.25", "jsd_weight:3:0.5:0.75", jsd_weight=0.0
    )["jsd_weight"]
    assert [weight["jsd_weight"](s) for s in (0, 25, 50)] == [12.0] * 3
    expected = {0: 0, 20: 0, 35: 6, 50: 12, 99: 12, 125: 7.5, 150: 3, 200: 3}
    assert {s: start_at_0(s) for s in expected} == pytest.approx(expected)


def test_levels_move_each_for_itself():
    levels = _levels("additive_noise:1:0:1", "multiplicative_noise:0:0:0.5")
    assert levels["additive_noise"](100) == pytest.approx(0.75)
    assert levels["multiplicative_noise"](50) == pytest.approx(0.25)
    assert levels["multiplicative_noise"](150) == 0.0


def test_a_run_follows_its_flags(tmp_path):
    """The log has the values of each epoch's last step."""
    door_processes.run(
        "support.tiny_network",
        "--flagfile=flags/data/digits.flags",
        "--method=baseline",
        "--ramps=additive_noise:0.4:0.5:1",
        "--model=tiny",
        "--taps=normalize",
        "--train_examples=100",
        "--test_examples=50",
        "--batch_size=25",
        "--epochs=4",
        "--suites=clean",
        "--notensorboard",
        "--noexport",
        f"--output_dir={tmp_path / 'run'}",
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    levels = [json.loads(line)["additive_noise"] for line in lines]
    assert levels == pytest.approx([0.0, 0.0, 0.4 * 3 / 8, 0.4 * 7 / 8])


@pytest.mark.parametrize(
    "text, words",
    [
        ("beta:0:0:1", "begins with none of alpha, additive_noise"),
        ("", "begins with none of"),
        ("alpha", "must be NAME:END:FROM:TO"),
        ("alpha:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:zero:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:0:0:1:2", "must be NAME:END:FROM:TO"),
        ("alpha:-1:0:1", "END must be at least 0"),
        ("alpha:inf:0:1", "END must be at least 0"),
        ("alpha:nan:0:1", "END must be at least 0"),
        ("alpha:0:0.5:0.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:0.5:1.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:-0.5:1", "0 <= FROM < TO <= 1"),
        ("alpha:0:nan:1", "0 <= FROM < TO <= 1"),
    ],
)
def test_items_of_another_form_are_refused(text, words):
    with pytest.raises(UsageError, match="--ramps") as error:
        ramps.parse([text])
    assert words in str(error.value) and repr(text) in str(error.value)


def test_ramps_of_one_level_that_overlap_are_refused():
    with pytest.raises(UsageError, match="begins before the ramp of alpha"):
        MethodConfig(ramps=("alpha:0:0.5:1", "alpha:1:0.4:0.6"))
    MethodConfig(ramps=("alpha:0:0.5:1", "jsd_weight:1:0.4:0.6"))


@pytest.mark.parametrize(
    "ramp, values, flag",
    [
        ("alpha:0:0:1", {"mixing": "none"}, "--mixing=none"),
        ("jsd_weight:0:0:1", {"stability": "none"}, "--stability=none"),
    ],
)
def test_ramps_of_what_the_method_has_not_are_refused(ramp, values, flag):
    with pytest.raises(UsageError, match=flag):
        MethodConfig(ramps=(ramp,), **values)
