"""Runs, their measures and table against NumPy's and SciPy's own formulas."""

import dataclasses
import functools
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from noisymix_tf import flagfiles
from noisymix_tf.comparison import runs, table, writers
from noisymix_tf.comparison.measures import Cell, Measure
from noisymix_tf.evaluation import Reference, metrics
from noisymix_tf.evaluation.reference import alexnet
from support import comparison_runs as made
from support.comparison_runs import FGSM, accuracies, build, flags, write
from support.usage import assert_usage_error

BASES = {"baseline": (0.8, 0.7), "noisymix": (0.9, 0.95), "mixup": (0.8, 0.9)}
REPORT, FLAGS, KEY = "evaluation/report.json", "flags.txt", "clean/accuracy"
OTHER = FGSM.replace("cross", "x")


def _mean_errors(base):
    return np.array([1.1 - base] * 3 + [1.0 - base] * 12)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for method, bases in BASES.items():
        for seed, base in enumerate(bases):
            own = {"c": accuracies(base), "fgsm": {FGSM: 0.25, OTHER: 0.125}}
            own |= {"config": flags(method, seed), "clean": base + 0.05}
            write(folder / f"{method}{seed}", **own)
    return [runs.read(path) for path in runs.find(folder)]


def _cells(built, key=KEY):
    return {r.title: r.cells[key] for r in built.rows if key in r.cells}


def _gaps(built):
    return {title: c.difference for title, c in _cells(built).items()}


def _leaders(built, key=KEY):
    return [t for t, cell in _cells(built, key).items() if cell.is_leader]


def test_columns_are_those_of_the_suites_as_numpy_finds_them(found, tmp_path):
    built = table.build(found)
    assert list(_cells(built)) == ["Baseline", "Mixup", "NoisyMix"]
    assert set(flagfiles.names("method")) <= set(table.TITLES)
    assert [len(columns) for _, columns, _ in built.parts] == [4, 4]
    others = np.mean([_mean_errors(b) for b in BASES["baseline"]], axis=0)
    for row in built.rows:
        base = np.array(BASES[row.method])
        mce = [np.mean(_mean_errors(b) / others) for b in base]
        wanted = base + 0.05, base - 0.02, base, [0.25] * 2, mce, [0.125] * 2
        # All are sure by 95 %.
        wanted = 100 * np.array([*wanted, abs(0.9 - base), 0.97 - base])
        for column, values in zip(built.columns, wanted, strict=True):
            cell = row.cells[column.key]
            own = *cell.values, cell.mean, cell.standard_deviation
            numbers = [*values, values.mean(), values.std(ddof=1)]
            np.testing.assert_allclose(own, numbers, rtol=1e-6, atol=1e-9)
    built = table.build([run for run in found if run.method != "baseline"])
    assert "C, mCE" not in [column.title for column in built.columns]
    own = {**found[0].report, "num_classes": 10}
    few = dataclasses.replace(found[0], report=own)
    call = functools.partial(table.build, [few], "alexnet")
    assert_usage_error(call, "classes of ImageNet-C, this dataset has 10")
    # Means over some of a row's runs.
    own = {
        n: s for n, s in found[-1].report["sections"].items() if n == "clean"
    }
    own = {**found[-1].report, "sections": own}
    few = dataclasses.replace(found[-1], folder=tmp_path, report=own)
    told = table.build([*found[:-1], few]).differing
    assert told == [f"NoisyMix, {s}: 1 of 2 runs" for s in ("C", "FGSM", "ECE")]
    # A section without a label is in no table.
    bare = {"suite": "c", "label": "", "figures": {"accuracy": 0.5}}
    assert runs.shown({"sections": {"a": bare, "b": bare}}) == {}


def test_any_model_is_a_row_of_its_own_name(tmp_path):
    for name, model in (("a", "Mine"), ("b", None), ("c", "x"), ("d", "x")):
        made.evaluation(tmp_path / name, model=model)
    names = ["Mine", "b", *(f"x ({tmp_path / name})" for name in "cd")]
    assert list(_cells(build(tmp_path))) == names


def test_what_divides_is_one_reference_for_all(found, tmp_path):
    path = write(tmp_path / "other", c=accuracies(0.5)) / REPORT
    cell = _cells(table.build(found, str(path)), "c/mce")["NoisyMix"]
    errors = [_mean_errors(base) for base in (0.5, *BASES["noisymix"])]
    wanted = [100 * np.mean(own / errors[0]) for own in errors[1:]]
    assert cell.values == pytest.approx(wanted)
    constants = dict.fromkeys(made.COMMON, [0.5] * 5)
    own, folder = Reference("mine", errors={"*": constants}), tmp_path / "x"
    more = {"reference": own, "c": accuracies(0.5)}
    write(folder / "a", flags(), records=False, **more)
    write(folder / "b", flags("mixup"), **more)
    assert list(_cells(build(folder), "c/mce")) == ["Mixup"]
    path = folder / "mine.json"
    path.write_text(json.dumps({"name": "mine", "errors": constants}))
    cells = _cells(built := build(folder, path), "c/mce").values()
    assert [cell.mean for cell in cells] == pytest.approx([104.0] * 2)
    words = "mean corruption error, per cent of mine, lower is better."
    assert f"C, mCE: {words}" in writers.notes(built)


