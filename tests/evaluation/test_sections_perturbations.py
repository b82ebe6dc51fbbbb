"""The section of the perturbations: means and rates by hand."""

import json

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
DISTANCES = {name: 0.2 * (k + 1) for k, name in enumerate(CIFAR)}
FLAT = dict.fromkeys(CIFAR, 0.1)


def report_of(
    flips, distances=None, difficulty=1, n=200, reference=None, **fields
):
    made = {}
    for name, value in flips.items():
        distance = (distances or DISTANCES).get(name, 1.0)
        made[cell("p", name, difficulty, n=n, **fields)] = flip_sums(
            value, distance, n, name in NOISE, difficulty
        )
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
    assert report.figures == pytest.approx(
        {
            "p/mfp": 0.055,
            "p/mfp_without_noise": 0.065,
            "p/mean_top5_distance": 1.1,
            "p/mean_top5_distance_without_noise": 1.3,
        }
    )
    (note,) = sections_of(report)["p"].notes
    assert "need a reference" in note
    assert "without noise (8)" in report.text()


def test_rates_against_another_run(tmp_path):
    """The mean of rates, which is no rate of means."""
    base = {**FLAT, "tilt": 0.2}
    far = dict.fromkeys(CIFAR, 2.0)
    reference = saved(report_of(base, far), tmp_path / "report.json")
    report = report_of(FLIPS, reference=reference)
    rates = {name: 100 * FLIPS[name] / base[name] for name in CIFAR}
    quiet = [rate for name, rate in rates.items() if name not in NOISE]
    figures = report.figures
    assert figures["p/mfr"] == pytest.approx(np.mean(list(rates.values())))
    assert figures["p/mfr_without_noise"] == pytest.approx(np.mean(quiet))
    assert figures["p/mt5d"] == pytest.approx(55)
    assert figures["p/mt5d_without_noise"] == pytest.approx(65)
    section = sections_of(report)["p"]
    assert section.table.columns[-2:] == ("FR", "T5D")
    for name in CIFAR:
        *_, rate, distance = section.table.rows[name]
        assert rate == pytest.approx(rates[name])
        assert distance == pytest.approx(50 * DISTANCES[name])
    assert section.notes == ()
    assert section.charts[0].reference == pytest.approx(base)


def test_rates_against_constants_which_are_about_any_source(tmp_path):
    path = tmp_path / "net.json"
    content = {"name": "a net", "flip_probability": dict.fromkeys(CIFAR, 0.05)}
    path.write_text(json.dumps(content))
    reference = Reference.of(path)
    report = report_of(FLIPS, reference=reference)
    assert report.figures["p/mfr"] == pytest.approx(110)
    assert "p/mt5d" not in report.figures
    assert "mFR, a net = 100" in report.text()
    report = report_of(FLIPS, reference=reference, source="released")
    assert report.figures["p_released/mfr"] == pytest.approx(110)


def lacking(*names):
    return {name: v for name, v in FLAT.items() if name not in names}


@pytest.mark.parametrize(
    "base, ours, rates, words",
    [
        # Where it never flips there is nothing to divide by, either.
        (
            {"flips": {**FLAT, "scale": 0.0, "gaussian_noise": 0.0}},
            {},
            (None, None),
            "no flips to divide by for gaussian_noise, scale",
        ),
        ({"flips": lacking("scale")}, {}, (None, None), "divide by for scale"),
        # The mean without noise needs no rate of noise.
        ({"flips": lacking(*NOISE)}, {}, (None, 65), "for gaussian_noise, sh"),
        ({}, {"n": 20}, (55, 65), "200 sequences, this model on 20"),
        ({}, {"difficulty": 2}, (None, None), "at difficulty 1: no flip rates"),
    ],
)
def test_what_a_reference_cannot_tell_is_said(
    tmp_path, base, ours, rates, words
):
    base = report_of(**{"flips": FLAT, **base})
    reference = saved(base, tmp_path / "report.json")
    report = report_of(FLIPS, reference=reference, **ours)
    found = [
        report.figures.get(f"p/{key}") for key in ("mfr", "mfr_without_noise")
    ]
    assert found == [rate and pytest.approx(rate) for rate in rates]
    section = sections_of(report)["p"]
    (note,) = section.notes
    assert words in note
    if "divide" in words and "scale" in words:
        assert section.table.rows["scale"][3] is None
        assert section.table.rows["tilt"][3] == pytest.approx(90)
    if "difficulty" in ours:
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
    assert set(section.cells) == {"snow", "shear"}
    assert section.figures == ()
    assert "in no mean" in section.notes[0]
    alone = report_of({"snow": 0.9, "shear": 0.8})
    assert set(sections_of(alone)) == {"p_extra"}
    found = sections_of(report_of(extra, generator="2-imagenet"))
    assert set(found["p"].cells) == set(IMAGENET) & set(extra)
    assert set(found["p_extra"].cells) == {"spatter", "shear"}
    assert any("black comes into view" in note for note in found["p"].notes)
    # A whole set is the benchmark, whatever the constants.
    found = sections_of(report_of(dict.fromkeys(IMAGENET, 0.1)))
    assert set(found["p"].cells) == set(IMAGENET)


@pytest.mark.parametrize("names", [CIFAR, IMAGENET])
def test_released_files_are_of_the_set_that_they_hold(names):
    flips = dict.fromkeys(names, 0.1)
    sections = sections_of(report_of(flips, source="released"))
    assert set(sections) == {"p_released"}
    assert set(sections["p_released"].cells) == set(names)
    # One that was asked for as a whole counts as a whole.
    both = report_of(dict.fromkeys({*CIFAR, *IMAGENET}, 0.1), source="released")
    assert len(sections_of(both)["p_released"].cells) == 10


def test_standard_errors():
    """Half of the sequences flip always, half never; of one there is none."""
    made = flip_sums(0.5)
    made["square_sums"]["flip_probability"] = 100.0
    section = Report({cell("p", "tilt", 1): made}).sections[0]
    wanted = np.sqrt(0.25 * 200 / 199 / 200)
    assert section.cells["tilt"]["standard_error"] == pytest.approx(wanted)
    report = Report({cell("p", "tilt", 1, n=1): flip_sums(0.5, n=1)})
    assert report.sections[0].cells["tilt"]["standard_error"] is None
    line = next(line for line in report.text().splitlines() if "  tilt" in line)
    assert line.split()[1:3] == ["50.00", "–"]
