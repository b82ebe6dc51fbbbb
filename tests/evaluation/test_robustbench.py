"""Entries of RobustBench: the published ones out of their cells."""

import csv
import functools
import json
import types

import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.robustbench import check, entry, write
from noisymix_tf.evaluation.sections import Figure, Section
from support.usage import assert_usage_error

COMMON = corruptions.names("common")
# Published: NoisyMix (WideResNet-28-4) on CIFAR-10-C, means over severities.
MEANS = "91.77 93.34 96.40 95.35 87.38 93.63 94.49 93.12 93.63 93.37 96.14 "
MEANS = [float(x) / 100 for x in f"{MEANS} 88.51 92.90 89.83 91.82".split()]
STEPS = (0.02, 0.01, 0, -0.01, -0.02)
CIFAR = {c: [mean + s for s in STEPS] for c, mean in zip(COMMON, MEANS)}
WORSE = dict.fromkeys(COMMON, (0.75,) * 5)
ALL = (1, 2, 3, 4, 5)
MCE = (Figure("mce", "mCE", 60.46, "ratio"),)


def report(clean=0.9, reference=None, n=200, **rows):
    """A report of sections of suite c, `{name: {corruption: accuracies}}`."""
    made = [Section("clean", "", "", "clean", "original", n, "", ())]
    figures = {"clean/accuracy": clean}
    for name, row in rows.items():
        cells = {
            corruption: {str(k): {"accuracy": a} for k, a in enumerate(own, 1)}
            for corruption, own in row.items()
        }
        figures[f"{name}/mean_accuracy"] = sum(map(sum, row.values())) / 75
        source = "released" if name == "c_released" else "generated"
        made.append(Section(name, "", "", "c", source, n, "", MCE, cells=cells))
    about = {"figures": figures, "dataset": "cifar10", "reference": reference}
    return types.SimpleNamespace(sections=made[not clean :], **about)


def test_entries_are_the_published_ones():
    wanted = dict.fromkeys("link name authors venue architecture".split(), "")
    wanted |= {"additional_data": False, "number_forward_passes": 1}
    wanted |= {"dataset": "cifar10", "eps": None, "clean_acc": "96.73"}
    wanted |= dict.fromkeys(("reported", "corruptions_acc"), "92.78")
    wanted["footnote"] = "10,000 images per cell, released files."
    # The leaderboard divides by AlexNet's errors only.
    made = report(0.9673, Reference("mine"), n=10_000, c_released=CIFAR)
    assert entry(made) == wanted
    made = report(0.7698, alexnet(), c_released=WORSE)
    assert entry(made)["clean_acc"] == "76.98"
    assert entry(made)["corruptions_mce"] == "60.46"
    # Generated ones are not the leaderboard's; files come first.
    for name, words in (("c_written", "anew: not"), ("c_released", "released")):
        made = entry(report(c=CIFAR, **{name: WORSE}))
        assert words in made["footnote"] and made["reported"] == "75.0"


def test_files_keep_what_a_submitter_wrote(tmp_path):
    made, name = report(reference=alexnet(), c=WORSE), "Me2025.v2"
    one, other = write(made, tmp_path / name)
    assert (one.name, other.name) == (f"{name}.json", f"{name}.csv")
    mine = {"authors": "Me", "additional_data": True, "corruptions_acc_3d": "5"}
    one.write_text(json.dumps({**json.loads(one.read_text()), **mine}))
    later = report(0.95, c_released=CIFAR)
    assert write(later, one) == (one, other)
    # An mCE that is no longer known is gone.
    assert json.loads(one.read_text()) == {**entry(later), **mine}
    head, *columns = zip(*csv.reader(other.read_text().splitlines()))
    assert head == ("", "", name) and columns[5][:2] == ("motion_blur", "1")
    # By name, whatever the order of the columns: fractions.
    found = {(c, s): float(value) for c, s, value in columns}
    wanted = {(c, s): CIFAR[c][int(s) - 1] for c in CIFAR for s in "12345"}
    assert found == pytest.approx(wanted)


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.json").write_text("{")
    write(report(reference=alexnet(), c=WORSE), "lone")[0].unlink()
    (tmp_path / "odd.json").write_text('{"name": ""}')
    (tmp_path / "odd.csv").write_text("mine")
    both = ("clean", "c")
    for function, *arguments, words in (
        # What cannot become an entry is told before anything is measured.
        (check, "Me", ("c",), None, ALL, "needs suites clean and c, got c"),
        (check, "Me", both, "noise", ALL, "got 3 of them at 5"),
        (check, "Me", both, None, (1, 3), "got 15 of them at 2"),
        (check, "nowhere/Me", both, None, ALL, "'nowhere/Me' must be NAME, or"),
        (check, "", both, None, ALL, "must be NAME"),
        (check, "torn", both, None, ALL, "torn.json' is there already and is"),
        (check, "lone", both, None, ALL, "lone.csv' is there already and is"),
        (check, "odd", both, None, ALL, "odd.csv' is there already and is"),
        (entry, report(0, c=CIFAR), "missing: clean"),
        (entry, report(), "shot_noise 1, shot_noise 2, shot_noise 3..."),
    ):
        assert_usage_error(functools.partial(function, *arguments), words)
    check("Me", ("calibration",), "all", ALL)
