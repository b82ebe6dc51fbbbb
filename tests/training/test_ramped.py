"""Levels that flags ramp over a training."""

import json

import pytest

from noisymix_tf.config import MethodConfig, ramps
from noisymix_tf.training import ramped
from support import door_processes
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "texts, start, expected",
    [
        ("alpha:0:0.5:1", 2.0, {0: 2, 100: 2, 125: 1.5, 150: 1, 200: 0}),
        # Ramps of a level go on from each other, with a plateau in between.
        (
            "jsd_weight:12:0.1:0.25 jsd_weight:3:0.5:0.75 alpha:0:0.5:1",
            0.0,
            {0: 0, 20: 0, 35: 6, 50: 12, 99: 12, 125: 7.5},
        ),
    ],
)
def test_a_level_goes_evenly_between_shares(texts, start, expected):
    """Each level for itself."""
    name, texts = texts.split(":")[0], texts.split()
    callback = ramped.schedule(MethodConfig(ramps=texts, **{name: start}), 200)
    levels = callback._functions  # What it calls with each step.
    assert set(levels) == {text.split(":")[0] for text in texts}
    found = {step: levels[name](step) for step in expected}
    assert found == pytest.approx(expected)


FLAGS = """--flagfile=flags/data/digits.flags --method=baseline --model=tiny
--ramps=additive_noise:0.4:0.5:1 --taps=normalize --train_examples=100
--test_examples=50 --batch_size=25 --epochs=4 --suites=clean --notensorboard
--noexport --jit_compile=false"""


def test_a_run_follows_its_flags(tmp_path):
    """The log has the values of each epoch's last step."""
    assert ramped.schedule(MethodConfig(), 200) is None
    run = [*FLAGS.split(), f"--output_dir={tmp_path / 'run'}"]
    door_processes.run("support.tiny_network", *run)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    levels = [json.loads(line)["additive_noise"] for line in lines]
    assert levels == pytest.approx([0.0, 0.0, 0.4 * 3 / 8, 0.4 * 7 / 8])


def test_ramps_that_cannot_be_are_refused():
    for texts, words in (
        ("beta:0:0:1", "begins with none of alpha, additive_noise"),
        ("alpha:0:1 alpha:zero:0:1", "must be NAME:END:FROM:TO"),
        ("alpha:-1:0:1 alpha:inf:0:1", "END must be at least 0"),
        ("alpha:0:0.5:0.5 alpha:0:0.5:1.5", "0 <= FROM < TO <= 1"),
        ("alpha:0:-0.5:1 alpha:0:nan:1", "0 <= FROM < TO <= 1"),
    ):
        for text in texts.split():
            hints = "--ramps", words, repr(text)
            assert_usage_error(lambda text=text: ramps.parse([text]), *hints)
    # Two that overlap, and those of what the method has not.
    for texts, values, words in (
        (
            "alpha:0:0.5:1 alpha:1:0.4:0.6",
            {},
            "begins before the ramp of alpha",
        ),
        ("alpha:0:0:1", {"mixing": "none"}, "--mixing=none"),
        ("jsd_weight:0:0:1", {"stability": "none"}, "--stability=none"),
    ):
        values |= {"ramps": texts.split()}
        assert_usage_error(lambda v=values: MethodConfig(**v), words)
    MethodConfig(ramps=["alpha:0:0.5:1", "jsd_weight:1:0.4:0.6"])
