"""The sections of corruptions and of perturbations: rates, and their notes."""

import json
import re
import types

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import corruption_error
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support.evaluation_toys import cell, clean_cell, flip_sums, suite_c, sums
from support.usage import assert_usage_error

COMMON = corruptions.names("common")
FILMS = corruptions.perturbation_names
CIFAR, IMAGENET, NOISE = map(FILMS, ("cifar", "imagenet", "noise"))
# k per cent for the k-th; gaussian and shot noise come first.
FLIPS = {name: 0.01 * (k + 1) for k, name in enumerate(CIFAR)}
FLAT = dict.fromkeys(CIFAR, 0.1)


def on_c(rows, clean=None, reference=None, drop=(), **fields):
    records = {} if clean is None else {clean_cell(): sums(clean)}
    cells = suite_c(rows, **fields)
    records |= {c: m for c, m in cells.items() if c.severity not in drop}
    return Report(records, reference=reference)


def on_p(flips, far=20.0, level=1, n=200, reference=None, **fields):
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


def flat(accuracy, names=COMMON, **others):
    return {**dict.fromkeys(names, (accuracy,) * 5), **others}


def test_alexnet_is_100_per_cent_of_itself_and_extras_are_in_no_mean():
    errors = corruption_error.ALEXNET_ERRORS.items()
    rows = {name: 1 - np.array(row) for name, row in errors}
    clean = 1 - corruption_error.ALEXNET_CLEAN_ERROR
    report = on_c(rows, clean, alexnet(), source="released")
    section = sections_of(report)["c_released"]
    assert section.table.columns[-1] == "CE" and section.notes == ()
    found = [row[-1] for row in section.table.rows.values()]
    found += [report.figures[f"c_released/{e}mce"] for e in ("", "relative_")]
    assert found == pytest.approx([100.0] * 17)
    written = {"seed": 1, "generator": "2-imagenet", "source": "released"}
    for name, fields in (("c", {}), ("c_written", written)):
        report = on_c(rows, None, alexnet(), **fields)
        assert f"{name}/mce" in report.figures
        (note,) = sections_of(report)[name].notes
        assert "these images were generated" in note
    # Extra corruptions are in no mean, but have a CE.
    rows = flat(0.1, corruptions.names("extra"), **flat(0.8))
    report = on_c(rows, None, alexnet())
    alone = on_c(flat(0.8), None, alexnet())
    assert report.figures["c/mce"] == alone.figures["c/mce"]
    assert "c_extra/mce" not in report.figures
    extra = sections_of(report)["c_extra"]
    assert "in no mean" in " ".join(extra.notes)
    for name, mean in corruption_error.ALEXNET_EXTRA_MEAN_ERRORS.items():
        assert extra.table.rows[name][-1] == pytest.approx(90 / mean)
    # AlexNet is the default for a thousand classes only.
    many, fewer = (types.SimpleNamespace(num_classes=k) for k in (1000, 999))
    assert Reference.of(None, many) == alexnet()
    assert Reference.of(None, fewer) is None
    assert_usage_error(lambda: Reference.of("alexnet", fewer), "has 999")


def test_mce_means_and_rates_against_the_report_of_another_run(tmp_path):
    """Sums over severities first, then the ratio, then the mean."""
    place, severities = np.arange(15)[:, None], np.arange(5) == 4
    base = np.array([0.9, 0.8, 0.7, 0.6, 0.5]) - 0.01 * place * severities
    ours = np.array([0.95, 0.9, 0.8, 0.8, 0.7]) - 0.02 * place * severities
    above, below = 5 - ours.sum(1), 5 - base.sum(1)
    base, ours = (dict(zip(COMMON, rows)) for rows in (base, ours))
    path = tmp_path / "report.json"
    report = on_c(ours, 0.98, saved(on_c(base, 0.92), path))
    mce = 100 * np.mean(above / below)
    assert report.figures["c/mce"] == pytest.approx(mce)
    relative = 100 * np.mean((above - 5 * 0.02) / (below - 5 * 0.08))
    assert report.figures["c/relative_mce"] == pytest.approx(relative)
    assert report.as_dict()["reference"] == str(path)
    assert f"mCE, {path} = 100" in report.text()
    means = {name: np.mean(row) for name, row in base.items()}
    (bars,) = sections_of(report)["c"].charts
    assert bars.reference == pytest.approx(means)
    # AlexNet's constants are errors; a mean of rates is no rate of means.
    distance = "p/mean_top5_distance"
    wanted = {"p/mfp": 0.055, "p/mfp_without_noise": 0.065}
    wanted |= {distance: 1.1, f"{distance}_without_noise": 1.3}
    for reference in (None, alexnet()):
        report = on_p(FLIPS, reference=reference)
        assert report.figures == pytest.approx(wanted)
        (note,) = sections_of(report)["p"].notes
        assert "need a reference" in note
    base = {**FLAT, "tilt": 0.2}
    reference = saved(on_p(base, 10.0), tmp_path / "report.json")
    report = on_p(FLIPS, reference=reference)
    rates = {name: 100 * FLIPS[name] / base[name] for name in CIFAR}
    mean = np.mean(list(rates.values()))
    quiet = np.mean([rates[name] for name in CIFAR if name not in NOISE])
    wanted = {"p/mfr": mean, "p/mfr_without_noise": quiet}
    wanted |= {"p/mt5d": 2 * mean, "p/mt5d_without_noise": 2 * quiet}
    found = {key: report.figures[key] for key in wanted}
    assert found == pytest.approx(wanted)
    section = sections_of(report)["p"]
    assert section.table.columns[-2:] == ("FR", "T5D")
    rows = {name: row[-2:] for name, row in section.table.rows.items()}
    assert rows == {n: pytest.approx((r, 2 * r)) for n, r in rates.items()}
    assert section.notes == ()
    assert section.charts[0].reference == pytest.approx(base)


