"""Levels that flags ramp over a training."""

import json

import pytest

from noisymix_tf.config import MethodConfig, ramps
from noisymix_tf.training import ramped
from support import door_processes
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "texts, values, expected",
    [
        (
            ["alpha:0:0.5:1"],
            {"alpha": 2.0},
            {"alpha": {0: 2, 100: 2, 125: 1.5, 150: 1, 200: 0}},
        ),
        # Ramps of a level go on from each other, with a plateau in between.
        (
            ["jsd_weight:12:0.1:0.25", "jsd_weight:3:0.5:0.75"],
            {"jsd_weight": 0.0},
            {"jsd_weight": {0: 0, 20: 0, 35: 6, 50: 12, 99: 12, 125: 7.5}},
        ),
        # Levels move each for itself.
        (
            ["additive_noise:1:0:1", "multiplicative_noise:0:0:0.5"],
            {},
            {
                "additive_noise": {0: 0.5, 100: 0.75, 200: 1},
                "multiplicative_noise": {50: 0.25, 150: 0},
            },
        ),
    ],
)
def test_a_level_goes_evenly_between_shares(texts, values, expected):
    callback = ramped.schedule(MethodConfig(ramps=texts, **values), 200)
    levels = callback._functions  # What it calls with each step.
    assert set(levels) == set(expected)
    for name, by_step in expected.items():
        found = {step: levels[name](step) for step in by_step}
        assert found == pytest.approx(by_step)


def test_a_run_follows_its_flags(tmp_path):
    """The log has the values of each epoch's last step."""
    assert ramped.schedule(MethodConfig(), 200) is None
    door_processes.run(
        "support.tiny_network",
        *"--flagfile=flags/data/digits.flags --method=baseline".split(),
        *"--ramps=additive_noise:0.4:0.5:1 --model=tiny".split(),
        *"--taps=normalize --train_examples=100 --test_examples=50".split(),
        *"--batch_size=25 --epochs=4 --suites=clean".split(),
        *"--notensorboard --noexport --jit_compile=false".split(),
        f"--output_dir={tmp_path / 'run'}",
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    levels = [json.loads(line)["additive_noise"] for line in lines]
    assert levels == pytest.approx([0.0, 0.0, 0.4 * 3 / 8, 0.4 * 7 / 8])


def test_ramps_that_cannot_be_are_refused():
    for text, words in (
        ("beta:0:0:1", "begins with none of alpha, additive_noise"),
        ("alpha:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:zero:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:-1:0:1", "END must be at least 0"),
        ("alpha:inf:0:1", "END must be at least 0"),
        ("alpha:0:0.5:0.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:0.5:1.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:-0.5:1", "0 <= FROM < TO <= 1"),
        ("alpha:0:nan:1", "0 <= FROM < TO <= 1"),
    ):
        assert_usage_error(
            lambda text=text: ramps.parse([text]), "--ramps", words, repr(text)
        )
    overlap = ["alpha:0:0.5:1", "alpha:1:0.4:0.6"]
    for texts, values, words in (
        (overlap, {}, "begins before the ramp of alpha"),
        # Of what the method has not.
        (["alpha:0:0:1"], {"mixing": "none"}, "--mixing=none"),
        (["jsd_weight:0:0:1"], {"stability": "none"}, "--stability=none"),
    ):
        assert_usage_error(
            lambda t=texts, v=values: MethodConfig(ramps=t, **v), words
        )
    MethodConfig(ramps=["alpha:0:0.5:1", "jsd_weight:1:0.4:0.6"])
