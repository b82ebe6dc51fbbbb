"""Metrics and corruption errors: oracles, constants and closed forms."""

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import corruption_error as ce
from noisymix_tf.evaluation import metrics
from support.usage import assert_usage_error

COMMON = corruptions.names("common")

# Made-up confidences lie on the edges of bins, where rounding decides.
ORACLES = [("calibration_probs", 1e-9), ("calibration_synthetic", 1e-3)]


@pytest.mark.parametrize("name, tolerance", ORACLES)
def test_the_oracles_scores(golden, name, tolerance):
    file = golden(f"{name}.npz")
    expected = golden(f"{name.replace('_probs', '')}_expected.json")
    expected = expected.get("subset", expected)
    arguments = file["probs"], file["labels"], False
    for num_bins in (10, 15, 20):
        tally = metrics.tally(*arguments, num_bins)
        rms = expected[f"rms_ce_equalwidth_{num_bins}bins"]
        near = pytest.approx(rms, abs=max(tolerance, 1e-6))
        assert tally.rms_calibration_error == near
        ece = expected[f"ece_{num_bins}bins"]
        assert tally.ece == pytest.approx(ece, abs=tolerance)
        assert metrics.ece(*arguments, num_bins) == tally.ece
    assert tally.n == expected["n"]
    assert tally.accuracy == pytest.approx(expected["accuracy"], abs=1e-12)
    assert metrics.accuracy(*arguments[:2]) == tally.accuracy
    nll = expected["nll_mean_natural_log"]
    assert metrics.nll(*arguments) == pytest.approx(nll, rel=1e-9)
    brier = expected["brier_sum_over_classes"]
    assert metrics.brier(*arguments) == pytest.approx(brier, rel=1e-9)
    if name == "calibration_probs":
        bins = metrics.tally(*arguments).bins
        means = bins[:, 1:] / np.maximum(bins[:, :1], 1)
        wanted = np.array(expected["bins15_count_conf_acc"], float)
        np.testing.assert_array_equal(bins[:, 0], wanted[:, 0])
        np.testing.assert_allclose(means, np.nan_to_num(wanted[:, 1:]))


def test_bins_are_closed_on_the_right_scores_finite_and_parts_add_up():
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0, 1.0000001])
    bins = metrics.calibration_bins(confidence, np.ones(7, bool), num_bins=4)
    assert bins[:, 0].tolist() == [2, 2, 1, 2]
    tally = metrics.tally(np.array([[1e4, -1e4], [-1e4, 1e4]]), [0, 0])
    assert tally.nll == pytest.approx(1e4)
    assert tally.brier == pytest.approx(1.0)
    certain = metrics.tally([[1.0, 0.0]], [1], from_logits=False)
    assert certain.nll == pytest.approx(87.3365, abs=1e-3)
    # Logits, batches and merged parts add up to the same.
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, size=[100, 10])
    labels = generator.integers(0, 10, 100)
    probabilities = np.exp(metrics.log_softmax(logits))
    whole = metrics.tally(probabilities, labels, from_logits=False)
    parts = [metrics.Tally(), metrics.Tally()]
    for k in range(15):
        part = slice(7 * k, 7 * k + 7)
        parts[k % 2].update(logits[part], labels[part])
    parts[0].merge(parts[1])
    restored = metrics.Tally.restore(100, parts[0].measurements())
    assert restored.measurements() == parts[0].measurements()
    for name in ("n", "correct", "nll", "brier", "ece", "confidence"):
        value = getattr(whole, name)
        assert getattr(restored, name) == pytest.approx(value, rel=1e-12), name
    np.testing.assert_allclose(restored.bins, whole.bins, rtol=1e-12)


FLAT = {name: (0.5,) * 5 for name in COMMON}
FOG, SOME = {"fog": (0.5,) * 5}, {"fog": dict.fromkeys((1, 2, 3, 5), 0.5)}


def test_corruption_errors_of_alexnet_and_by_hand():
    assert tuple(ce.ALEXNET_ERRORS) == COMMON
    for name, errors in ce.ALEXNET_ERRORS.items():
        mean = ce.ALEXNET_MEAN_ERRORS[name]
        assert np.mean(errors) == pytest.approx(mean, abs=1e-6), name
    assert tuple(ce.ALEXNET_EXTRA_MEAN_ERRORS) == corruptions.names("extra")
    # Extra corruptions are in no mean.
    errors = {**ce.ALEXNET_ERRORS, "spatter": (0.0,) * 5}
    assert ce.corruption_errors(errors)["spatter"] == 0.0
    assert ce.mean_corruption_error(errors) == 100.0
    # By hand.
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


mean, plain = ce.mean_corruption_error, ce.corruption_errors
relative, cells = ce.relative_corruption_errors, ce.errors_of_cells
LACKING = {name: row for name, row in FLAT.items() if name != "snow"}


def test_bad_input():
    for call, words in (
        (lambda: mean(LACKING), "the errors lack snow"),
        (lambda: mean({**FLAT, **SOME}), "The errors lack fog at severity 4"),
        (lambda: mean(FLAT, LACKING), "The reference lacks snow"),
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
    ):
        assert_usage_error(call, words)
