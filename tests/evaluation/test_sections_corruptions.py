"""The section of the corruptions: published figures out of published cells."""

import json

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import corruption_error
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import published
from support.evaluation_toys import cell, clean_cell, sums

COMMON = published.COMMON
ALEXNET = {
    name: tuple(1 - np.array(errors))
    for name, errors in corruption_error.ALEXNET_ERRORS.items()
}


def records(accuracies, clean=None, **fields):
    """Cells of `{corruption: accuracies}`, and of the clean images."""
    made = {} if clean is None else {clean_cell(): sums(clean)}
    for name, row in accuracies.items():
        for severity, accuracy in enumerate(row, start=1):
            made[cell("c", name, severity, **fields)] = sums(accuracy)
    return made


def flat(accuracy, names=COMMON):
    return {name: (accuracy,) * 5 for name in names}


def notes(report, section="c"):
    return report.as_dict()["sections"][section]["notes"]


# --- published ---------------------------------------------------------------


def test_the_published_mean_of_cifar():
    accuracies = published.shares(published.CIFAR10)
    report = Report(records(accuracies, 0.9673))
    figures = report.figures
    mean = figures["c/mean_accuracy"]
    assert 100 * mean == pytest.approx(92.778, abs=0.002)
    assert figures["c/mean_error"] == pytest.approx(1 - mean)
    assert figures["clean/accuracy"] == pytest.approx(0.9673)
    section = {s.name: s for s in report.sections}["c"]
    for name, wanted in zip(COMMON, published.CIFAR10_MEANS):
        *row, average = section.table.rows[name]
        assert row == pytest.approx(accuracies[name])
        assert 100 * average == pytest.approx(wanted, abs=0.006)
    # No reference, no mCE; all there, nothing to warn of.
    assert not any("mce" in name for name in figures)
    assert notes(report) == []


@pytest.mark.parametrize("name", published.IMAGENET)
def test_published_figures_of_imagenet(name):
    accuracies = published.shares(published.imagenet(name))
    _, (mean, quiet, mce) = published.IMAGENET[name]
    report = Report(records(accuracies, source="released"), reference=alexnet())
    figures = report.figures
    got = (
        100 * figures["c_released/mean_accuracy"],
        100 * figures["c_released/mean_accuracy_without_noise"],
        figures["c_released/mce"],
    )
    assert got == pytest.approx((mean, quiet, mce), abs=0.01)
    assert "without noise (12 of 15)" in report.text()
    assert notes(report, "c_released") == []


def test_alexnet_is_100_per_cent_of_itself():
    clean = 1 - corruption_error.ALEXNET_CLEAN_ERROR
    report = Report(
        records(ALEXNET, clean, source="released"), reference=alexnet()
    )
    assert report.figures["c_released/mce"] == pytest.approx(100, abs=1e-9)
    relative = report.figures["c_released/relative_mce"]
    assert relative == pytest.approx(100, abs=1e-9)
    section = {s.name: s for s in report.sections}["c_released"]
    assert section.table.columns[-1] == "CE"
    assert [row[-1] for row in section.table.rows.values()] == pytest.approx(
        [100.0] * 15
    )


def test_alexnets_constants_are_not_about_generated_images():
    report = Report(records(ALEXNET), reference=alexnet())
    assert "c/mce" in report.figures
    assert any("these images were generated" in note for note in notes(report))
    files = {"seed": 1, "generator": "2-imagenet", "source": "released"}
    report = Report(records(ALEXNET, **files), reference=alexnet())
    found = notes(report, "c_written")
    assert any("these images were generated" in note for note in found)


def test_alexnet_is_the_default_for_a_thousand_classes_only():
    class Dataset:
        num_classes = 1000

    assert Reference.of(None, Dataset) == alexnet()
    Dataset.num_classes = 999
    assert Reference.of(None, Dataset) is None
    with pytest.raises(UsageError, match="this dataset has 999"):
        Reference.of("alexnet", Dataset)


