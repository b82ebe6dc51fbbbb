"""Corruption errors: AlexNet's constants, hand-made errors, bad input."""

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import corruption_error as ce
from support.usage import assert_usage_error

COMMON = corruptions.names("common")
FLAT = {name: (0.5,) * 5 for name in COMMON}
FOG, SOME = {"fog": (0.5,) * 5}, {"fog": dict.fromkeys((1, 2, 3, 5), 0.5)}


def test_published_constants_agree_with_each_other():
    assert tuple(ce.ALEXNET_ERRORS) == COMMON
    for name, errors in ce.ALEXNET_ERRORS.items():
        mean = ce.ALEXNET_MEAN_ERRORS[name]
        assert np.mean(errors) == pytest.approx(mean, abs=1e-6), name
    assert tuple(ce.ALEXNET_EXTRA_MEAN_ERRORS) == corruptions.names("extra")
    # Extra corruptions are in no mean.
    errors = {**ce.ALEXNET_ERRORS, "spatter": (0.0,) * 5}
    assert ce.corruption_errors(errors)["spatter"] == 0.0
    assert ce.mean_corruption_error(errors) == 100.0


def test_by_hand():
    ours = {"fog": {5: 0.5, 4: 0.4, 1: 0.1, 2: 0.2, 3: 0.3}, "snow": (0.0,) * 5}
    reference = {"fog": (0.3, 0.4, 0.6, 0.8, 0.9), "snow": (0.2,) * 5}
    errors = ce.corruption_errors(ours, reference)
    # Sums first: 1.5 / 3.0, not the mean of the five ratios.
    assert errors == {"fog": pytest.approx(50), "snow": 0.0}
    # (1.5 - 5 x 0.1) / (3.0 - 5 x 0.1), and snow (0 - 0.5) / (1 - 0.5).
    relative = ce.relative_corruption_errors(ours, 0.1, reference, 0.1)
    assert relative == pytest.approx({"fog": 40, "snow": -100})
    some = ce.corruption_errors(ours, reference, severities=(1, 3))
    assert some["fog"] == pytest.approx(100 * 0.4 / 0.9)


def without(name):
    return {c: row for c, row in FLAT.items() if c != name}


mean, plain = ce.mean_corruption_error, ce.corruption_errors
relative, cells = ce.relative_corruption_errors, ce.errors_of_cells


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: mean(without("frost")), "the errors lack frost"),
        (lambda: mean({**FLAT, **SOME}), "The errors lack fog at severity 4"),
        (lambda: mean(FLAT, without("snow")), "The reference lacks snow"),
        (lambda: plain({"fog": (0.5,) * 4}), "4 errors"),
        (lambda: plain({"fog": (50.0,) * 5}), "50.0"),
        (lambda: plain({"fog": (None,) * 5}), "None"),
        (lambda: plain({"blot": (0.5,) * 5}), "'blot'"),
        (lambda: plain(FOG, "vgg"), "'vgg'"),
        (lambda: plain(FOG, {"fog": (0.0,) * 5}), "fog"),
        (lambda: plain(FOG, severities=()), "()"),
        (lambda: plain(FOG, severities=(0, 1)), "(0, 1)"),
        (lambda: plain({"spatter": (0.5,) * 5}, severities=(1, 2)), "spatter"),
        (lambda: relative(FOG, 0.1, FOG), "The reference's clean error"),
        (lambda: relative(FOG, 10, FOG, 0.1), "The clean error"),
        (lambda: relative(FOG, 0.1, FOG, 0.5), "fog"),
        (lambda: relative(FOG, 0.1, "vgg"), "'vgg'"),
        (lambda: cells({"fog": {"1": {"ece": 0.1}}}), "accuracy"),
        (lambda: cells({"fog": {"one": {"accuracy": 1}}}), "one"),
        (lambda: cells({"fog": [0.1]}), "cells"),
    ],
)
def test_bad_input(call, words):
    assert_usage_error(call, words)