@pytest.mark.parametrize("source", ["generated", "released"])
def test_published_numbers_stand_beside_the_same_images_only(tmp_path, source):
    config, mine = flags(dataset="imagenet"), {"c": accuracies(0.6)}
    mine |= {"source": source, "about": {"dataset": "imagenet"}}
    for name, reference in (("a", alexnet()), ("b", None)):
        own = {"reference": reference, "generator": None, "seed": None, **mine}
        if source == "generated":
            own |= {"source": "released", "generator": "1-imagenet", "seed": 0}
        write(tmp_path / name / "run", config, fgsm={FGSM: 0.1}, **own)
    divided, built = (build(tmp_path / name) for name in "ab")
    known = {KEY: 77.6, f"fgsm/accuracy[{FGSM}]": 29.6}
    if source == "released":
        known["c_released/mean_accuracy"] = 52.3
        known["c_released/mean_accuracy_without_noise"] = 52.4
        # Without AlexNet's errors mCE is another measure.
        assert divided.published[-1].cells["c_released/mce"].mean == 59.43
        assert "c_released/mce" in built.rows[0].cells
        assert "c_released/mce" not in built.published[-1].cells
    else:
        notes = str(writers.notes(divided))
        assert "not comparable with published mCE" in notes
    paper = divided.published[9].cells
    assert {key: cell.mean for key, cell in paper.items()} == known


def _trio(folder, **more):
    for name, accuracy in (("a", 0.9), ("b", 0.895), ("c", 0.6)):
        own = {"clean": accuracy, "model": name.upper(), **more}
        made.evaluation(folder / name, **own)
    return folder


def test_bold_is_what_equals_the_best_and_pairs_are_told(tmp_path, found):
    own = tmp_path / "own"
    built = build(_trio(own))
    assert _leaders(built) == ["A", "B"] and built.target == "the best"
    words = "on clean images A and B lead and cannot be told from the best."
    assert built.verdict == f"Of these runs, {words}"
    # Of what cannot be told apart nothing leads.
    even = table.build([runs.read(own / name) for name in "ab"])
    assert not _leaders(even) and even.verdict.endswith(" told from the best.")
    assert "Nothing is bold in Clean; Clean, ECE: no row " in str(
        writers.notes(even)
    )
    gaps = _gaps(built)
    assert gaps["A"] is None and gaps["C"].is_paired and gaps["C"].high < 0.0
    for name, flips in (("x", 0.02), ("y", 0.01)):
        made.evaluation(tmp_path / "p" / name, p={"tilt": flips})
    built = build(tmp_path / "p")
    assert _leaders(built, "p/mfp") == ["y"]
    assert built.rows[0].text(built.columns[1]) == "2.00 ± 0.00"
    assert not _leaders(build(own / "a"))
    gaps = _gaps(built := build(own, baseline="B"))
    assert gaps["B"] is None and _leaders(built) == ["A", "B"]
    assert gaps["A"].difference == pytest.approx(0.5)
    assert gaps["C"].difference == pytest.approx(-29.5)
    assert table.build(found, baseline="noisymix").target == "NoisyMix"
    words = "--baseline=D stands for 0 rows: give one of A, B, C."
    assert_usage_error(lambda: build(own, baseline="D"), words)
    both, alone = _trio(tmp_path / "x"), _trio(tmp_path / "y", records=False)
    paired, apart = (_gaps(build(folder))["B"] for folder in (both, alone))
    assert paired.is_paired and not apart.is_paired
    assert apart.difference == pytest.approx(paired.difference)
    assert apart.high - apart.low > 3 * (paired.high - paired.low)
    words = "Not paired, in some columns: B; C."
    assert words in str(writers.notes(build(alone)))
    # Where an error is not known, nothing is bold.
    path = alone / "b/report.json"
    pattern, text = '("standard_errors": ){.*?}', path.read_text()
    path.write_text(re.sub(pattern, r"\1{}", text))
    built = build(alone)
    assert built.rows[1].difference(built.columns[0]) == "−0.5 [?, ?]"
    assert not _leaders(built)
    assert "Nothing is bold in Clean; Clean, ECE: of some" in str(
        writers.notes(built)
    )
    assert built.verdict.endswith("told apart, as errors are not known.")
    made.evaluation(both / "d", clean=0.5, about={"data": "77.5"})
    made.evaluation(both / "e", clean=0.5, n=100)
    gaps = _gaps(build(both, anyway=True))
    paired = [title for title, gap in gaps.items() if gap and gap.is_paired]
    assert paired == ["B", "C"] and len(gaps) == 5


