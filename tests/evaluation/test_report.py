"""Reports: every number out of its cells, what is refused, what is shown."""

import itertools
import json
import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation.metrics import NUM_BINS
from noisymix_tf.evaluation.report import Report
from support.evaluation_toys import cell, clean_cell, suite_c, sums
from support.usage import assert_usage_error

N = 200
QUALITY = ("ece", "rms_calibration_error", "nll", "brier")


@pytest.fixture
def records():
    rows = {"gaussian_noise": (0.5, 0.45, 0.4, 0.35, 0.3)}
    rows |= dict.fromkeys(("defocus_blur", "contrast"), (0.6,) * 5)
    return {clean_cell(): sums(0.95)} | suite_c(rows)


def measured(generator):
    counts = generator.multinomial(N, np.full(NUM_BINS, 1 / NUM_BINS))
    correct = generator.binomial(counts, generator.uniform())
    confidence = counts * generator.uniform(size=NUM_BINS)
    bins = np.stack([counts, confidence, correct], -1).tolist()
    scores = {key: generator.uniform(0, N) for key in ("nll_sum", "brier_sum")}
    total = int(correct.sum())
    return {"correct": total, "bins": bins, "seconds": 1.0, **scores}


def metrics_of(sums):
    count, confidence, correct = np.transpose(sums["bins"])
    gaps = np.abs(confidence - correct)
    rms = np.sqrt(np.sum(gaps**2 / count) / N)
    found = {"ece": gaps.sum() / N, "rms_calibration_error": rms}
    found |= {"nll": sums["nll_sum"] / N, "brier": sums["brier_sum"] / N}
    found |= {"confidence": confidence.sum() / N}
    return found | {"accuracy": sums["correct"] / N}


def test_every_number_is_computed_from_its_cells():
    """Means of cells, within one source and one set; none across them."""
    generator = np.random.default_rng(0)
    sets = {}
    for source, kind in itertools.product(["", "_released"], ["", "_extra"]):
        rows = dict.fromkeys(corruptions.names(kind[1:] or "common"), [0] * 5)
        own = suite_c(rows, source=source[1:] or "generated")
        sets[f"c{source}{kind}"] = list(own)
    cells = [clean_cell(), *(c for own in sets.values() for c in own)]
    # Severities are sorted, whatever the order of the lines.
    records = {c: measured(generator) for c in reversed(cells)}
    metrics = {c: metrics_of(m) for c, m in records.items()}
    report = Report(records)
    sections = {section.name: section for section in report.sections}

    def mean(metric, own):
        return np.mean([metrics[c][metric] for c in own])

    wanted = {f"clean/{key}": v for key, v in metrics[cells[0]].items()}
    wanted["clean/error"] = 1 - wanted["clean/accuracy"]
    for metric in QUALITY:
        wanted[f"calibration/clean_{metric}"] = wanted[f"clean/{metric}"]
    for name, own in sets.items():
        for metric in (*QUALITY, "accuracy"):
            wanted[f"{name}/mean_{metric}"] = mean(metric, own)
            wanted[f"calibration/{name}_mean_{metric}"] = mean(metric, own)
        wanted[f"{name}/mean_error"] = 1 - mean("accuracy", own)
        for family in ("noise", "blur", "weather", "digital"):
            names = corruptions.names(family)
            part = [c for c in own if c.corruption in names]
            wanted[f"{name}/mean_accuracy_{family}"] = mean("accuracy", part)
        noise = corruptions.names("noise")
        rest = mean("accuracy", [c for c in own if c.corruption not in noise])
        wanted[f"{name}/mean_accuracy_without_noise"] = rest
        for c in own:
            shown = sections[name].cells[c.corruption][str(c.severity)]
            assert len(shown) == 5
            assert shown == pytest.approx({k: metrics[c][k] for k in shown})
    figures = report.figures
    assert len(figures) == 5 + 4 * 10 + 4 + 4 * 4
    assert figures == pytest.approx({key: wanted[key] for key in figures})
    rows = sections["calibration"].table.rows
    for mark, name in (("", "c"), (" (released)", "c_released")):
        fog = [c for c in sets[name] if c.corruption == "fog"]
        means = [mean(metric, fog) for metric in metrics[fog[0]]]
        assert rows[f"fog{mark}"] == pytest.approx(means)
        shares = [metrics[c]["accuracy"] for c in fog]
        row = sections[name].table.rows["fog"]
        assert row == pytest.approx([*shares, np.mean(shares)])
    # The diagram shows all images; its error is the mean of the cells'.
    charts = {chart.title: chart for chart in sections["calibration"].charts}
    chart = charts["Generated common corruptions"]
    bins = sum(np.array(records[c]["bins"]) for c in sets["c"])
    np.testing.assert_allclose(chart.bins, bins)
    assert chart.error == pytest.approx(mean("ece", sets["c"]))


def test_every_section_says_images_and_source_and_files(records, tmp_path):
    records[clean_cell()] |= {"available": 1000}
    report = Report(records)
    for text in (report.text(), report.markdown()):
        assert "200 of 1,000 images, as they are in the dataset" in text
        assert "200 images per cell, generated" in text and "seed 0" in text
        assert re.search(r"Brier score[ |]+0\.2500\b", text)
        assert "3 of the benchmark's 15 corruptions" in text
        line = next(x for x in text.splitlines() if "gaussian_noise" in x)
        numbers = line.replace("|", " ").split()[1:]
        assert numbers == ["50.00", "45.00", "40.00", "35.00", "30.00", "40.00"]
    # Without a heat map there is no picture.
    clean = Report({clean_cell(): sums(0.5)})
    for made, *picture in ((report, "png"), (clean,)):
        folder = tmp_path / f"with {picture}"
        made.write(folder)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        endings = ["html", "json", "md", *picture]
        assert sorted(files) == [f"report.{ending}" for ending in endings]
        assert json.loads(files["report.json"]) == made.as_dict()
        assert (b"](report.png)" in files["report.md"]) == bool(picture)


def test_calibration_of_some_suites_and_a_part_of_severities_or_of_noise():
    attacked = {cell("fgsm", None, 0, setting="x"): sums(0.1)}
    made = {clean_cell(n=50): sums(0.9, 50)} | suite_c({"fog": (0.9,) * 5})
    report = Report(made | attacked)
    section = {s.name: s for s in report.sections}["calibration"]
    assert "50 or 200 images per cell" in section.origin
    assert list(section.table.rows) == ["clean", "fog"]
    assert [s.name for s in Report(attacked).sections] == ["fgsm"]
    some = suite_c({"gaussian_noise": (0.5,) * 5})
    report = Report({c: m for c, m in some.items() if c.severity in (2, 3)})
    assert "severities 2, 3 only" in report.text()
    assert report.figures["c/mean_accuracy"] == 0.5
    assert "c/mean_accuracy_without_noise" not in report.figures


def test_mixtures_are_refused_and_missing_cells_are_named(records):
    def refused(cells, *words, expected=None):
        assert_usage_error(lambda: Report(cells, expected=expected), *words)

    for field in ("dataset", "model", "data", "seed"):
        more = suite_c({"contrast": (0.1,) * 5}, **{field: "xyz"})
        refused(records | more, f"about one {field}", "xyz")
    refused({}, "no evaluation cells")
    more = [*records, cell("c", "jpeg_compression", 1)]
    refused(records, "jpeg_compression/1", "missing", expected=more)
    del records[cell("c", "defocus_blur", 4)]
    refused(records, "toy/c/defocus_blur/4", "missing")
