"""Sections: every number out of its cells; rates of a reference; notes."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation import Settings, metrics
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.suites import SUITES
from support import evaluation_toys as toys
from support.evaluation_toys import cell, clean_cell, scores, suite_c
from support.usage import assert_usage_error

COMMON = corruptions.names("common")
FILMS = corruptions.perturbation_names
CIFAR, IMAGENET, NOISE = map(FILMS, ("cifar", "imagenet", "noise"))
# k per cent for the k-th; gaussian and shot noise come first.
FLIPS = {name: 0.01 * (k + 1) for k, name in enumerate(CIFAR)}
FLAT = dict.fromkeys(CIFAR, 0.1)
LABELS = np.arange(200) ** 2 % 3


def on_c(rows, clean=None, reference=None, drop=(), **fields):
    made = {} if clean is None else {clean_cell(): scores(clean)}
    cells = suite_c(rows, **fields)
    made |= {c: own for c, own in cells.items() if c.severity not in drop}
    return Report(made, reference=reference)


def on_p(flips, far=20.0, level=1, n=200, reference=None, **fields):
    made = {}
    for name, value in flips.items():
        measured = toys.flip_scores(value, far * value, n)
        made[cell("p", name, level, n=n, **fields)] = measured
    return Report(made, reference=reference)


def sections_of(report):
    return {section.name: section for section in report.sections}


def saved(report, path):
    path.write_text(json.dumps(report.as_dict()))
    return Reference.of(str(path))


def flat(accuracy, names=COMMON, **others):
    return {**dict.fromkeys(names, (accuracy,) * 5), **others}


QUALITY = ("ece", "nll", "brier")
ERRORS = ("rms_calibration_error", "adaptive_calibration_error", "aurra")


def test_every_number_is_computed_from_its_cells():
    generator, sets, scores = np.random.default_rng(0), {}, {}
    for source, kind in itertools.product(["", "_released"], ["", "_extra"]):
        rows = dict.fromkeys(corruptions.names(kind[1:] or "common"), [0] * 5)
        own = suite_c(rows, source=source[1:] or "generated")
        sets[f"c{source}{kind}"] = list(own)
    cells = [clean_cell(), *itertools.chain(*sets.values())]
    for each in reversed(cells):  # Severities are sorted, whatever the order.
        rows = ImageScores.of(generator.normal(0, 2, [200, 4]), LABELS)
        scores[each] = ImageScores(rows)
    report = Report(scores)
    sections = sections_of(report)

    def mean(metric, own=cells[:1]):
        found = [getattr(scores[c], metric) for c in own]
        return np.mean([metrics.value(each) for each in found])

    names = (*QUALITY, "accuracy", "balanced_accuracy", "largest_class")
    wanted = {f"clean/{name}": mean(name) for name in names}
    wanted["clean/error"] = 1 - mean("accuracy")
    for metric in (*QUALITY, *ERRORS):
        wanted[f"calibration/clean_{metric}"] = mean(metric)
        for name, own in sets.items():
            wanted[f"calibration/{name}_mean_{metric}"] = mean(metric, own)
    for name, own in sets.items():
        for metric in (*QUALITY, "accuracy"):
            wanted[f"{name}/mean_{metric}"] = mean(metric, own)
        wanted[f"{name}/mean_error"] = 1 - mean("accuracy", own)
        parts = {f: corruptions.names(f) for f in corruptions.FAMILIES}
        parts["without_noise"] = {*corruptions.names()} - {*parts["noise"]}
        for word, names in parts.items():
            part = [c for c in own if c.corruption in names]
            wanted[f"{name}/mean_accuracy_{word}"] = mean("accuracy", part)
        for c in own:
            shown = dict(sections[name].cells[c.corruption][str(c.severity)])
            error = metrics.error(scores[c].accuracy)
            assert shown.pop("standard_error") == pytest.approx(error)
            assert shown == pytest.approx({m: mean(m, [c]) for m in shown})
    assert report.figures == pytest.approx(wanted)
    # Cells share their images: the error of a mean is that of the images.
    draws = np.mean([scores[c].accuracy for c in sets["c"]], axis=0)[1:]
    error = sections["c"].figure("mean_accuracy").error
    assert error == pytest.approx(np.std(draws, ddof=1))
    calibration = sections["calibration"]
    for mark, name in (("", "c"), (" (released)", "c_released")):
        fog = [c for c in sets[name] if c.corruption == "fog"]
        row = calibration.table.rows[f"fog{mark}"]
        found = mean("ece", fog), mean("accuracy", fog)
        assert (row[0], row[-1]) == pytest.approx(found)
        shares = [scores[c].accuracy[0] for c in fog]
        row = sections[name].table.rows["fog"]
        assert row == pytest.approx([*shares, np.mean(shares)])
        assert sections[name].table.heat == len(row)
    # The diagram shows all images; its error is the mean of the cells'.
    charts = {chart.title: chart for chart in calibration.charts}
    chart = charts["Generated common corruptions"]
    bins = sum(scores[c].bins() for c in sets["c"])
    np.testing.assert_allclose(chart.bins, bins)
    assert chart.error[0] == pytest.approx(mean("ece", sets["c"]))


def test_what_a_page_and_a_comparison_show_is_there():
    for name, suite in SUITES.items():
        known = {field.name for field in dataclasses.fields(Settings)}
        assert set(suite.options) <= known, name
    attacked = {
        cell("fgsm", setting=f"linf eps={k}/255 log_odds"): scores(a)
        for k, a in ((2, 0.5), (4, 0.25), (8, 0.75))
    }
    rows = suite_c(flat(0.5, corruptions.names()))
    report = Report({clean_cell(): scores(0.9), **rows, **attacked})
    found = sections_of(report)
    lines = {name: section.headlines for name, section in found.items()}
    for name, keys in lines.items():
        assert all(map(found[name].figure, keys.values())), name
    least = "accuracy[linf eps=4/255 log_odds]"
    wanted = ["clean_ece", "c_mean_ece"]
    assert lines["fgsm"] == {"FGSM accuracy": least}
    assert [*lines["calibration"].values()] == wanted and not lines["c_extra"]
    assert not (found["c_extra"].label or found["c_extra"].caveats)
    alone = sections_of(on_c({}, 0.5))["calibration"]
    assert alone.origin == "200 images per cell, clean"
    # What a table of several models must repeat.
    few = suite_c({"fog": [0.5] * 5}, source="released", n=20)
    section = sections_of(Report(few))["c_released"]
    assert (section.label, section.suite) == ("C (released files)", "c")
    assert section.caveats[0].startswith("means are over 1 of")


def test_alexnet_is_100_per_cent_of_itself_and_extras_are_in_no_mean():
    errors = alexnet().of_section("errors", "c").items()
    rows = {name: 1 - np.array([*row.values()]) for name, row in errors}
    clean = 1 - alexnet().clean_error
    report = on_c(rows, clean, alexnet(), source="released")
    section = sections_of(report)["c_released"]
    assert section.table.columns[-1] == "CE" and section.notes == ()
    found = [row[-1] for row in section.table.rows.values()]
    found += [report.figures[f"c_released/{e}mce"] for e in ("", "relative_")]
    assert found == pytest.approx([100.0] * 17, abs=0.3)  # Of 200 images.
    written = {"seed": 1, "generator": "2-imagenet", "source": "released"}
    for name, fields in (("c", {}), ("c_written", written)):
        section = sections_of(on_c(rows, None, alexnet(), **fields))[name]
        assert "mce" in section.headlines.values()
        assert section.notes == section.caveats
        assert "these images were generated" in section.notes[0]
    # Extra corruptions are in no mean, but have a CE.
    rows = flat(0.1, corruptions.names("extra"), **flat(0.8))
    report = on_c(rows, None, alexnet())
    alone = on_c(flat(0.8), None, alexnet())
    assert report.figures["c/mce"] == alone.figures["c/mce"]
    assert "c_extra/mce" not in report.figures
    # A model without errors is shown beside the reference, too.
    faultless = sections_of(on_c(flat(1.0), None, alexnet()))["c"]
    assert len(faultless.charts[0].reference) == 15
    extra = sections_of(report)["c_extra"]
    assert "in no mean" in " ".join(extra.notes)
    for name, mean in alexnet().over_severities.items():
        assert extra.table.rows[name][-1] == pytest.approx(90 / mean)


def test_mce_means_and_rates_against_the_report_of_another_run(tmp_path):
    place, severities = np.arange(15)[:, None], np.arange(5) == 4
    base = np.array([0.9, 0.8, 0.7, 0.6, 0.5]) - 0.01 * place * severities
    ours = np.array([0.95, 0.9, 0.8, 0.8, 0.7]) - 0.02 * place * severities
    above, below = 5 - ours.sum(1), 5 - base.sum(1)
    base, ours = (dict(zip(COMMON, rows)) for rows in (base, ours))
    path = tmp_path / "report.json"
    report = on_c(ours, 0.98, saved(on_c(base, 0.92), path))
    mce = 100 * np.mean(above / below)
    relative = 100 * np.mean((above - 5 * 0.02) / (below - 5 * 0.08))
    found = report.figures["c/mce"], report.figures["c/relative_mce"]
    assert found == pytest.approx((mce, relative))
    assert f"mCE, {path} = 100" in report.text()
    means = {name: np.mean(row) for name, row in base.items()}
    assert sections_of(report)["c"].charts[0].reference == pytest.approx(means)
    # AlexNet's constants are errors; a mean of rates is no rate of means.
    far = "mean_top5_distance"
    wanted = {"mfp": 0.055, "mfp_without_noise": 0.065}
    wanted |= {far: 1.1, f"{far}_without_noise": 1.3}
    for reference in (None, alexnet()):
        section = sections_of(on_p(FLIPS, reference=reference))["p"]
        figures = {figure.key: figure.value for figure in section.figures}
        assert figures == pytest.approx(wanted)
        assert "need a reference" in section.notes[0]
    base = {**FLAT, "tilt": 0.2}
    report = on_p(FLIPS, reference=saved(on_p(base, 10.0), path))
    rates = {name: 100 * FLIPS[name] / base[name] for name in CIFAR}
    mean = np.mean(list(rates.values()))
    quiet = np.mean([rates[name] for name in CIFAR if name not in NOISE])
    wanted = {"p/mfr": mean, "p/mfr_without_noise": quiet}
    wanted |= {"p/mt5d": 2 * mean, "p/mt5d_without_noise": 2 * quiet}
    assert {k: report.figures[k] for k in wanted} == pytest.approx(wanted)
    section = sections_of(report)["p"]
    assert section.table.columns[-2:] == ("FR", "T5D")
    rows = {name: row[-2:] for name, row in section.table.rows.items()}
    assert rows == {n: pytest.approx((r, 2 * r)) for n, r in rates.items()}
    assert section.notes == ()
    assert section.charts[0].reference == pytest.approx(base)


def test_no_mean_is_over_images_that_were_read_in_two_ways():
    other = suite_c({"snow": [0.5]}, preprocess="resize8-crop8")
    both = suite_c({"fog": [0.5]}) | other
    assert_usage_error(lambda: Report(both), "one preprocess", "resize8-crop8")


MCE, MFR, QUIET = "c/mce", "p/mfr", "p/mfr_without_noise"
HALF, FEW, WORSE = flat(0.5), (4, 5), flat(0.5, brightness=(0.9,) * 5)
STILL, CALM = {**FLAT, "scale": 0.0}, dict.fromkeys(CIFAR[2:], 0.1)


@pytest.mark.parametrize(
    "base, ours, figures, words",
    [
        ([flat(0.5, COMMON[:14])], {}, {MCE: None}, "by for jpeg_compression"),
        ([HALF, None, None, FEW], {"drop": FEW}, {MCE: 50}, "severities 1, 2"),
        ([HALF], {"source": "released"}, {"c_released/mce": None}, "none of"),
        ([HALF], {"n": 40}, {MCE: 50}, "200 per cell, this model on 40"),
        # It does not suffer from brightness: no relative mCE, but a report.
        ([WORSE, 0.9], {"clean": 0.8}, {MCE: 950 / 15}, "no relative mCE: the"),
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


def test_images_that_were_made_otherwise_divide_nothing(tmp_path):
    """Errors under noise of one seed were divided by those of another."""
    reference = saved(on_c(flat(0.5)), tmp_path / "report.json")
    for own, *words in (
        ({"seed": 1}, "version 1, seed 0)", "version 1, seed 1)"),
        ({"generator": "2-tiny"}, "for cifar", "for tiny, generator version 2"),
        ({"data": "1f.3"}, "seed 0) (images 0f)", "seed 0) (images 1f)"),
    ):
        call = lambda o=own: on_c(flat(0.5), None, reference, **o)  # noqa: E731
        assert_usage_error(call, "in section c on images", *words)


def test_the_benchmark_is_that_of_the_images(tmp_path):
    """Snow is of ImageNet-P; among CIFAR's perturbations it is an extra."""
    noise = on_c({"gaussian_noise": (0.5,) * 5}, drop=(1, 4, 5))
    assert "severities 2, 3 only" in noise.text()
    assert "c/mean_accuracy_without_noise" not in noise.figures
    some = on_p({name: FLIPS[name] for name in CIFAR[:4]}, n=1)
    assert some.figures["p/mfp"] == pytest.approx(0.025)
    assert "4 of the benchmark's 10" in sections_of(some)["p"].notes[0]
    assert sections_of(some)["p"].charts[0].errors == {}
    assert re.search(r"  gaussian_noise +1\b.* +– ", some.text())  # No spread.
    # Rates are those of one difficulty.
    itself = saved(on_p(FLIPS, level=2), tmp_path / "harder.json")
    harder = on_p(FLIPS, level=2, reference=itself)
    assert harder.figures["p/mfr"] == pytest.approx(100)
    extra = {**FLIPS, "snow": 0.9, "shear": 0.8}
    report = on_p(extra)
    assert report.figures["p/mfp"] == pytest.approx(0.055)
    assert "shear" in report.text()  # It has no figures.
    only = on_p({"shear": 0.1})  # It opens with nothing.
    assert only.summary() == 'toy "<&>", model abc, gives logits'
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