def test_rows_tell_what_they_differ_in_or_do_not_compare(tmp_path, found):
    config, fgsm = flags("mixup", learning_rate=0.05), {FGSM: 0.1}
    own = write(tmp_path / "mixup", config, fgsm=fgsm) / FLAGS
    own.write_text(re.sub("--clip_norm.*\n", "", own.read_text()))
    for weight in (12.0, 6.0):
        config = flags("noisymix", jsd_weight=weight)
        more = {"c": {"fog": {1: 0.5}}, "fgsm": {OTHER: 0.1}}
        write(tmp_path / f"{weight}", config, **more)
    built = build(tmp_path)
    names = [f"NoisyMix (jsd_weight={weight})" for weight in (12.0, 6.0)]
    assert list(_cells(built)) == ["Mixup", *names]
    notes = "\n".join(writers.notes(built))
    assert notes.count("Rows differ in learning_rate: 0.05 (Mixup); 0.1 (") == 1
    assert "seed 0). Means are over 1 of the benchmark's 15" in notes
    assert notes.count("Rows differ") == 1
    notes = writers.notes(table.build(found[1:]))
    assert "Baseline: 1 of 2 seeds." in notes and "(seeds" not in notes[0]
    # What lies in a run is no run of its own.
    below = [write(tmp_path / "x" / name) for name in ("b/seed0", "a/seed1")]
    write(below[0] / "inner")
    # Nor has toy one in its folder beside them.
    (tmp_path / "x/toy").mkdir()
    (tmp_path / "x/toy" / FLAGS).write_text("--output_dir=toy\n--seeds=2\n")
    assert runs.find(tmp_path / "x") == below[::-1]
    assert runs.find(below[0] / "evaluation") == below[:1]
    upper = write(tmp_path / "x" / "c")
    made.evaluation(upper / "robustness")
    assert runs.find(tmp_path / "x") == [*below[::-1], upper]
    fog, snow = ({n: dict.fromkeys(range(1, 6), 0.5)} for n in ("fog", "snow"))
    folder = flags("mixup", dataset="folder", data_dir="b")
    rows = (
        ("config", flags("mixup", epochs=4), ["epochs: 3 (", "a); 4 ("]),
        ("config", folder, ["digits ", "; folder ", "data_dir: not set "]),
        ("config", flags(), ["seed 0 of Baseline is there 2 times, "]),
        ("n", 100, ["clean: 200 images, ", "; 100 images"]),
        ("c", {"fog": {1: 0.5}}, ["c: 200 images", "5 cells ", "1 cells "]),
        ("c", snow, ["c: 200 images", " 5 cells "]),
        # Their number and origin are the same, the images are not.
        ("about", {"data": "77.5"}, ["classes: 1234 (", "; 77 ("]),
    )
    for place, (name, value, words) in enumerate(rows):
        both = tmp_path / f"{place}"
        write(both / "a", c=fog, about={"data": "1234.5"})
        about = {"about": {"data": "1234.6"}, "config": flags("mixup")}
        write(both / "b", **{"c": fog, **about, name: value})
        words += ["These runs do not compare: ", "--compare_anyway"]
        line = assert_usage_error(lambda f=both: build(f), *words)
        assert name == "about" or "classes" not in line
        notes = writers.notes(build(both, anyway=True))
        assert any(note.startswith("Differs: ") for note in notes)
    # The test images are the same, those of the files are not.
    for name, method in (("a", "baseline"), ("b", "mixup")):
        own = {"c": fog, "source": "released", "data": f"{name}1.2"}
        write(tmp_path / "files" / name, flags(method), **own)
    words = "compare: c_released, images: ", " (", "; "
    assert_usage_error(lambda: build(tmp_path / "files"), *words)


def test_epochs_count_once_for_each_view_where_passes_are_equal(tmp_path):
    for name, epochs, own in (
        ("mixup", 6, {"stability": "none"}),
        ("augmix", 2, {}),
        ("noisymix_short", 3, {"stability": "jsd", "num_views": 2}),
    ):
        write(tmp_path / name, flags(name, epochs=epochs, **own))
    words = "epochs: 2 ", "; 6 ", "; 3 "
    assert_usage_error(lambda: build(tmp_path), *words)
    found = build(tmp_path, equal_passes=True)
    assert "6 passes of each image" in found.title
    write(
        tmp_path / "more",
        flags("baseline", epochs=5, num_views=1, stability="none"),
    )
    words = "passes of each image: 6 ", "; 5 "
    assert_usage_error(lambda: build(tmp_path, equal_passes=True), *words)


