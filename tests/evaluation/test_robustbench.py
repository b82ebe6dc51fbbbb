"""Entries of RobustBench: the published ones out of their cells."""

import csv
import io
import json

import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import published
from support.evaluation_toys import cell, clean_cell, sums

COMMON = published.COMMON
CIFAR = published.shares(published.CIFAR10)


def report_of(accuracies, clean, reference=None, n=200, **fields):
    made = {clean_cell(n, dataset="cifar10"): sums(clean, n)}
    for name, row in accuracies.items():
        for severity, accuracy in enumerate(row, start=1):
            made[
                cell("c", name, severity, n=n, dataset="cifar10", **fields)
            ] = sums(accuracy, n)
    return Report(made, reference=reference)


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
        ("NoisyMix", 0.7698, ("76.98", "52.47", "60.46")),
        ("NoisyMix_new", 0.769, ("76.9", "53.28", "59.43")),
    ],
)
def test_the_published_entries_of_imagenet(name, clean, wanted):
    """As texts where the cells, rounded themselves, give the last digit."""
    accuracies = published.shares(published.imagenet(name))
    entry = robustbench.entry(
        report_of(accuracies, clean, alexnet(), source="released")
    )
    assert entry["clean_acc"] == wanted[0]
    assert entry["corruptions_acc"] == wanted[1]
    assert float(entry["corruptions_mce"]) == pytest.approx(
        float(wanted[2]), abs=0.011
    )


def test_generated_corruptions_are_not_the_leaderboards():
    footnote = robustbench.entry(report_of(CIFAR, 0.9))["footnote"]
    assert "generated anew: not the files" in footnote
    files = {"seed": 1, "generator": "2-cifar", "source": "released"}
    footnote = robustbench.entry(report_of(CIFAR, 0.9, **files))["footnote"]
    assert "generated anew: not the files" in footnote


def test_released_cells_come_first():
    report = report_of(CIFAR, 0.9, source="released")
    both = {
        cell: {**sums(0.5)}
        for cell in report_of(CIFAR, 0.9).cells
        if cell.suite == "c"
    }
    for c in report.cells:
        accuracy = 0.9 if c.suite == "clean" else 0.75
        both[c] = sums(accuracy)
    entry = robustbench.entry(Report(both))
    assert entry["corruptions_acc"] == "75.0"
    assert "released files" in entry["footnote"]


def test_the_mce_is_alexnets_or_none(tmp_path):
    own = tmp_path / "report.json"
    own.write_text(json.dumps(report_of(CIFAR, 0.9).as_dict()))
    report = report_of(CIFAR, 0.9, Reference.of(own))
    assert report.figures["c/mce"] == pytest.approx(100)
    assert "corruptions_mce" not in robustbench.entry(report)


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
        {
            (name, severity): share
            for name, row in CIFAR.items()
            for severity, share in enumerate(row, start=1)
        }
    )
    assert names[1:7] == ["shot_noise"] * 5 + ["motion_blur"]
    assert severities[1:7] == ["1", "2", "3", "4", "5", "1"]
    assert sorted(robustbench.ORDER) == sorted(COMMON)


@pytest.mark.parametrize("name", ["Me2025", "Me2025.json", "Me2025.v2"])
def test_files(tmp_path, name):
    report = report_of(CIFAR, 0.9)
    one, other = robustbench.write(report, tmp_path / name)
    stem = name.removesuffix(".json")
    assert (one.name, other.name) == (f"{stem}.json", f"{stem}.csv")
    assert json.loads(one.read_text()) == robustbench.entry(report)
    assert other.read_text() == robustbench.row(report, stem)


def test_what_a_submitter_wrote_is_kept(tmp_path):
    path = tmp_path / "Me2025.json"
    robustbench.write(report_of(CIFAR, 0.9), path)
    mine = {
        "authors": "Me",
        "link": "https://example.org",
        "additional_data": True,
        "corruptions_acc_3d": "50.1",
    }
    path.write_text(json.dumps({**json.loads(path.read_text()), **mine}))
    robustbench.write(report_of(CIFAR, 0.95, source="released"), path)
    entry = json.loads(path.read_text())
    assert mine.items() <= entry.items()
    assert entry["clean_acc"] == "95.0"
    assert "released files" in entry["footnote"]


def without(report, drop):
    made = {c: sums(0.9) for c in report.cells if not drop(c)}
    return Report(made, expected=())


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (lambda c: c.suite == "clean", "missing: clean"),
        (lambda c: c.suite == "c", r"missing: shot_noise 1.*\.\.\."),
        (lambda c: c.corruption == "fog", r"missing: fog 1, fog 2, fog 3\.\."),
        (lambda c: c.severity == 5, "missing: shot_noise 5, motion_blur 5"),
    ],
)
def test_partial_cells_are_refused(tmp_path, drop, message):
    report = without(report_of(CIFAR, 0.9), drop)
    for function in (
        robustbench.entry,
        lambda report: robustbench.write(report, tmp_path / "Me"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            function(report)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


ALL = (1, 2, 3, 4, 5)


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
def test_what_cannot_become_an_entry_is_told_at_once(
    tmp_path, arguments, message
):
    with pytest.raises(UsageError, match=message) as caught:
        robustbench.check(tmp_path / "Me", *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suites", [("clean", "c"), ("calibration",)])
@pytest.mark.parametrize("names", [None, COMMON, "all"])
def test_what_can(tmp_path, suites, names):
    robustbench.check(tmp_path / "Me", suites, names, ALL)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/Me", "folder '.*nowhere'.*does not exist"),
        ("", "has no name"),
        ("..", "has no name"),
        ("torn.json", "torn.json' is there already and is no entry"),
        ("torn", "torn.json' is there already and is no entry"),
    ],
)
def test_bad_paths(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.json").write_text("{")
    for function in (
        lambda: robustbench.check(path, ("clean", "c"), None, ALL),
        lambda: robustbench.write(report_of(CIFAR, 0.9), path),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            function()
        assert "\n" not in str(caught.value)
    assert (tmp_path / "torn.json").read_text() == "{"
