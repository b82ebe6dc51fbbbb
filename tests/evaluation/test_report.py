"""Reports: means by hand, missing cells, what is shown."""

import dataclasses
import json

import numpy as np
import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.metrics import NUM_BINS
from noisymix_tf.evaluation.report import Report

N = 200
CLEAN = Cell("toy", "clean", None, 0, "original", N, "abc", "0f")
# Correct out of 200, severity 1 to 5.
CORRECT = {
    "gaussian_noise": (100, 90, 80, 70, 60),  # mean 80: 40 %
    "defocus_blur": (180, 170, 160, 150, 140),  # mean 160: 80 %
    "contrast": (120, 120, 120, 120, 120),  # 60 %
    "saturate": (200, 200, 200, 200, 200),  # 100 %, extra
}


def corrupted(name, severity, **changes):
    cell = Cell(
        "toy", "c", name, severity, "generated", N, "abc", "0f", 0, "1-cifar"
    )
    return dataclasses.replace(cell, **changes)


def sums(correct):
    """All images in the last bin, with confidence 0.95."""
    bins = [[0, 0.0, 0]] * (NUM_BINS - 1) + [[N, 0.95 * N, correct]]
    return {
        "correct": correct,
        "nll_sum": 0.5 * N,
        "brier_sum": 0.25 * N,
        "bins": bins,
        "seconds": 1.0,
    }


@pytest.fixture
def records():
    table = {CLEAN: sums(190)}
    for name, row in CORRECT.items():
        for severity, correct in enumerate(row, start=1):
            table[corrupted(name, severity)] = sums(correct)
    return table


def test_means_by_hand(records):
    figures = Report(records).figures
    assert figures["clean/accuracy"] == 0.95
    assert figures["clean/ece"] == pytest.approx(0.0, abs=1e-12)
    assert figures["clean/nll"] == 0.5
    assert figures["clean/brier"] == 0.25
    assert figures["c/mean_accuracy"] == pytest.approx(0.6)
    assert figures["c/mean_error"] == pytest.approx(0.4)
    assert figures["c/mean_accuracy_without_noise"] == pytest.approx(0.7)
    assert figures["c/mean_accuracy_noise"] == pytest.approx(0.4)
    assert figures["c/mean_accuracy_blur"] == pytest.approx(0.8)
    assert figures["c/mean_accuracy_digital"] == pytest.approx(0.6)
    # Every cell's own error, |accuracy - 0.95|, then the mean of cells.
    assert figures["c/mean_ece"] == pytest.approx(0.95 - 0.6)
    assert figures["c_extra/mean_accuracy"] == pytest.approx(1.0)
    assert not any("mce" in name.lower() for name in figures)


def test_every_section_states_images_and_source(records):
    report = Report(records)
    sections = report.as_dict()["sections"]
    assert {s["n"] for s in sections.values()} == {N}
    assert sections["clean"]["source"] == "original"
    assert sections["c"]["source"] == "generated"
    for text in (report.text(), report.markdown()):
        assert "200 images, as they are in the dataset" in text
        assert "200 images per cell, generated" in text
        assert "seed 0" in text
        assert "unnormalised" in text
        assert "3 of the benchmark's 15 corruptions" in text


def test_missing_cells_are_named(records):
    del records[corrupted("defocus_blur", 4)]
    with pytest.raises(UsageError, match=r"toy/c/defocus_blur/4.*missing"):
        Report(records)


def test_expected_cells_are_named(records):
    absent = corrupted("jpeg_compression", 1)
    with pytest.raises(UsageError, match=r"jpeg_compression/1.*missing"):
        Report(records, expected=[*records, absent])


def test_no_cells():
    with pytest.raises(UsageError, match="no evaluation cells"):
        Report({})


@pytest.mark.parametrize(
    ("field", "value"),
    [("dataset", "other"), ("model", "xyz"), ("data", "1e"), ("seed", 1)],
)
def test_mixtures_are_refused(records, field, value):
    for severity in range(1, 6):
        cell = corrupted("contrast", severity, **{field: value})
        records[cell] = sums(10)
    with pytest.raises(UsageError, match=f"about one {field}.*{value}"):
        Report(records)


def test_released_and_generated_are_never_averaged(records):
    for severity in range(1, 6):
        cell = corrupted(
            "contrast", severity, source="released", seed=None, generator=None
        )
        records[cell] = sums(20)
    report = Report(records)
    assert report.figures["c/mean_accuracy"] == pytest.approx(0.6)
    assert report.figures["c_released/mean_accuracy"] == pytest.approx(0.1)
    assert "from released files" in report.text()


def test_fewer_severities_are_said():
    records = {corrupted("contrast", s): sums(100) for s in (2, 3)}
    report = Report(records)
    assert "severities 2, 3 only" in report.text()
    assert report.figures["c/mean_accuracy"] == 0.5


def test_only_noise_has_no_mean_without_noise():
    records = {corrupted("gaussian_noise", s): sums(100) for s in range(1, 6)}
    figures = Report(records).figures
    assert "c/mean_accuracy_without_noise" not in figures


def test_tables_show_every_cell(records):
    report = Report(records)
    for text in (report.text(), report.markdown()):
        line, *_ = [  # The first one; the calibration section has it too.
            line for line in text.splitlines() if "gaussian_noise" in line
        ]
        numbers = line.replace("|", " ").split()[1:]
        assert numbers == ["50.00", "45.00", "40.00", "35.00", "30.00", "40.00"]


def test_text_is_aligned(records):
    lines = Report(records).text().splitlines()
    start = next(i for i, line in enumerate(lines) if "corruption  " in line)
    assert len({len(line) for line in lines[start : start + 4]}) == 1


def test_files(records, tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    report = Report(records)
    report.write(tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["report.html", "report.json", "report.md", "report.png"]
    saved = json.loads((tmp_path / "run/report.json").read_text())
    assert saved == report.as_dict()
    assert saved["sections"]["c"]["cells"]["contrast"]["5"]["accuracy"] == 0.6
    assert "](report.png)" in (tmp_path / "run/report.md").read_text()
    with image.open(tmp_path / "run/report.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 400
    # cividis: dark blue for low accuracy, yellow for full accuracy.
    assert (np.abs(pixels.astype(int) - [254, 232, 56]).sum(-1) < 12).any()


def test_clean_alone_has_no_picture(tmp_path):
    Report({CLEAN: sums(100)}).write(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["report.html", "report.json", "report.md"]
    assert "report.png" not in (tmp_path / "report.md").read_text()
