"""Entries of RobustBench: the published ones out of their cells."""

import csv
import io
import json

import pytest

from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import published
from support.evaluation_toys import clean_cell, suite_c, sums
from support.usage import assert_usage_error

COMMON = published.COMMON
CIFAR = published.shares(published.CIFAR10)


def cells_of(accuracies, clean, n=200, **fields):
    fields = {"n": n, "dataset": "cifar10", **fields}
    cells = {clean_cell(n, dataset="cifar10"): sums(clean, n)}
    return cells | suite_c(accuracies, **fields)


def report_of(*arguments, reference=None, **fields):
    return Report(cells_of(*arguments, **fields), reference=reference)


def test_the_published_entry_of_cifar():
    report = report_of(CIFAR, 0.9673, source="released", n=10_000)
    assert robustbench.entry(report) == {
        "link": "",
        "name": "",
        "authors": "",
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": "cifar10",
        "venue": "",
        "architecture": "",
        "eps": None,
        "clean_acc": "96.73",
        "reported": "92.78",
        "corruptions_acc": "92.78",
        "footnote": "10,000 images per cell, released files.",
    }


@pytest.mark.parametrize(
    ("name", "clean", "wanted"),
    [
        ("NoisyMix", 0.7698, ("76.98", "52.47", 60.46)),
        ("NoisyMix_new", 0.769, ("76.9", "53.28", 59.43)),
    ],
)
def test_the_published_entries_of_imagenet(name, clean, wanted):
    """As texts where the cells, rounded themselves, give the last digit."""
    accuracies = published.shares(published.imagenet(name))
    entry = robustbench.entry(
        report_of(accuracies, clean, reference=alexnet(), source="released")
    )
    assert (entry["clean_acc"], entry["corruptions_acc"]) == wanted[:2]
    mce = float(entry["corruptions_mce"])
    assert mce == pytest.approx(wanted[2], abs=0.011)


def test_generated_corruptions_are_not_the_leaderboards(tmp_path):
    """Neither as images, nor as a divisor; released cells come first."""
    files = {"seed": 1, "generator": "2-cifar", "source": "released"}
    for fields in ({}, files):
        footnote = robustbench.entry(report_of(CIFAR, 0.9, **fields))
        assert "generated anew: not the files" in footnote["footnote"]
    own = tmp_path / "report.json"
    own.write_text(json.dumps(report_of(CIFAR, 0.9).as_dict()))
    report = report_of(CIFAR, 0.9, reference=Reference.of(own))
    assert report.figures["c/mce"] == pytest.approx(100)
    assert "corruptions_mce" not in robustbench.entry(report)
    worse = {name: (0.75,) * 5 for name in COMMON}
    both = cells_of(CIFAR, 0.9) | cells_of(worse, 0.9, source="released")
    entry = robustbench.entry(Report(both))
    assert entry["corruptions_acc"] == "75.0"
    assert "released files" in entry["footnote"]


def test_the_row():
    report = report_of(CIFAR, 0.9)
    lines = robustbench.row(report, "Me2025").splitlines()
    names, severities, values = csv.reader(io.StringIO("\n".join(lines)))
    assert len(lines) == 3
    assert names[0] == severities[0] == "" and values[0] == "Me2025"
    # By name, whatever the order of the columns: fractions.
    found = {
        (name, int(severity)): float(value)
        for name, severity, value in zip(names[1:], severities[1:], values[1:])
    }
    assert found == pytest.approx(
        {(name, s): CIFAR[name][s - 1] for name in COMMON for s in range(1, 6)}
    )
    assert names[1:7] == ["shot_noise"] * 5 + ["motion_blur"]
    assert severities[1:7] == ["1", "2", "3", "4", "5", "1"]


@pytest.mark.parametrize("name", ["Me2025", "Me2025.json", "Me2025.v2"])
def test_files_keep_what_a_submitter_wrote(tmp_path, name):
    report = report_of(CIFAR, 0.9)
    one, other = robustbench.write(report, tmp_path / name)
    stem = name.removesuffix(".json")
    assert (one.name, other.name) == (f"{stem}.json", f"{stem}.csv")
    assert json.loads(one.read_text()) == robustbench.entry(report)
    assert other.read_text() == robustbench.row(report, stem)
    mine = {"authors": "Me", "additional_data": True, "corruptions_acc_3d": "5"}
    one.write_text(json.dumps({**json.loads(one.read_text()), **mine}))
    report = report_of(CIFAR, 0.95, source="released")
    robustbench.write(report, tmp_path / name)
    assert json.loads(one.read_text()) == {**robustbench.entry(report), **mine}


ALL = (1, 2, 3, 4, 5)


def test_what_can_become_an_entry(tmp_path):
    for suites in (("clean", "c"), ("calibration",)):
        for names in (None, COMMON, "all"):
            robustbench.check(tmp_path / "Me", suites, names, ALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("c",), None, ALL), "needs suites clean and c, got c"),
        ((("clean", "p"), None, ALL), "needs suites clean and c"),
        ((("clean", "c"), ["fog"], ALL), "got 1 of them at 5"),
        ((("clean", "c"), "noise", ALL), "got 3 of them at 5"),
        ((("clean", "c"), None, (1, 3)), "got 15 of them at 2"),
    ],
)
def test_what_cannot_is_told_at_once(tmp_path, arguments, message):
    path = tmp_path / "Me"
    assert_usage_error(lambda: robustbench.check(path, *arguments), message)


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (lambda c: c.suite == "clean", "missing: clean"),
        (lambda c: c.suite == "c", "missing: shot_noise 1"),
        (lambda c: c.corruption == "fog", "missing: fog 1, fog 2, fog 3..."),
        (lambda c: c.severity == 5, "missing: shot_noise 5, motion_blur 5"),
    ],
)
def test_partial_cells_are_refused(tmp_path, drop, message):
    cells = {c: m for c, m in cells_of(CIFAR, 0.9).items() if not drop(c)}
    report, path = Report(cells, expected=()), tmp_path / "Me"
    assert_usage_error(lambda: robustbench.write(report, path), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/Me", "nowhere' of the RobustBench entry does not exist"),
        ("", "has no name"),
        ("..", "has no name"),
        ("torn", "torn.json' is there already and is no entry"),
    ],
)
def test_bad_paths(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.json").write_text("{")
    for call in (
        lambda: robustbench.check(path, ("clean", "c"), None, ALL),
        lambda: robustbench.write(report_of(CIFAR, 0.9), path),
    ):
        assert_usage_error(call, message)
    assert (tmp_path / "torn.json").read_text() == "{"