def test_what_is_damaged_is_told_in_one_line(tmp_path):
    no_report, all_of_it = ["no report of schema 3"], r"(?s)^.+"
    rows = (
        (REPORT, r"(?s).{20}$", "", ["cannot be read ", "remove it"]),
        (REPORT, all_of_it, '{"schema": 2}', no_report),
        (REPORT, r'(: {"accuracy": )[\d.]+', r'\1"high"', no_report),
        (REPORT, '"kinds": {', '"kinds": {}, "more": {', no_report),
        (REPORT, '"cells": {', '"cells": {"x": 3, ', no_report),
        (REPORT, '"about": {', '"about": {"model": 3', no_report),
        (REPORT, '"dataset": ".*?",', '"dataset": 3,', no_report),
        (REPORT, '"model": "abc"', '"model": "d"', ["not of the same model"]),
        (FLAGS, all_of_it, "--schemes=a\n", ["holds no run, or a dam"]),
    )
    for place, (name, old, new, words) in enumerate(rows):
        folder = write(tmp_path / f"{place}", c={"fog": {1: 0.5}})
        text, count = re.subn(old, new, (folder / name).read_text(), count=1)
        (folder / name).write_bytes(text.encode("latin-1"))
        assert count == 1
        assert_usage_error(lambda f=folder: build(f), folder, *words)


N, DRAWS = 400, metrics.REPLICATES
# The other model is right where the first one is, but for 8 images.
RIGHT = np.random.default_rng(0).permutation(N) < 0.8 * N
WORSE = RIGHT & (np.cumsum(RIGHT) > 8)


def measure(right, images="these"):
    metric = 100.0 * metrics.means(right)
    error = metrics.error(metric)
    return Measure(float(metric[0]), error, metric[1:], images)


OURS, THEIRS = measure(RIGHT), measure(WORSE)


def test_what_both_models_get_right_cancels_but_not_over_other_images():
    paired = (100.0 * (RIGHT.astype(float) - WORSE)).std(ddof=1) / math.sqrt(N)
    apart = math.hypot(OURS.error, THEIRS.error)
    alone, other = Measure(THEIRS.value, THEIRS.error), measure(WORSE, "those")
    for own, error, is_paired in (
        ([THEIRS], paired, True),
        ([other], apart, False),
        ([alone], apart, False),
        ([THEIRS, other], apart, False),
    ):
        found = Cell([OURS]).minus(Cell(own))
        half = stats.t.ppf(0.975, DRAWS - 1) * error
        assert found.difference == pytest.approx(2.0)
        assert found.high - 2.0 == pytest.approx(half, rel=0.15)
        assert 2.0 - found.low == pytest.approx(found.high - 2.0)
        assert found.is_paired == (found.low > 0.0) == is_paired


def test_runs_add_their_variance_by_their_number_if_all_have_one():
    values, others = (80.0, 83.0, 84.0), (79.0, 80.0)
    ours = Cell([Measure(v, 1.5) for v in values])
    theirs = Cell([Measure(v, 2.0) for v in others])
    assert ours.standard_deviation == pytest.approx(np.std(values, ddof=1))
    parts = [np.var(own, ddof=1) / len(own) for own in (values, others)]
    assert ours.standard_error == pytest.approx(math.sqrt(1.5**2 + parts[0]))
    images = 1.5**2 + 2.0**2
    squares = images**2 / (DRAWS - 1) + parts[0] ** 2 / 2 + parts[1] ** 2
    variance = images + sum(parts)
    gap, error = np.mean(values) - np.mean(others), math.sqrt(variance)
    ends = stats.t.interval(0.95, variance**2 / squares, gap, error)
    found = ours.minus(theirs)
    assert (found.low, found.high) == pytest.approx(ends)
    opposite = np.roll(RIGHT, N // 2)
    cell = Cell([OURS, measure(opposite)])
    error = 50.0 * (RIGHT + opposite.astype(float)).std() / math.sqrt(N)
    assert cell.standard_error == pytest.approx(error, rel=0.15)
    found = Cell([Measure(3.0)]).minus(Cell([Measure(2.0, 0.5)]))
    assert (found.difference, found.low, found.high) == (1.0, None, None)
    assert found.text(1) == "+1.0 [?, ?]"
    same = Cell([Measure(2.0, 0.0)])
    assert (same.minus(same).low, same.minus(same).high) == (0.0, 0.0)
