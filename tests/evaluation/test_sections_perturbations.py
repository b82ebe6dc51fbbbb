"""The section of the perturbations: means and rates by hand."""

import json
import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support.evaluation_toys import cell, flip_sums

CIFAR = corruptions.perturbation_names("cifar")
IMAGENET = corruptions.perturbation_names("imagenet")
NOISE = corruptions.perturbation_names("noise")

# k per cent for the k-th; gaussian and shot noise come first.
FLIPS = {name: 0.01 * (k + 1) for k, name in enumerate(CIFAR)}
FLAT = dict.fromkeys(CIFAR, 0.1)


def report_of(flips, far=20.0, level=1, n=200, reference=None, **fields):
    """Distances are `far` times the flips, at a level of difficulty."""
    made = {}
    for name, value in flips.items():
        measured = flip_sums(value, far * value, n, name in NOISE, level)
        made[cell("p", name, level, n=n, **fields)] = measured
    return Report(made, reference=reference)


def sections_of(report):
    return {section.name: section for section in report.sections}


def saved(report, path):
    path.write_text(json.dumps(report.as_dict()))
    return Reference.of(str(path))


@pytest.mark.parametrize("reference", [None, alexnet()])
def test_means_by_hand(reference):
    """AlexNet's constants are errors: they divide no flips."""
    report = report_of(FLIPS, reference=reference)
    distance = "p/mean_top5_distance"
    wanted = {"p/mfp": 0.055, "p/mfp_without_noise": 0.065}
    wanted |= {distance: 1.1, f"{distance}_without_noise": 1.3}
    assert report.figures == pytest.approx(wanted)
    (note,) = sections_of(report)["p"].notes
    assert "need a reference" in note
    assert "without noise (8)" in report.text()


def test_rates_against_another_run(tmp_path):
    """The mean of rates, which is no rate of means."""
    base = {**FLAT, "tilt": 0.2}
    reference = saved(report_of(base, 10.0), tmp_path / "report.json")
    report = report_of(FLIPS, reference=reference)
    rates = {name: 100 * FLIPS[name] / base[name] for name in CIFAR}
    quiet = [rate for name, rate in rates.items() if name not in NOISE]
    mean = np.mean(list(rates.values()))
    wanted = {"mfr": mean, "mfr_without_noise": np.mean(quiet)}
    wanted |= {"mt5d": 2 * mean, "mt5d_without_noise": 2 * np.mean(quiet)}
    found = {key: report.figures[f"p/{key}"] for key in wanted}
    assert found == pytest.approx(wanted)
    section = sections_of(report)["p"]
    assert section.table.columns[-2:] == ("FR", "T5D")
    for name, rate in rates.items():
        row = section.table.rows[name][-2:]
        assert row == pytest.approx((rate, 2 * rate))
    assert section.notes == ()
    assert section.charts[0].reference == pytest.approx(base)


@pytest.mark.parametrize("name", ["p", "p_released"])
def test_rates_against_constants_which_are_about_any_source(tmp_path, name):
    path = tmp_path / "net.json"
    content = {"name": "a net", "flip_probability": dict.fromkeys(CIFAR, 0.05)}
    path.write_text(json.dumps(content))
    fields = {"source": "released"} if "_" in name else {}
    report = report_of(FLIPS, reference=Reference.of(path), **fields)
    assert report.figures[f"{name}/mfr"] == pytest.approx(110)
    assert f"{name}/mt5d" not in report.figures
    assert "mFR, a net = 100" in report.text()


def lacking(*names):
    return {name: v for name, v in FLAT.items() if name not in names}


@pytest.mark.parametrize(
    "base, ours, rates, words",
    [
        # Where it never flips there is nothing to divide by, either.
        ({**FLAT, "scale": 0.0}, {}, (None, None), "to divide by for scale"),
        (lacking("scale"), {}, (None, None), "to divide by for scale"),
        # The mean without noise needs no rate of noise.
        (lacking(*NOISE), {}, (None, 65), "for gaussian_noise, shot_noise"),
        (FLAT, {"n": 20}, (55, 65), "200 sequences, this model on 20"),
        (FLAT, {"level": 2}, (None, None), "at difficulty 1: no flip rates"),
    ],
)
def test_what_a_reference_cannot_tell_is_said(
    tmp_path, base, ours, rates, words
):
    reference = saved(report_of(base), tmp_path / "report.json")
    report = report_of(FLIPS, reference=reference, **ours)
    keys = ("p/mfr", "p/mfr_without_noise")
    found = [report.figures.get(key) for key in keys]
    assert found == [rate and pytest.approx(rate) for rate in rates]
    section = sections_of(report)["p"]
    (note,) = section.notes
    assert words in note
    if "scale" in words:
        rows = section.table.rows
        assert rows["scale"][3] is None
        assert rows["tilt"][3] == pytest.approx(90)
    if "level" in ours:
        assert "seed 0), difficulty 2" in report.text()
        itself = saved(report, tmp_path / "harder.json")
        report = report_of(FLIPS, reference=itself, **ours)
        assert report.figures["p/mfr"] == pytest.approx(100)


def test_the_benchmark_is_that_of_the_images():
    """Snow is of ImageNet-P; among CIFAR's perturbations it is an extra."""
    some = report_of({name: FLIPS[name] for name in CIFAR[:4]})
    assert some.figures["p/mfp"] == pytest.approx(0.025)
    assert "4 of the benchmark's 10" in sections_of(some)["p"].notes[0]
    extra = {**FLIPS, "snow": 0.9, "shear": 0.8}
    report = report_of(extra)
    assert report.figures["p/mfp"] == pytest.approx(0.055)
    section = sections_of(report)["p_extra"]
    assert (set(section.cells), section.figures) == ({"snow", "shear"}, ())
    assert "in no mean" in section.notes[0]
    assert set(sections_of(report_of({"snow": 0.9}))) == {"p_extra"}
    found = sections_of(report_of(extra, generator="2-imagenet"))
    assert set(found["p"].cells) == set(IMAGENET) & set(extra)
    assert set(found["p_extra"].cells) == {"spatter", "shear"}
    assert any("black comes into view" in note for note in found["p"].notes)
    # A whole set is the benchmark, whatever the constants; of released files
    # the one that they have more of, or that was asked for as a whole.
    for names, fields in ((IMAGENET, {}), (IMAGENET, {"source": "released"})):
        (section,) = report_of(dict.fromkeys(names, 0.1), **fields).sections
        assert set(section.cells) == set(names)
    both = dict.fromkeys({*CIFAR, *IMAGENET[1:]}, 0.1)
    found = sections_of(report_of(both, source="released"))
    assert set(found["p_released"].cells) == set(CIFAR)


def test_standard_errors():
    """Half of the sequences flip always, half never; of one there is none."""
    made = flip_sums(0.5)
    made["square_sums"]["flip_probability"] = 100.0
    section = Report({cell("p", "tilt", 1): made}).sections[0]
    wanted = np.sqrt(0.25 * 200 / 199 / 200)
    assert section.cells["tilt"]["standard_error"] == pytest.approx(wanted)
    report = report_of({"tilt": 0.5}, n=1)
    assert report.sections[0].cells["tilt"]["standard_error"] is None
    assert re.search(r"  tilt +50\.00 +–", report.text())
