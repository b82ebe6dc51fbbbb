"""Metrics against the oracle's values and closed forms."""

import numpy as np
import pytest

from noisymix_tf.evaluation import metrics

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
        error = max(tolerance, 1e-6)
        assert tally.rms_calibration_error == pytest.approx(rms, abs=error)
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


def test_bins_are_closed_on_the_right_and_extreme_outputs_stay_finite():
    confidence = np.array([0.0, 0.25, 0.2500001, 0.5, 0.75, 1.0, 1.0000001])
    bins = metrics.calibration_bins(confidence, np.ones(7, bool), num_bins=4)
    assert bins[:, 0].tolist() == [2, 2, 1, 2]
    tally = metrics.tally(np.array([[1e4, -1e4], [-1e4, 1e4]]), [0, 0])
    assert tally.nll == pytest.approx(1e4)
    assert tally.brier == pytest.approx(1.0)
    certain = metrics.tally([[1.0, 0.0]], [1], from_logits=False)
    assert certain.nll == pytest.approx(87.3365, abs=1e-3)


@pytest.mark.parametrize("batch_size", [7, 64])
def test_logits_batches_and_merged_parts_add_up_to_the_same(batch_size):
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, size=[100, 10])
    labels = generator.integers(0, 10, 100)
    probabilities = np.exp(metrics.log_softmax(logits))
    whole = metrics.tally(probabilities, labels, from_logits=False)
    parts = [metrics.Tally(), metrics.Tally()]
    for start in range(0, 100, batch_size):
        part = slice(start, start + batch_size)
        parts[start // batch_size % 2].update(logits[part], labels[part])
    parts[0].merge(parts[1])
    restored = metrics.Tally.restore(100, parts[0].measurements())
    assert restored.measurements() == parts[0].measurements()
    for name in ("n", "correct", "nll", "brier", "ece", "confidence"):
        value = getattr(whole, name)
        assert getattr(restored, name) == pytest.approx(value, rel=1e-12), name
    np.testing.assert_allclose(restored.bins, whole.bins, rtol=1e-12)
