"""The calibration section: the oracle's values, and means of cells."""

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import metrics
from noisymix_tf.evaluation.report import Report
from support.evaluation_toys import cell, clean_cell, sums

COMMON = corruptions.names("common")


def oracle(golden, name):
    file = golden(f"{name}.npz")
    expected = golden(f"{name.replace('_probs', '')}_expected.json")
    tally = metrics.tally(file["probs"], file["labels"], from_logits=False)
    return tally, expected.get("subset", expected)


def figures_of(tally):
    made = {clean_cell(n=tally.n): tally.measurements()}
    return Report(made).figures


def test_oracle(golden):
    """2,000 real rows: the report's figures to 1e-6."""
    tally, expected = oracle(golden, "calibration_probs")
    figures = figures_of(tally)
    for name, wanted in (
        ("clean_ece", "ece_15bins"),
        ("clean_rms_calibration_error", "rms_ce_equalwidth_15bins"),
        ("clean_nll", "nll_mean_natural_log"),
        ("clean_brier", "brier_sum_over_classes"),
    ):
        assert figures[f"calibration/{name}"] == pytest.approx(
            expected[wanted], abs=1e-6
        )
    assert figures["clean/accuracy"] == expected["accuracy"]


@pytest.mark.parametrize("num_bins", [10, 15, 20])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    # Made-up rows lie on the edges of bins, where rounding decides.
    [("calibration_probs", 1e-6), ("calibration_synthetic", 1e-3)],
)
def test_oracle_rms_error(golden, name, tolerance, num_bins):
    file = golden(f"{name}.npz")
    _, expected = oracle(golden, name)
    tally = metrics.tally(file["probs"], file["labels"], False, num_bins)
    wanted = expected[f"rms_ce_equalwidth_{num_bins}bins"]
    assert tally.rms_calibration_error == pytest.approx(wanted, abs=tolerance)


def test_oracle_diagram(golden):
    tally, expected = oracle(golden, "calibration_probs")
    report = Report({clean_cell(n=tally.n): tally.measurements()})
    (chart,) = {s.name: s for s in report.sections}["calibration"].charts
    assert chart.error == pytest.approx(expected["ece_15bins"], abs=1e-6)
    for row, wanted in zip(chart.bins, expected["bins15_count_conf_acc"]):
        assert row[0] == wanted[0]
        if row[0]:
            assert row[1] / row[0] == pytest.approx(wanted[1], abs=1e-6)
            assert row[2] / row[0] == pytest.approx(wanted[2], abs=1e-6)


def suite_c(accuracies, **fields):
    return {
        cell("c", name, severity, **fields): sums(accuracy)
        for name, row in accuracies.items()
        for severity, accuracy in enumerate(row, start=1)
    }


def test_the_mean_of_errors_is_no_error_of_the_mean():
    """Over- and under-confident cells do not cancel: 75 bin tables, not one.

    Confidence is 0.95 everywhere; half of the cells are always right.
    """
    made = suite_c({name: (1.0, 0.9, 1.0, 0.9, 1.0) for name in COMMON})
    report = Report(made)
    figures = report.figures
    errors = (3 * 0.05 + 2 * 0.05) / 5
    assert figures["calibration/c_mean_ece"] == pytest.approx(errors)
    rms = figures["calibration/c_mean_rms_calibration_error"]
    assert rms == pytest.approx(errors)
    # Pooled, accuracy 0.96 and confidence 0.95 would look calibrated.
    pooled = metrics.Tally()
    for measurements in made.values():
        pooled.merge(metrics.Tally.restore(200, measurements))
    assert pooled.ece == pytest.approx(0.01)
    section = {s.name: s for s in report.sections}["calibration"]
    assert section.table.rows["fog"][0] == pytest.approx(errors)
    (chart,) = section.charts
    assert chart.error == pytest.approx(errors)
    assert figures["c/mean_ece"] == pytest.approx(errors)


def test_extra_corruptions_are_in_no_mean():
    common = {name: (0.9,) * 5 for name in COMMON}
    extra = {name: (0.1,) * 5 for name in corruptions.names("extra")}
    figures = Report(suite_c({**common, **extra})).figures
    assert figures["calibration/c_mean_ece"] == pytest.approx(0.05)
    assert figures["calibration/c_extra_mean_ece"] == pytest.approx(0.85)


def test_sources_are_apart():
    rows = {name: (0.9,) * 5 for name in COMMON}
    worse = {name: (0.5,) * 5 for name in COMMON}
    report = Report({**suite_c(rows), **suite_c(worse, source="released")})
    figures = report.figures
    assert figures["calibration/c_mean_ece"] == pytest.approx(0.05)
    assert figures["calibration/c_released_mean_ece"] == pytest.approx(0.45)
    section = {s.name: s for s in report.sections}["calibration"]
    assert section.table.rows["fog"][0] == pytest.approx(0.05)
    assert section.table.rows["fog (released)"][0] == pytest.approx(0.45)
    assert len(section.table.rows) == 30
    assert "mean ECE, released common corruptions (75 cells)" in report.text()


def test_every_number_of_images_is_said():
    made = {
        clean_cell(n=50): sums(0.9, 50),
        **suite_c({"fog": (0.9,) * 5}),
    }
    sections = Report(made).as_dict()["sections"]
    assert "50 or 200 images per cell" in sections["calibration"]["origin"]


def test_other_suites_are_not_in_it():
    made = {
        clean_cell(): sums(0.9),
        cell("fgsm", None, 0, setting="linf eps=4/255 log_odds"): sums(0.0),
    }
    section = {s.name: s for s in Report(made).sections}["calibration"]
    assert list(section.table.rows) == ["clean"]
    assert "calibration" not in {
        s.name
        for s in Report(
            {cell("fgsm", None, 0, setting="x"): sums(0.1)}
        ).sections
    }


def test_columns_by_hand():
    made = {clean_cell(): sums(0.7, confidence=0.85)}
    section = {s.name: s for s in Report(made).sections}["calibration"]
    row = dict(zip(section.table.columns, section.table.rows["clean"]))
    assert row == pytest.approx(
        {
            "ECE": 0.15,
            "RMS": 0.15,
            "NLL": 0.5,
            "Brier": 0.25,
            "confidence": 0.85,
            "accuracy": 0.7,
        }
    )
    assert np.isfinite(list(row.values())).all()
