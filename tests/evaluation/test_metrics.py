"""Metrics and corruption errors: oracles, constants and closed forms."""

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.evaluation import corruption_error as ce
from noisymix_tf.evaluation import metrics, resampling
from noisymix_tf.evaluation.metrics import ImageScores

COMMON = corruptions.names("common")


def scores_of(outputs, labels, from_logits=True):
    return ImageScores(ImageScores.of(outputs, labels, from_logits))


@pytest.mark.parametrize("name", ["calibration_probs", "calibration_synthetic"])
def test_the_oracles_scores(golden, name):
    file = golden(f"{name}.npz")
    expected = golden(f"{name.replace('_probs', '')}_expected.json")
    expected = expected.get("subset", expected)
    scores = scores_of(file["probs"], file["labels"], False)
    found = {"n": scores.n, "accuracy": scores.accuracy[0]}
    found["mean_confidence"] = scores.confidence[0]
    found["nll_mean_natural_log"] = scores.nll[0]
    found["brier_sum_over_classes"] = scores.brier[0]
    for n in (10, 15, 20):
        found[f"ece_{n}bins"] = scores.calibration_error(n)[0]
    assert scores.ece[0] == found["ece_15bins"]
    found["rms_ce_equalwidth_15bins"] = scores.rms_calibration_error
    adaptive = scores.adaptive_calibration_error
    found["rms_calib_err_adaptive100_all_bins"] = adaptive
    assert found == pytest.approx({k: expected[k] for k in found}, abs=1e-9)
    # Of equal confidences, which only made-up ones are, the order counts.
    near = 1e-9 if name == "calibration_probs" else 1e-3
    assert scores.aurra == pytest.approx(expected["aurra"], abs=near)
    if name == "calibration_probs":
        bins = scores.bins()
        means = bins[:, 1:] / np.maximum(bins[:, :1], 1)
        wanted = np.array(expected["bins15_count_conf_acc"], float)
        np.testing.assert_array_equal(bins[:, 0], wanted[:, 0])
        np.testing.assert_allclose(means, np.nan_to_num(wanted[:, 1:]))


def test_bins_are_closed_on_the_right_and_scores_finite():
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0, 1.0000001])
    places = metrics.bin_places(confidence, 4)
    assert np.bincount(places).tolist() == [2, 2, 1, 2]
    wrong = scores_of([[1e4, -1e4], [-1e4, 1e4]], [0, 0])
    assert wrong.nll[0] == pytest.approx(1e4)
    assert wrong.brier[0] == pytest.approx(1.0)
    certain = scores_of([[1.0, 0.0]], [1], False)
    assert certain.nll == pytest.approx(87.3365, abs=1e-3)
    # Logits give what their softmax gives.
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(0, 3, [100, 10]), np.arange(100) % 10
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    whole = ImageScores.of(shares, labels, False)
    for name in whole.dtype.names:
        found = ImageScores.of(logits, labels)[name]
        np.testing.assert_allclose(found, whole[name], rtol=1e-9)


def test_balanced_accuracy_says_what_accuracy_hides():
    labels = np.repeat([1, 3], [90, 10])
    always = np.eye(4)[np.ones(100, int)]
    scores = scores_of(always, labels)
    found = scores.accuracy[0], scores.balanced_accuracy[0]
    assert (*found, scores.largest_class) == pytest.approx((0.9, 0.5, 0.9))
    assert scores.class_accuracy == {1: 1.0, 3: 0.0}
    # Of any resampling: the mean over the classes that were drawn.
    always[:5] = np.eye(4)[0]
    metric = scores_of(always, labels).balanced_accuracy[1:]
    for drawn, found in zip(resampling.draws(100), metric, strict=True):
        share = drawn[5:90].sum() / drawn[:90].sum()
        assert found == pytest.approx(share / (1 + drawn[90:].any()))


def test_errors_are_those_of_resampled_images():
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=[400, 3])
    labels = generator.integers(0, 3, 400)
    one = scores_of(outputs, labels)
    usual = np.sqrt(one.accuracy[0] * (1 - one.accuracy[0]) / 400)
    assert resampling.error(one.accuracy) == pytest.approx(usual, rel=0.2)
    outputs[:8] = -outputs[:8]
    other = scores_of(outputs, labels)
    assert resampling.error(one.accuracy - other.accuracy) < 0.5 * usual
    # Of other images they are independent.
    apart = ImageScores(other.rows, "others").accuracy
    gap = resampling.error(one.accuracy - apart)
    assert gap == pytest.approx(np.sqrt(2) * usual, rel=0.25)
    gaps = one.rows["confidence"] - one.rows["right"]
    bins = metrics.bin_places(one.rows["confidence"], 15)
    for drawn, ece in zip(resampling.draws(400), one.ece[1:], strict=True):
        wanted = np.abs(np.bincount(bins, drawn * gaps)).sum() / 400
        assert ece == pytest.approx(wanted)


# AugMix's code has the means of AlexNet's errors (imagenet.py).
MEANS = "886428 894468 922640 819880 826268 785948 798360 866816 826572 819324 "
MEANS += "564592 853204 646056 717840 606500"


def corruption_errors(ours, reference, *clean, severities=SEVERITIES):
    means = (ce.mean_errors(errors, severities) for errors in (ours, reference))
    return ce.ratios(*means, *clean)


def test_corruption_errors_of_alexnet_and_by_hand():
    assert tuple(ce.ALEXNET_ERRORS) == COMMON
    for errors, mean in zip(ce.ALEXNET_ERRORS.values(), MEANS.split()):
        assert np.mean(errors) == pytest.approx(float(f"0.{mean}"), abs=1e-6)
    assert tuple(ce.ALEXNET_EXTRA_MEAN_ERRORS) == corruptions.names("extra")
    errors = {**ce.ALEXNET_ERRORS, "spatter": (0.0,) * 5}
    found = corruption_errors(errors, "alexnet")
    assert found == dict.fromkeys(COMMON, 100.0) | {"spatter": 0.0}
    ours = {"fog": {5: 0.5, 4: 0.4, 1: 0.1, 2: 0.2, 3: 0.3}, "snow": (0.0,) * 5}
    reference = {"fog": (0.3, 0.4, 0.6, 0.8, 0.9), "snow": (0.2,) * 5}
    # Sums first: 1.5 / 3.0, not the mean of the five ratios.
    errors = corruption_errors(ours, reference)
    assert errors == {"fog": pytest.approx(50), "snow": 0.0}
    # (1.5 - 5 x 0.1) / (3.0 - 5 x 0.1), and snow (0 - 0.5) / (1 - 0.5).
    relative = corruption_errors(ours, reference, 0.1, 0.1)
    assert relative == pytest.approx({"fog": 40, "snow": -100})
    some = corruption_errors(ours, reference, severities=(1, 3))
    assert some["fog"] == pytest.approx(100 * 0.4 / 0.9)
    # What cannot be divided is left out.
    assert corruption_errors({"snow": (0.5,) * 5}, reference, 0, 0.2) == {}
    for own, base, more in (
        ({"snow": (0.5,) * 5}, {"fog": (0.5,) * 5}, {}),
        ({"snow": {1: 0.5}}, reference, {}),
        ({"fog": (0.5,) * 5}, {"fog": {4: 0.5}}, {"severities": (4, 5)}),
        ({"spatter": (0.5,) * 5}, "alexnet", {"severities": (1, 2)}),
        ({"blot": (0.5,) * 5}, "alexnet", {}),
    ):
        assert corruption_errors(own, base, **more) == {}