MCE, MFR, QUIET = "c/mce", "p/mfr", "p/mfr_without_noise"
HALF, FEW, LOUD = flat(0.5), (4, 5), flat(0.5, brightness=(0.9,) * 5)
STILL, CALM = {**FLAT, "scale": 0.0}, dict.fromkeys(CIFAR[2:], 0.1)


@pytest.mark.parametrize(
    "base, ours, figures, words",
    [
        ([flat(0.5, COMMON[:14])], {}, {MCE: None}, "by for jpeg_compression"),
        ([HALF, None, None, FEW], {"drop": FEW}, {MCE: 50}, "severities 1, 2"),
        ([HALF], {"source": "released"}, {"c_released/mce": None}, "nothing"),
        ([HALF], {"n": 50}, {MCE: 50}, "200 images per cell, this model on 50"),
        # It does not suffer from brightness: no relative mCE, but a report.
        ([LOUD, 0.9], {"clean": 0.8}, {MCE: 950 / 15}, "no relative mCE: The"),
        # Where it never flips there is nothing to divide by, either.
        ([STILL], {}, {MFR: None, QUIET: None}, "to divide by for scale"),
        # The mean without noise needs no rate of noise.
        ([CALM], {}, {MFR: None, QUIET: 65}, "gaussian_noise, shot_noise"),
        ([FLAT], {"n": 20}, {MFR: 55, QUIET: 65}, "this model on 20"),
        ([FLAT], {"level": 2}, {MFR: None}, "at difficulty 1: no flip rates"),
    ],
)
def test_what_a_reference_lacks_is_said(tmp_path, base, ours, figures, words):
    on, rows = (on_p, FLIPS) if MFR in figures else (on_c, flat(0.75))
    reference = saved(on(*base), tmp_path / "report.json")
    report = on(rows, reference=reference, **ours)
    wanted = {key: v and pytest.approx(v) for key, v in figures.items()}
    assert {key: report.figures.get(key) for key in figures} == wanted
    assert "c/relative_mce" not in report.figures
    section = sections_of(report)[next(iter(figures)).split("/")[0]]
    (note,) = section.notes
    assert words in note
    if (lacking := words.split()[-1]) in rows:
        rates = [section.table.rows[name][-1] for name in rows]
        assert rates[[*rows].index(lacking)] is None and any(rates)
        assert re.search(f"  {lacking} .* –\n", report.text())


def test_the_benchmark_is_that_of_the_images(tmp_path):
    """Snow is of ImageNet-P; among CIFAR's perturbations it is an extra."""
    some = on_p({name: FLIPS[name] for name in CIFAR[:4]}, n=1)
    assert some.figures["p/mfp"] == pytest.approx(0.025)
    assert "4 of the benchmark's 10" in sections_of(some)["p"].notes[0]
    assert re.search(r"  gaussian_noise +1\.00 +–", some.text())  # No spread.
    # Rates are those of one difficulty.
    itself = saved(on_p(FLIPS, level=2), tmp_path / "harder.json")
    harder = on_p(FLIPS, level=2, reference=itself)
    assert harder.figures["p/mfr"] == pytest.approx(100)
    extra = {**FLIPS, "snow": 0.9, "shear": 0.8}
    report = on_p(extra)
    assert report.figures["p/mfp"] == pytest.approx(0.055)
    extras = sections_of(report)["p_extra"]
    assert (set(extras.cells), extras.figures) == ({"snow", "shear"}, ())
    assert "in no mean" in extras.notes[0]
    found = sections_of(on_p(extra, generator="2-imagenet"))
    assert set(found["p"].cells) == set(IMAGENET) & set(extra)
    assert set(found["p_extra"].cells) == {"spatter", "shear"}
    assert "black comes into view" in " ".join(found["p"].notes)
    # A whole set is the benchmark, whatever the constants; of released files
    # the one that they have more of.
    for fields in ({}, {"source": "released"}):
        (section,) = on_p(dict.fromkeys(IMAGENET, 0.1), **fields).sections
        assert set(section.cells) == set(IMAGENET)
    both = dict.fromkeys({*CIFAR, *IMAGENET[1:]}, 0.1)
    found = sections_of(on_p(both, source="released"))
    assert set(found["p_released"].cells) == set(CIFAR)
