"""Entries of RobustBench: the published ones out of their cells."""

import csv
import json

import pytest

from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import published
from support.evaluation_toys import clean_cell, suite_c, sums
from support.usage import assert_usage_error

COMMON = published.COMMON
CIFAR = published.shares(published.CIFAR10_MEANS)
ALL, ENDS = (1, 2, 3, 4, 5), ("", "_without_noise")


def cells_of(accuracies=CIFAR, clean=0.9, n=200, **fields):
    cells = {clean_cell(n, dataset="cifar10"): sums(clean, n)}
    return cells | suite_c(accuracies, n, dataset="cifar10", **fields)


def report_of(*arguments, reference=None, **fields):
    return Report(cells_of(*arguments, **fields), reference=reference)


def test_entries_are_the_published_ones(tmp_path):
    report = report_of(CIFAR, 0.9673, source="released", n=10_000)
    wanted = dict.fromkeys("link name authors venue architecture".split(), "")
    wanted |= {"additional_data": False, "number_forward_passes": 1}
    wanted |= {"dataset": "cifar10", "eps": None, "clean_acc": "96.73"}
    wanted |= dict.fromkeys(("reported", "corruptions_acc"), "92.78")
    wanted["footnote"] = "10,000 images per cell, released files."
    assert robustbench.entry(report) == wanted
    rows = published.shares(published.IMAGENET_MEANS)
    report = report_of(rows, 0.7698, reference=alexnet(), source="released")
    entry = robustbench.entry(report)
    assert (entry["clean_acc"], entry["corruptions_acc"]) == ("76.98", "52.47")
    mean, quiet, mce = published.IMAGENET_FIGURES
    figures = [report.figures[f"c_released/mean_accuracy{e}"] for e in ENDS]
    assert figures == pytest.approx([mean / 100, quiet / 100], abs=1e-4)
    assert float(entry["corruptions_mce"]) == pytest.approx(mce, abs=0.01)
    # Generated ones are not the leaderboard's; released cells come first.
    written = {"seed": 1, "generator": "2-cifar", "source": "released"}
    for report in (report_of(), report_of(**written)):
        footnote = robustbench.entry(report)["footnote"]
        assert "generated anew: not the files" in footnote
    own = tmp_path / "report.json"
    own.write_text(json.dumps(report_of().as_dict()))
    report = report_of(reference=Reference.of(own))
    assert report.figures["c/mce"] == pytest.approx(100)
    assert "corruptions_mce" not in robustbench.entry(report)
    worse = cells_of(dict.fromkeys(COMMON, (0.75,) * 5), source="released")
    entry = robustbench.entry(Report(cells_of() | worse))
    assert entry["corruptions_acc"] == "75.0"
    assert "released files" in entry["footnote"]


def test_files_keep_what_a_submitter_wrote(tmp_path):
    report, name = report_of(), "Me2025.v2"
    one, other = robustbench.write(report, tmp_path / name)
    assert (one.name, other.name) == (f"{name}.json", f"{name}.csv")
    assert json.loads(one.read_text()) == robustbench.entry(report)
    mine = {"authors": "Me", "additional_data": True, "corruptions_acc_3d": "5"}
    one.write_text(json.dumps({**json.loads(one.read_text()), **mine}))
    released = report_of(CIFAR, 0.95, source="released")
    assert robustbench.write(released, one) == (one, other)
    entry = robustbench.entry(released)
    assert json.loads(one.read_text()) == {**entry, **mine}
    rows = csv.reader(other.read_text().splitlines())
    head, *columns = zip(*rows, strict=True)
    assert head == ("", "", name)
    # By name, whatever the order of the columns: fractions.
    found = {(name, int(s)): float(value) for name, s, value in columns}
    wanted = {(name, s): CIFAR[name][s - 1] for name in COMMON for s in ALL}
    assert found == pytest.approx(wanted)
    keys = [*(("shot_noise", s) for s in ALL), ("motion_blur", 1)]
    assert list(found)[:6] == keys


def check(name="Me", suites=("clean", "c"), names=None, severities=ALL):
    robustbench.check(name, suites, names, severities)


def write(name="Me", drop=lambda cell: False):
    cells = {c: m for c, m in cells_of().items() if not drop(c)}
    robustbench.write(Report(cells, expected=()), name)


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.json").write_text("{")
    for call, words in (
        # What cannot become an entry is told before anything is measured.
        (lambda: check(suites=("c",)), "needs suites clean and c, got c"),
        (lambda: check(names="noise"), "got 3 of them at 5"),
        (lambda: check(severities=(1, 3)), "got 15 of them at 2"),
        (lambda: write(drop=lambda c: c.suite == "clean"), "missing: clean"),
        (lambda: write(drop=lambda c: c.suite == "c"), "missing: shot_noise 1"),
        (lambda: write(drop=lambda c: c.corruption == "fog"), "fog 2, fog 3.."),
        (lambda: write("nowhere/Me"), "nowhere' of the RobustBench entry does"),
        (lambda: check(""), "has no name"),
        (lambda: write("torn"), "torn.json' is there already and is no entry"),
    ):
        assert_usage_error(call, words)
    (file,) = tmp_path.iterdir()
    assert file.read_text() == "{"
    check(names="all")
    check(suites=("calibration",), names=COMMON)
