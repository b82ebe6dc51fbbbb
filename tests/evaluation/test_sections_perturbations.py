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


def records(flips, distances=None, difficulty=1, n=200, **fields):
    made = {}
    for name, value in flips.items():
        distance = (distances or DISTANCES).get(name, 1.0)
        made[cell("p", name, difficulty, n=n, **fields)] = flip_sums(
            value, distance, n, name in NOISE, difficulty
        )
    return made


def notes(report, section="p"):
    return report.as_dict()["sections"][section]["notes"]


def saved(report, path):
    path.write_text(json.dumps(report.as_dict()))
    return str(path)


def constants(path, **content):
    path.write_text(json.dumps({"name": "a net", **content}))
    return Reference.of(path)


def test_means_by_hand():
    report = Report(records(FLIPS))
    figures = report.figures
    assert figures["p/mfp"] == pytest.approx(0.055)
    assert figures["p/mfp_without_noise"] == pytest.approx(0.065)
    assert figures["p/mean_top5_distance"] == pytest.approx(1.1)
    assert figures["p/mean_top5_distance_without_noise"] == pytest.approx(1.3)
    # No rate without a reference, and nothing recollected.
    assert not {"p/mfr", "p/mt5d"} & set(figures)
    (note,) = notes(report)
    assert "need a reference" in note
    assert "without noise (8)" in report.text()


def test_alexnets_errors_are_no_flips():
    report = Report(records(FLIPS), reference=alexnet())
    assert not {"p/mfr", "p/mt5d"} & set(report.figures)
    assert "need a reference" in notes(report)[0]


def test_rates_against_another_run(tmp_path):
    base = {name: 0.1 for name in CIFAR}
    far = {name: 2.0 for name in CIFAR}
    path = saved(Report(records(base, far)), tmp_path / "report.json")
    report = Report(records(FLIPS), reference=Reference.of(path))
    figures = report.figures
    assert figures["p/mfr"] == pytest.approx(55)
    assert figures["p/mfr_without_noise"] == pytest.approx(65)
    assert figures["p/mt5d"] == pytest.approx(55)
    assert figures["p/mt5d_without_noise"] == pytest.approx(65)
    section = {s.name: s for s in report.sections}["p"]
    assert section.table.columns[-2:] == ("FR", "T5D")
    for name, value in FLIPS.items():
        *_, rate, distance = section.table.rows[name]
        assert rate == pytest.approx(1000 * value)
        assert distance == pytest.approx(50 * DISTANCES[name])
    assert notes(report) == []
    (bars,) = section.charts
    assert bars.reference == pytest.approx(base)


def test_the_mean_of_rates_is_no_rate_of_means(tmp_path):
    base = {name: 0.2 if name == "tilt" else 0.1 for name in CIFAR}
    path = saved(Report(records(base)), tmp_path / "report.json")
    report = Report(records(FLIPS), reference=Reference.of(path))
    rates = [100 * FLIPS[name] / base[name] for name in CIFAR]
    assert report.figures["p/mfr"] == pytest.approx(np.mean(rates))


def test_rates_against_constants(tmp_path):
    reference = constants(
        tmp_path / "net.json",
        flip_probability={name: 0.05 for name in CIFAR},
    )
    report = Report(records(FLIPS), reference=reference)
    assert report.figures["p/mfr"] == pytest.approx(110)
    assert "p/mt5d" not in report.figures
    assert "mFR, a net = 100" in report.text()
    # Constants are about any source.
    report = Report(records(FLIPS, source="released"), reference=reference)
    assert report.figures["p_released/mfr"] == pytest.approx(110)


@pytest.mark.parametrize("value", [None, 0.0])
def test_what_the_reference_lacks_is_named(tmp_path, value):
    """Also where it never flips: there is nothing to divide by."""
    base = {name: 0.1 for name in CIFAR}
    if value is None:
        del base["scale"], base["gaussian_noise"]
    else:
        base |= {"scale": value, "gaussian_noise": value}
    path = saved(Report(records(base)), tmp_path / "report.json")
    report = Report(records(FLIPS), reference=Reference.of(path))
    assert not {"p/mfr", "p/mfr_without_noise"} & set(report.figures)
    (note,) = notes(report)
    assert "no flips to divide by for gaussian_noise, scale" in note
    rows = {s.name: s for s in report.sections}["p"].table.rows
    assert rows["scale"][3] is None
    assert rows["tilt"][3] == pytest.approx(90)