# --- means by hand -----------------------------------------------------------


def test_families_and_noise_by_hand():
    accuracies = {
        **flat(0.2, corruptions.names("noise")[:3]),
        **flat(0.5, ("defocus_blur", "glass_blur", "motion_blur")),
        **flat(0.9, ("zoom_blur",)),
        **flat(0.6, ("snow", "frost", "fog", "brightness")),
        **flat(0.7, COMMON[-4:]),
    }
    figures = Report(records(accuracies)).figures
    assert figures["c/mean_accuracy_noise"] == pytest.approx(0.2)
    assert figures["c/mean_accuracy_blur"] == pytest.approx(0.6)
    assert figures["c/mean_accuracy_weather"] == pytest.approx(0.6)
    assert figures["c/mean_accuracy_digital"] == pytest.approx(0.7)
    quiet = (3 * 0.5 + 0.9 + 4 * 0.6 + 4 * 0.7) / 12
    assert figures["c/mean_accuracy_without_noise"] == pytest.approx(quiet)
    everything = (3 * 0.2 + 12 * quiet) / 15
    assert figures["c/mean_accuracy"] == pytest.approx(everything)


def test_extra_corruptions_are_apart():
    accuracies = {**flat(0.8), **flat(0.1, corruptions.names("extra"))}
    report = Report(records(accuracies), reference=alexnet())
    assert report.figures["c/mean_accuracy"] == pytest.approx(0.8)
    assert report.figures["c_extra/mean_accuracy"] == pytest.approx(0.1)
    assert "c_extra/mce" not in report.figures
    assert (
        report.figures["c/mce"]
        == Report(records(flat(0.8)), reference=alexnet()).figures["c/mce"]
    )
    assert any("in no mean" in note for note in notes(report, "c_extra"))
    # Each of them has a CE by AlexNet's means.
    extra = {s.name: s for s in report.sections}["c_extra"]
    for name, mean in corruption_error.ALEXNET_EXTRA_MEAN_ERRORS.items():
        assert extra.table.rows[name][-1] == pytest.approx(90 / mean)


def test_released_and_generated_are_apart():
    both = {
        **records(flat(0.8)),
        **records(flat(0.4), source="released"),
    }
    report = Report(both, reference=alexnet())
    assert report.figures["c/mean_accuracy"] == pytest.approx(0.8)
    assert report.figures["c_released/mean_accuracy"] == pytest.approx(0.4)
    assert report.figures["c_released/mce"] == pytest.approx(
        3 * report.figures["c/mce"]
    )


def test_severities_are_sorted_whatever_the_order_of_the_lines():
    made = dict(reversed(records(published.shares(published.CIFAR10)).items()))
    report = Report(made)
    assert notes(report) == []
    section = {s.name: s for s in report.sections}["c"]
    assert section.table.columns == ("1", "2", "3", "4", "5", "mean")
    fog = [100 * share for share in section.table.rows["fog"][:5]]
    assert fog == pytest.approx(published.CIFAR10["fog"])


# --- against another run -----------------------------------------------------


def saved(report, path):
    path.write_text(json.dumps(report.as_dict()))
    return str(path)


def test_against_the_report_of_another_run(tmp_path):
    """Sums over severities first, then the ratio, then the mean."""
    base = {
        name: (0.9, 0.8, 0.7, 0.6, 0.5 - 0.01 * place)
        for place, name in enumerate(COMMON)
    }
    ours = {
        name: (0.95, 0.9, 0.8, 0.8, 0.7 - 0.02 * place)
        for place, name in enumerate(COMMON)
    }
    path = saved(Report(records(base, 0.92)), tmp_path / "report.json")
    report = Report(records(ours, 0.98), reference=Reference.of(path))
    mce, relative = [], []
    for name in COMMON:
        above = sum(1 - share for share in ours[name])
        below = sum(1 - share for share in base[name])
        mce.append(100 * above / below)
        relative.append(100 * (above - 5 * 0.02) / (below - 5 * 0.08))
    assert report.figures["c/mce"] == pytest.approx(np.mean(mce))
    assert report.figures["c/relative_mce"] == pytest.approx(np.mean(relative))
    assert report.as_dict()["reference"] == path
    assert f"mCE, {path} = 100" in report.text()
    (bars,) = {s.name: s for s in report.sections}["c"].charts
    assert bars.reference == pytest.approx(
        {name: np.mean(row) for name, row in base.items()}
    )
    itself = Report(records(base, 0.92), reference=Reference.of(path))
    assert itself.figures["c/mce"] == pytest.approx(100)
    assert itself.figures["c/relative_mce"] == pytest.approx(100)


