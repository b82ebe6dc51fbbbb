"""The table of a comparison against means, deviations and ratios by NumPy."""

import numpy as np
import pytest

from noisymix_tf import flagfiles
from noisymix_tf.comparison import methods, runs, table
from noisymix_tf.evaluation import Reference
from noisymix_tf.evaluation.reference import alexnet
from support.comparison_runs import (
    COMMON,
    FGSM,
    NOISES,
    PERTURBATIONS,
    accuracies,
    build,
    flags,
    with_flags,
    write,
)
from support.usage import assert_usage_error

BASES = {"baseline": (0.8, 0.78), "noisymix": (0.9, 0.93), "mixup": (0.8, 0.9)}


def _flips(base):
    return (1 - base) * (1 + 0.1 * np.arange(len(PERTURBATIONS)))


def _errors(base):
    rows = accuracies(base, noise=0.1)
    return np.array([[1 - a for a in rows[c].values()] for c in COMMON])


def _measured(base):
    return {
        "clean": base + 0.05,
        "c": accuracies(base, noise=0.1),
        "p": dict(zip(PERTURBATIONS, _flips(base).tolist())),
        "fgsm": {FGSM: base - 0.5, FGSM.replace("cross", "x"): base - 0.6},
    }


def _expected(base):
    """What stands in the columns, in per cent."""
    errors, flips = _errors(base), _flips(base)
    quiet = [name not in NOISES for name in COMMON]
    calm = [not name.endswith("_noise") for name in PERTURBATIONS]
    others = np.mean([_errors(b) for b in BASES["baseline"]], axis=0)
    rates = flips / np.mean([_flips(b) for b in BASES["baseline"]], axis=0)
    return {
        "clean": 100 * base + 5,
        "c": 100 - 100 * errors.mean(),
        "c_without_noise": 100 - 100 * errors[quiet].mean(),
        "c_mce": 100 * np.mean(errors.sum(1) / others.sum(1)),
        "p_mfp": 100 * flips.mean(),
        "p_mfp_without_noise": 100 * flips[calm].mean(),
        "p_mfr": 100 * rates.mean(),
        "p_mfr_without_noise": 100 * rates[calm].mean(),
        f"fgsm[{FGSM}]": 100 * base - 50,
        f"fgsm[{FGSM.replace('cross', 'x')}]": 100 * base - 60,
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for method, bases in BASES.items():
        for seed, base in enumerate(bases):
            place = folder / f"{method}{seed}"
            write(place, flags(method, seed), **_measured(base))
    return [runs.read(path) for path in runs.find(folder)]


@pytest.fixture(scope="module")
def built(found):
    return table.build(found)


def _row(built, method):
    return next(row for row in built.rows if row.method == method)


def _columns(built):
    return {column.key: column for column in built.columns}


def test_rows_and_columns_are_those_of_the_paper(built):
    assert [r.title for r in built.rows] == ["Baseline", "Mixup", "NoisyMix"]
    (heading, main), (_, more) = built.parts
    assert heading == ""
    titles = [column.title for column in main]
    assert titles[:3] == ["Clean", "C", "C without noise"]
    mfr = "mFR (Baseline)"
    assert titles[3:] == [f"P, {mfr}", f"P without noise, {mfr}", "FGSM 4/255"]
    keys = [column.key for column in more]
    assert keys[:3] == ["c_mce", "p_mfp", "p_mfp_without_noise"]
    assert "in per cent of the errors or flips of Baseline" in str(built.notes)
    order = ["baseline", "autoaugment", "mixup", "manifold_mixup", "cutmix"]
    order += ["puzzlemix", "augmix", "noisymix", "of my own"]
    assert sorted(order[::-1], key=methods.place) == order
    assert set(flagfiles.names("method")) <= set(methods.TITLES)
    assert methods.title("of_my_own") == "of my own"
    # What a bar has room for.
    assert max(map(len, methods.TITLES.values())) <= 19


@pytest.mark.parametrize("method", BASES)
def test_means_deviations_and_ratios_are_those_of_numpy(built, method):
    cells = _row(built, method).cells
    first, second = map(_expected, BASES[method])
    assert cells.keys() == first.keys()
    for key, cell in cells.items():
        values = [first[key], second[key]]
        np.testing.assert_allclose(cell.values, values)
        assert cell.mean == pytest.approx(np.mean(values))
        deviation = np.std(values, ddof=1)
        assert cell.deviation == pytest.approx(deviation)
        assert cell.error == pytest.approx(deviation / 2**0.5)


def test_without_a_baseline_nothing_is_divided(found):
    built = table.build([run for run in found if run.method != "baseline"])
    columns = _columns(built)
    assert "c_mce" not in columns and "p_mfr" not in columns
    flips = columns["p_mfp"]
    assert flips.is_main and not flips.higher_is_better
    # A flip is rare: 0.26 and 0.34 % are not the same.
    cell = built.rows[0].cells["p_mfp"]
    words = f"{cell.mean:.2f} ± {cell.deviation:.2f}"
    assert built.rows[0].text(flips) == words
    assert any("not divided" in note for note in built.notes)


def test_a_reference_of_ones_own_comes_first(found, tmp_path):
    """One of another difficulty divides no flips."""
    path = write(tmp_path / "other", **_measured(0.5))
    path = path / "evaluation" / "report.json"
    text = path.read_text().replace('"difficulty": 1', '"difficulty": 2')
    path.write_text(text)
    built = table.build(found, str(path))
    expected = [
        100 * np.mean(_errors(b).sum(1) / _errors(0.5).sum(1))
        for b in BASES["noisymix"]
    ]
    values = _row(built, "noisymix").cells["c_mce"].values
    np.testing.assert_allclose(values, expected)
    assert _columns(built)["p_mfr"].divisor == "Baseline"
    mce = _columns(built)["c_mce"]
    assert (mce.divisor, mce.title) == (str(path), "mCE (reference)")


def test_alexnet_where_the_reports_have_it(tmp_path):
    constants = {c: [0.5] * 5 for c in COMMON}
    own = Reference(alexnet().name, errors={"*": constants})
    for method, base in (("baseline", 0.6), ("noisymix", 0.7)):
        config = flags(method, dataset="imagenet")
        more = {"reference": own, "source": "released", **_measured(base)}
        write(tmp_path / method, config, **more)
    built = build(tmp_path)
    assert _columns(built)["c_released_mce"].divisor == "AlexNet"
    # Its flips were never published.
    assert _columns(built)["p_mfr"].divisor == "Baseline"
    # So that what the paper has of them stands in columns of its own.
    title = "NoisyMix (ResNet-50, Table"
    (paper,) = (r for r in built.published if r.title.startswith(title))
    assert {key: cell.mean for key, cell in paper.cells.items()} == {
        "clean": 77.6,
        "c_released": 52.3,
        "c_released_without_noise": 52.4,
        "p_mfr[published]": 28.5,
        "p_mfr_without_noise[published]": 29.7,
        f"fgsm[{FGSM}]": 29.6,
    }
    bench = [r for r in built.published if r.source == "RobustBench"]
    assert bench[-1].cells["c_released_mce"].mean == 59.43
    assert any("Published: Erichson" in note for note in built.notes)


def test_the_best_is_what_no_other_row_shows_better(built, tmp_path):
    """One decimal is shown; published rows are never the best."""
    for key in ("clean", "p_mfr"):
        column = _columns(built)[key]
        best = [r.method for r in built.rows if built.is_best(r, column)]
        assert best == ["noisymix"]
    for method, clean in (("baseline", 0.70004), ("mixup", 0.7001)):
        config = flags(method, dataset="cifar10")
        write(tmp_path / method, config, clean=clean, c=accuracies(0.6))
    tied = build(tmp_path)
    assert all(tied.is_best(row, tied.columns[0]) for row in tied.rows)
    last = tied.published[-1]
    assert last.title == "NoisyMix (WRN-28-4, RobustBench)"
    assert last.cells["c[published]"].mean == 92.78
    assert not any(tied.is_best(last, column) for column in tied.columns)
    alone = build(tmp_path / "mixup")
    assert not alone.is_best(alone.rows[0], alone.columns[0])


@pytest.mark.parametrize("more", [{}, {"source": "released", "made": True}])
def test_published_numbers_of_files_are_not_those_of_generated_images(
    tmp_path, more
):
    """They stood in one column, without the caveat of the report."""
    more = {"reference": alexnet(), "c": accuracies(0.6), **more}
    write(tmp_path / "run", flags(dataset="imagenet"), **more)
    built = build(tmp_path)
    own = {key for row in built.rows for key in row.cells}
    theirs = {key for row in built.published for key in row.cells}
    assert own & theirs == {"clean"}
    titles = {column.key: column.title for column in built.columns}
    assert titles["c[published]"] == "C, released files"
    assert titles["c_mce[published]"] == "mCE, released files (AlexNet)"
    assert len(set(titles.values())) == len(titles)
    (note,) = [n for n in built.notes if "not comparable with" in n]
    assert note.startswith(titles[max(k for k in own if "mce" in k)])


def test_runs_of_other_hyperparameters_are_rows_of_their_own(tmp_path):
    for weight in (12.0, 6.0):
        config = with_flags(flags("noisymix"), "method", jsd_weight=weight)
        write(tmp_path / f"{weight}", config)
    write(tmp_path / "mixup", flags("mixup", learning_rate=0.05))
    built = build(tmp_path)
    titles = [f"NoisyMix (jsd_weight={weight})" for weight in ("12.0", "6.0")]
    assert [row.title for row in built.rows] == ["Mixup", *titles]
    (note,) = [n for n in built.notes if n.startswith("Rows differ")]
    assert note.startswith("Rows differ in learning_rate: 0.05 (Mixup); 0.1 (")


def test_missing_seeds_and_means_over_a_part_are_told(found, tmp_path):
    built = table.build(found[1:])
    assert built.rows[0].title == "Baseline [1 of 2 seeds]"
    assert built.rows[0].cells["clean"].deviation is None
    assert "seeds 0" not in built.notes[0]
    write(tmp_path / "a", c={"fog": {1: 0.5}})
    (note,) = [n for n in build(tmp_path).notes if n.startswith("C: ")]
    assert "seed 0). Means are over 1 of the benchmark's 15" in note


FOG, SNOW = ({n: dict.fromkeys(range(1, 6), 0.5)} for n in ("fog", "snow"))


def _other(group, **values):
    return {"config": with_flags(flags("mixup"), group, **values)}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_other("optimizer", epochs=4), ["epochs: 3 (", "a); 4 (", "b)"]),
        (_other("model", width=1.0), ["width: 0.5 ", "; 1.0 "]),
        (_other("data", train_examples=9), ["train_examples: not set ", "; 9"]),
        (
            _other("data", dataset="folder", data_dir="b"),
            ["dataset: digits ", "; folder ", "data_dir: not set ", "; b ("],
        ),
        ({"n": 100}, ["clean: 200 images, ", "; 100 images"]),
        ({"c": {"fog": {1: 0.5}}}, ["c: 5 cells ", "; 1 cells"]),
        ({"c": SNOW}, ["c: other cells"]),
        # Their number and origin are the same, the images are not.
        ({"data": "77.5"}, ["classes: 1234 (", "; 77 ("]),
        ({"config": flags()}, ["seed 0 of Baseline is there 2 times ("]),
    ],
)
def test_what_does_not_compare(tmp_path, other, words):
    write(tmp_path / "a", c=FOG, data="1234.5")
    other = {"config": flags("mixup"), "c": FOG, "data": "1234.6", **other}
    write(tmp_path / "b", **other)
    line = assert_usage_error(lambda: build(tmp_path), *words)
    assert line.startswith("These runs do not compare: ")
    assert "--compare_anyway" in line
    notes = build(tmp_path, anyway=True).notes
    assert any(note.startswith("Differs: ") for note in notes)


def test_a_reference_of_other_images_does_not_divide(tmp_path):
    """Files that were copied have other times, and compare."""
    for name, data in (("a", "1234.5"), ("b", "1234.6")):
        write(tmp_path / "runs" / name, flags(name), data=data)
    report = write(tmp_path / "c", data="77.5") / "evaluation/report.json"
    found = tmp_path / "runs"
    build(found)
    words = "json' was measured on toy"
    assert_usage_error(lambda: build(found, str(report)), words)
    assert_usage_error(lambda: build(found, "no.json"), "cannot be read")