def test_noise_alone_may_be_lacking(tmp_path):
    """The mean without noise needs no rate of noise."""
    base = {name: 0.1 for name in CIFAR if name not in NOISE}
    path = saved(Report(records(base)), tmp_path / "report.json")
    report = Report(records(FLIPS), reference=Reference.of(path))
    assert "p/mfr" not in report.figures
    assert report.figures["p/mfr_without_noise"] == pytest.approx(65)


def test_a_reference_on_another_number_of_sequences(tmp_path):
    path = saved(Report(records(FLIPS)), tmp_path / "report.json")
    report = Report(records(FLIPS, n=20), reference=Reference.of(path))
    assert report.figures["p/mfr"] == pytest.approx(100)
    (note,) = notes(report)
    assert "200 sequences, this model on 20" in note


def test_a_reference_of_another_difficulty(tmp_path):
    path = saved(Report(records(FLIPS)), tmp_path / "report.json")
    harder = records(FLIPS, difficulty=2)
    report = Report(harder, reference=Reference.of(path))
    assert not {"p/mfr", "p/mt5d"} & set(report.figures)
    (note,) = notes(report)
    assert "measured at difficulty 1: no flip rates" in note
    path = saved(report, tmp_path / "harder.json")
    report = Report(harder, reference=Reference.of(path))
    assert report.figures["p/mfr"] == pytest.approx(100)


def test_a_part_of_the_benchmark_is_said():
    some = {name: FLIPS[name] for name in CIFAR[:4]}
    report = Report(records(some))
    assert report.figures["p/mfp"] == pytest.approx(0.025)
    assert "4 of the benchmark's 10" in notes(report)[0]


def test_the_benchmark_is_that_of_the_images():
    """Snow is of ImageNet-P; among CIFAR's perturbations it is an extra."""
    extra = {**FLIPS, "snow": 0.9, "shear": 0.8}
    report = Report(records(extra))
    assert report.figures["p/mfp"] == pytest.approx(0.055)
    assert set(report.as_dict()["sections"]["p_extra"]["cells"]) == {
        "snow",
        "shear",
    }
    assert report.as_dict()["sections"]["p_extra"]["figures"] == {}
    assert "in no mean" in notes(report, "p_extra")[0]
    alone = Report(records({"snow": 0.9, "shear": 0.8}))
    assert "p" not in alone.as_dict()["sections"]
    imagenet = Report(records(extra, generator="2-imagenet"))
    sections = imagenet.as_dict()["sections"]
    assert set(sections["p"]["cells"]) == set(IMAGENET) & set(extra)
    assert set(sections["p_extra"]["cells"]) == {"spatter", "shear"}
    assert any("black comes into view" in n for n in notes(imagenet))


@pytest.mark.parametrize(
    ("names", "other"), [(CIFAR, IMAGENET), (IMAGENET, CIFAR)]
)
def test_released_files_are_of_the_set_that_they_hold(names, other):
    flips = {name: 0.1 for name in names}
    report = Report(records(flips, source="released"))
    sections = report.as_dict()["sections"]
    assert set(sections["p_released"]["cells"]) == set(names)
    assert "p_released_extra" not in sections
    # One that was asked for as a whole counts as a whole.
    whole = {name: 0.1 for name in {*names, *other}}
    report = Report(records(whole, source="released"))
    assert len(report.as_dict()["sections"]["p_released"]["cells"]) == 10


def test_a_whole_set_is_the_benchmark_whatever_the_constants():
    flips = {name: 0.1 for name in IMAGENET}
    sections = Report(records(flips)).as_dict()["sections"]
    assert set(sections["p"]["cells"]) == set(IMAGENET)


def test_the_difficulty_is_said():
    report = Report(records(FLIPS, difficulty=2))
    assert "seed 0), difficulty 2" in report.text()


def test_standard_errors():
    """Half of the sequences flip always, half never."""
    made = {
        cell("p", "tilt", 1): {
            **flip_sums(0.5),
            "square_sums": {
                "flip_probability": 100.0,
                "top5_distance": 200.0,
                "zipf_distance": 50.0,
            },
        }
    }
    section = Report(made).as_dict()["sections"]["p"]
    wanted = np.sqrt(0.25 * 200 / 199 / 200)
    assert section["cells"]["tilt"]["standard_error"] == pytest.approx(wanted)
    one = {
        cell("p", "tilt", 1, n=1): flip_sums(0.5, n=1),
    }
    report = Report(one)
    assert (
        report.as_dict()["sections"]["p"]["cells"]["tilt"]["standard_error"]
        is None
    )
    line = next(line for line in report.text().splitlines() if "  tilt" in line)
    assert line.split()[1:3] == ["50.00", "–"]
