"""The section of the corruptions: published figures out of published cells."""

import json
import types

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import corruption_error
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import published
from support.evaluation_toys import clean_cell, suite_c, sums
from support.usage import assert_usage_error

COMMON = published.COMMON
ALEXNET = {
    name: 1 - np.array(errors)
    for name, errors in corruption_error.ALEXNET_ERRORS.items()
}


def report_of(rows, clean=None, reference=None, drop=(), **fields):
    records = {} if clean is None else {clean_cell(): sums(clean)}
    cells = suite_c(rows, **fields)
    records |= {c: m for c, m in cells.items() if c.severity not in drop}
    return Report(records, reference=reference)


def flat(accuracy, names=COMMON, **others):
    return {**{name: (accuracy,) * 5 for name in names}, **others}


def section_of(report, name="c"):
    return {section.name: section for section in report.sections}[name]


def saved(report, path):
    path.write_text(json.dumps(report.as_dict()))
    return Reference.of(str(path))


def test_the_published_means():
    rows = published.shares()
    # Severities are sorted, whatever the order of the lines.
    report = Report(dict(reversed(suite_c(rows).items())))
    mean = 100 * report.figures["c/mean_accuracy"]
    assert mean == pytest.approx(92.778, abs=0.002)
    section = section_of(report)
    assert section.table.columns == ("1", "2", "3", "4", "5", "mean")
    for name, wanted in zip(COMMON, published.CIFAR10_MEANS):
        *row, average = section.table.rows[name]
        assert row == pytest.approx(rows[name])
        assert 100 * average == pytest.approx(wanted, abs=0.006)
    # No reference, no mCE; all there, nothing to warn of.
    assert not any("mce" in name for name in report.figures)
    assert section.notes == ()
    options = {"reference": alexnet(), "source": "released"}
    report = report_of(published.imagenet(), **options)
    figures = report.figures
    mean, quiet = (
        100 * figures[f"c_released/mean_accuracy{part}"]
        for part in ("", "_without_noise")
    )
    found = mean, quiet, figures["c_released/mce"]
    assert found == pytest.approx(published.IMAGENET_FIGURES, abs=0.01)
    assert "without noise (12 of 15)" in report.text()
    assert section_of(report, "c_released").notes == ()


def test_alexnet_is_100_per_cent_of_itself_on_released_files():
    clean = 1 - corruption_error.ALEXNET_CLEAN_ERROR
    report = report_of(ALEXNET, clean, alexnet(), source="released")
    table = section_of(report, "c_released").table
    assert table.columns[-1] == "CE"
    found = [row[-1] for row in table.rows.values()]
    for key in ("c_released/mce", "c_released/relative_mce"):
        found.append(report.figures[key])
    assert found == pytest.approx([100.0] * 17)
    files = {"seed": 1, "generator": "2-imagenet", "source": "released"}
    for name, fields in (("c", {}), ("c_written", files)):
        report = report_of(ALEXNET, None, alexnet(), **fields)
        assert f"{name}/mce" in report.figures
        (note,) = section_of(report, name).notes
        assert "these images were generated" in note


def test_alexnet_is_the_default_for_a_thousand_classes_only():
    many, fewer = (types.SimpleNamespace(num_classes=k) for k in (1000, 999))
    assert Reference.of(None, many) == alexnet()
    assert Reference.of(None, fewer) is None
    words = "this dataset has 999"
    assert_usage_error(lambda: Reference.of("alexnet", fewer), words)


def test_extra_corruptions_are_in_no_mce_but_have_a_ce():
    rows = flat(0.1, corruptions.names("extra"))
    report = report_of({**flat(0.8), **rows}, None, alexnet())
    alone = report_of(flat(0.8), None, alexnet()).figures["c/mce"]
    assert report.figures["c/mce"] == alone
    assert "c_extra/mce" not in report.figures
    extra = section_of(report, "c_extra")
    assert any("in no mean" in note for note in extra.notes)
    for name, mean in corruption_error.ALEXNET_EXTRA_MEAN_ERRORS.items():
        assert extra.table.rows[name][-1] == pytest.approx(90 / mean)


def test_against_the_report_of_another_run(tmp_path):
    """Sums over severities first, then the ratio, then the mean."""
    base, ours, mce, relative = {}, {}, [], []
    for place, name in enumerate(COMMON):
        base[name] = (0.9, 0.8, 0.7, 0.6, 0.5 - 0.01 * place)
        ours[name] = (0.95, 0.9, 0.8, 0.8, 0.7 - 0.02 * place)
        above, below = 5 - sum(ours[name]), 5 - sum(base[name])
        mce.append(100 * above / below)
        relative.append(100 * (above - 5 * 0.02) / (below - 5 * 0.08))
    path = tmp_path / "report.json"
    report = report_of(ours, 0.98, saved(report_of(base, 0.92), path))
    assert report.figures["c/mce"] == pytest.approx(np.mean(mce))
    assert report.figures["c/relative_mce"] == pytest.approx(np.mean(relative))
    assert report.as_dict()["reference"] == str(path)
    assert f"mCE, {path} = 100" in report.text()
    means = {name: np.mean(row) for name, row in base.items()}
    assert section_of(report).charts[0].reference == pytest.approx(means)


HALF, FEW = flat(0.5), (4, 5)


@pytest.mark.parametrize(
    "base, ours, mce, words",
    [
        ([flat(0.5, COMMON[:14])], {}, None, "divide by for jpeg_compression"),
        ([flat(0.5, fog=(1.0,) * 5)], {}, None, "divide by for fog"),
        ([HALF, None, None, FEW], {}, None, "gaussian_noise, shot_noise"),
        ([HALF, None, None, FEW], {"drop": FEW}, 50, "severities 1, 2, 3 only"),
        ([HALF], {"source": "released"}, None, "says nothing of these cells"),
        ([HALF], {"n": 50}, 50, "200 images per cell, this model on 50"),
        # It does not suffer from brightness: no relative mCE, but a report.
        (
            [flat(0.5, brightness=(0.9,) * 5), 0.9],
            {"clean": 0.8},
            (14 * 50 + 250) / 15,
            "no relative mCE: The reference makes no more errors under bright",
        ),
    ],
)
def test_what_a_reference_cannot_tell_is_said(tmp_path, base, ours, mce, words):
    reference = saved(report_of(*base), tmp_path / "report.json")
    report = report_of(flat(0.75), reference=reference, **ours)
    name = "c_released" if "source" in ours else "c"
    assert report.figures.get(f"{name}/mce") == pytest.approx(mce)
    assert f"{name}/relative_mce" not in report.figures
    section = section_of(report, name)
    (note,) = section.notes
    assert words in note
    if "jpeg" in words:
        assert section.table.rows["fog"][-1] == pytest.approx(50)
        # The dash stands in its column.
        lines = report.text().splitlines()
        line = next(x for x in lines if x.startswith("  jpeg_compression"))
        assert line.split()[1:] == ["75.00"] * 6 + ["–"]
