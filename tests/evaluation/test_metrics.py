"""Metrics against the oracle's values and closed forms."""

import numpy as np
import pytest

from noisymix_tf.evaluation import metrics


@pytest.fixture(params=["calibration_probs", "calibration_synthetic"])
def calibration(request, golden):
    """(probabilities, labels, expected, tolerance of ECE)."""
    file = golden(f"{request.param}.npz")
    if request.param == "calibration_probs":
        expected = golden("calibration_expected.json")["subset"]
        return file["probs"], file["labels"], expected, 1e-9
    # Confidences lie exactly on the edges of bins.
    expected = golden("calibration_synthetic_expected.json")
    return file["probs"], file["labels"], expected, 1e-3


def test_oracle_scores(calibration):
    probabilities, labels, expected, _ = calibration
    tally = metrics.tally(probabilities, labels, from_logits=False)
    assert tally.n == expected["n"]
    assert tally.accuracy == pytest.approx(expected["accuracy"], abs=1e-12)
    nll = expected["nll_mean_natural_log"]
    assert tally.nll == pytest.approx(nll, rel=1e-9)
    brier = expected["brier_sum_over_classes"]
    assert tally.brier == pytest.approx(brier, rel=1e-9)


@pytest.mark.parametrize("num_bins", [10, 15, 20])
def test_oracle_calibration_error(calibration, num_bins):
    probabilities, labels, expected, tolerance = calibration
    ece = metrics.ece(probabilities, labels, False, num_bins)
    assert ece == pytest.approx(expected[f"ece_{num_bins}bins"], abs=tolerance)


def test_oracle_bin_table(golden):
    file = golden("calibration_probs.npz")
    tally = metrics.tally(file["probs"], file["labels"], from_logits=False)
    expected = golden("calibration_expected.json")["subset"]
    for row, (count, confidence, accuracy) in zip(
        tally.bins, expected["bins15_count_conf_acc"]
    ):
        assert row[0] == count
        if count:
            assert row[1] / count == pytest.approx(confidence, abs=1e-9)
            assert row[2] / count == pytest.approx(accuracy, abs=1e-9)


def test_bins_are_closed_on_the_right():
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0, 1.0000001])
    bins = metrics.calibration_bins(confidence, np.ones(7, bool), num_bins=4)
    assert bins[:, 0].tolist() == [2, 2, 1, 2]


def test_closed_forms():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    labels = np.array([0, 0])
    tally = metrics.tally(probabilities, labels, from_logits=False)
    assert tally.accuracy == 0.5
    assert tally.nll == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert tally.brier == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    # One image in each of two bins: |0.8 - 1| / 2 + |0.6 - 0| / 2.
    assert tally.ece == pytest.approx(0.4)


def test_shorthands_are_the_tally():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=[50, 7])
    labels = generator.integers(0, 7, 50)
    tally = metrics.tally(logits, labels)
    assert metrics.accuracy(logits, labels) == tally.accuracy
    assert metrics.nll(logits, labels) == tally.nll
    assert metrics.brier(logits, labels) == tally.brier
    assert metrics.ece(logits, labels) == tally.ece


def test_logits_and_probabilities_agree():
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, size=[200, 10])
    labels = generator.integers(0, 10, 200)
    probabilities = np.exp(metrics.log_softmax(logits))
    one = metrics.tally(logits, labels).measurements()
    other = metrics.tally(probabilities, labels, False).measurements()
    assert one["correct"] == other["correct"]
    assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-12)
    assert one["brier_sum"] == pytest.approx(other["brier_sum"], rel=1e-12)
    np.testing.assert_allclose(one["bins"], other["bins"], rtol=1e-12)


def test_extreme_outputs_stay_finite():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    tally = metrics.tally(logits, [0, 0])
    assert tally.nll == pytest.approx(1e4)
    assert tally.brier == pytest.approx(1.0)
    certain = metrics.tally([[1.0, 0.0]], [1], from_logits=False)
    assert certain.nll == pytest.approx(87.3365, abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_and_merging_add_up(batch_size):
    generator = np.random.default_rng(2)
    logits = generator.normal(size=[100, 5])
    labels = generator.integers(0, 5, 100)
    whole = metrics.tally(logits, labels)
    parts = [metrics.Tally(), metrics.Tally()]
    for start in range(0, 100, batch_size):
        part = slice(start, start + batch_size)
        parts[start // batch_size % 2].update(logits[part], labels[part])
    parts[0].merge(parts[1])
    _assert_equal(parts[0], whole)


def test_measurements_restore():
    generator = np.random.default_rng(3)
    tally = metrics.tally(
        generator.normal(size=[30, 4]), generator.integers(0, 4, 30)
    )
    restored = metrics.Tally.restore(30, tally.measurements())
    _assert_equal(restored, tally)
    assert restored.measurements() == tally.measurements()


def _assert_equal(one, other):
    assert one.n == other.n
    assert one.correct == other.correct
    assert one.nll == pytest.approx(other.nll, rel=1e-12)
    assert one.brier == pytest.approx(other.brier, rel=1e-12)
    assert one.ece == pytest.approx(other.ece, rel=1e-12)
