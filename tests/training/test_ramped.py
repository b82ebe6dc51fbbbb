"""Levels that flags ramp over a training."""

import json

import pytest

from noisymix_tf.config import MethodConfig, ramps
from noisymix_tf.training import ramped
from support import door_processes
from support.usage import assert_usage_error

STEPS = 200


def _levels(*texts, **values):
    """Functions from the step to the level, by name."""
    callback = ramped.schedule(MethodConfig(ramps=texts, **values), STEPS)
    return callback._functions  # What it calls with the step.


def test_nothing_moves_by_default():
    assert ramped.schedule(MethodConfig(), STEPS) is None


@pytest.mark.parametrize(
    "texts, values, name, expected",
    [
        (
            ["alpha:0:0.5:1"],
            {"alpha": 2.0},
            "alpha",
            {0: 2.0, 100: 2.0, 125: 1.5, 150: 1.0, 200: 0.0},
        ),
        # Ramps of a level go on from each other, with a plateau in between.
        (
            ["jsd_weight:12:0.1:0.25", "jsd_weight:3:0.5:0.75"],
            {"jsd_weight": 0.0},
            "jsd_weight",
            {0: 0, 20: 0, 35: 6, 50: 12, 99: 12, 125: 7.5, 150: 3, 200: 3},
        ),
        # Levels move each for itself.
        (
            ["additive_noise:1:0:1", "multiplicative_noise:0:0:0.5"],
            {},
            "additive_noise",
            {0: 0.5, 100: 0.75, 200: 1.0},
        ),
        (
            ["additive_noise:1:0:1", "multiplicative_noise:0:0:0.5"],
            {},
            "multiplicative_noise",
            {50: 0.25, 150: 0.0},
        ),
    ],
)
def test_a_level_goes_evenly_between_shares(texts, values, name, expected):
    levels = _levels(*texts, **values)
    assert set(levels) == {text.split(":")[0] for text in texts}
    assert {s: levels[name](s) for s in expected} == pytest.approx(expected)


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
        ("alpha:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:zero:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:-1:0:1", "END must be at least 0"),
        ("alpha:nan:0:1", "END must be at least 0"),
        ("alpha:0:0.5:0.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:0.5:1.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:-0.5:1", "0 <= FROM < TO <= 1"),
        ("alpha:0:nan:1", "0 <= FROM < TO <= 1"),
    ],
)
def test_items_of_another_form_are_refused(text, words):
    assert_usage_error(
        lambda: ramps.parse([text]), "--ramps", words, repr(text)
    )


@pytest.mark.parametrize(
    "texts, values, words",
    [
        (
            ["alpha:0:0.5:1", "alpha:1:0.4:0.6"],
            {},
            "begins before the ramp of alpha",
        ),
        # Of what the method has not.
        (["alpha:0:0:1"], {"mixing": "none"}, "--mixing=none"),
        (["jsd_weight:0:0:1"], {"stability": "none"}, "--stability=none"),
    ],
)
def test_ramps_that_cannot_be_are_refused(texts, values, words):
    assert_usage_error(lambda: MethodConfig(ramps=texts, **values), words)