def test_a_reference_without_a_corruption(tmp_path):
    base = flat(0.5, COMMON[:14])
    path = saved(Report(records(base)), tmp_path / "report.json")
    report = Report(records(flat(0.75)), reference=Reference.of(path))
    assert "c/mce" not in report.figures
    (note,) = notes(report)
    assert "no errors to divide by for jpeg_compression" in note
    rows = {s.name: s for s in report.sections}["c"].table.rows
    assert rows["fog"][-1] == pytest.approx(50)
    assert rows["jpeg_compression"][-1] is None
    # The dash stands in its column.
    line = next(
        line
        for line in report.text().splitlines()
        if line.startswith("  jpeg_compression")
    )
    assert line.split()[1:] == ["75.00"] * 6 + ["–"]


def test_a_reference_of_other_severities(tmp_path):
    some = {
        cell("c", name, severity): sums(0.5)
        for name in COMMON
        for severity in (1, 2, 3)
    }
    path = saved(Report(some), tmp_path / "report.json")
    report = Report(records(flat(0.75)), reference=Reference.of(path))
    assert "c/mce" not in report.figures
    assert "gaussian_noise, shot_noise" in notes(report)[0]
    three = {c: m for c, m in records(flat(0.75)).items() if c.severity < 4}
    report = Report(three, reference=Reference.of(path))
    assert report.figures["c/mce"] == pytest.approx(50)
    assert any("severities 1, 2, 3 only" in note for note in notes(report))


def test_a_reference_that_says_nothing_of_these_cells(tmp_path):
    path = saved(Report(records(flat(0.5))), tmp_path / "report.json")
    released = records(flat(0.75), source="released")
    report = Report(released, reference=Reference.of(path))
    assert "c_released/mce" not in report.figures
    (note,) = notes(report, "c_released")
    assert f"{path} says nothing of these cells" in note


def test_a_reference_that_a_corruption_does_no_harm(tmp_path):
    """There is no relative mCE then, but still a report."""
    base = {**flat(0.5), "brightness": (0.9,) * 5}
    path = saved(Report(records(base, 0.9)), tmp_path / "report.json")
    report = Report(records(flat(0.75), 0.8), reference=Reference.of(path))
    assert report.figures["c/mce"] == pytest.approx((14 * 50 + 250) / 15)
    assert "c/relative_mce" not in report.figures
    (note,) = notes(report)
    assert note.startswith("no relative mCE") and "brightness" in note


def test_a_reference_without_errors(tmp_path):
    base = {**flat(0.5), "fog": (1.0,) * 5}
    path = saved(Report(records(base)), tmp_path / "report.json")
    report = Report(records(flat(0.75)), reference=Reference.of(path))
    assert "c/mce" not in report.figures
    assert "divide by for fog" in notes(report)[0]


def test_a_reference_measured_on_another_number_of_images(tmp_path):
    path = saved(Report(records(flat(0.5))), tmp_path / "report.json")
    few = {
        cell("c", name, severity, n=50): sums(0.75, 50)
        for name in COMMON
        for severity in range(1, 6)
    }
    report = Report(few, reference=Reference.of(path))
    assert report.figures["c/mce"] == pytest.approx(50)
    (note,) = notes(report)
    assert "200 images per cell, this model on 50" in note
