"""Severities between those of the benchmark."""

import itertools

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import selection
from noisymix_tf.corruptions.core import between
from support.corruption_oracle import photographs
from support.usage import assert_usage_error

NAMES = corruptions.names()


def test_constants_go_evenly_from_one_to_the_next():
    assert between(0.2, 0.6, 0.25) == pytest.approx(0.3)
    assert between((8, 0.5, "water"), (11, 1, "mud"), 0.5) == (10, 0.75, "mud")
    entry = corruptions.CORRUPTIONS.get("gaussian_noise")
    assert entry.constant("imagenet", 4.5) == pytest.approx(0.32)
    assert entry.constant("imagenet", 4) == 0.26
    assert entry.constant("imagenet", 0.5) == entry.constant("imagenet", 1)


@pytest.mark.parametrize("table", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", NAMES)
def test_every_corruption_can_be_had_between(name, table):
    images = photographs(2, 32, 32)
    made = {
        s: corruptions.corrupt(images, name, s, table=table).astype(int)
        for s in (0.5, 1, 2.5, 4, 4.25, 5)
    }
    # Half of severity 1, rounded; and something between at the others.
    close = np.abs(made[0.5] - (images + (made[1] - images) / 2))
    assert close.max() <= 0.5
    assert np.abs(made[4.25] - images).mean() > 0
    again = corruptions.corrupt(images, name, 4.0, table=table)
    np.testing.assert_array_equal(again, made[4])


def test_noise_and_light_grow_with_severity_and_share_draws():
    images = np.full([1, 32, 32, 3], 100, np.uint8)

    def strength(name, severity):
        made = corruptions.corrupt(images, name, severity, table="imagenet")
        return np.abs(made.astype(float) - 100).mean()

    for name in ("gaussian_noise", "impulse_noise", "brightness"):
        found = [strength(name, s) for s in np.arange(1, 10) / 2.0]
        assert all(b > a for a, b in itertools.pairwise(found))
    noise = [
        corruptions.corrupt(images, "gaussian_noise", s).astype(float) - 100
        for s in (3, 3.5)
    ]
    assert np.corrcoef(*(n.ravel() for n in noise))[0, 1] > 0.99


def test_words_and_ranges_of_severities():
    levels = selection.severity_levels
    assert levels((3, 1, 3)) == (1, 3) and levels(["2", 2.0]) == (2,)
    halves = levels(["0.5:5:0.5"])
    assert halves == (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5)
    assert [type(s) for s in halves[:2]] == [float, int]
    assert levels(["0.1:0.35:0.1", 5]) == (0.1, 0.2, 0.3, 5)
    for wrong in (
        0,
        6,
        -1.5,
        5.5,
        True,
        "loud",
        "1:2",
        "1:5:0",
        "5:1:1",
        "1:5:1e-9",
        float("nan"),
    ):
        assert_usage_error(lambda w=wrong: levels([w]), repr(wrong)[:4])
    images = photographs(1, 32, 32)
    assert_usage_error(lambda: corruptions.corrupt(images, "fog", 0.0), "0")
