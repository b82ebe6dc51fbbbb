"""The table of a comparison against means, deviations and ratios by NumPy."""

import numpy as np
import pytest

from noisymix_tf import flagfiles
from noisymix_tf.comparison import methods, runs, table
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import Reference
from noisymix_tf.evaluation.reference import alexnet
from support import comparison_runs
from support.comparison_runs import (
    COMMON,
    FGSM,
    NOISES,
    PERTURBATIONS,
    accuracies,
)

BASES = {("baseline", 0): 0.8, ("baseline", 1): 0.78, ("noisymix", 0): 0.9}
BASES[("noisymix", 1)] = 0.93
BASES[("mixup", 0)] = 0.82
BASES[("mixup", 1)] = 0.85


def _flips(base):
    return {p: base * (1 + 0.1 * k) for k, p in enumerate(PERTURBATIONS)}


def _measured(base):
    return {
        "clean": base + 0.05,
        "c": accuracies(base, noise=0.1),
        "p": _flips(1 - base),
        "fgsm": {FGSM: base - 0.5, FGSM.replace("cross", "x"): base - 0.6},
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        runs.read(
            comparison_runs.write(
                folder / f"{method}{seed}",
                comparison_runs.flags(method, seed),
                **_measured(base),
            )
        )
        for (method, seed), base in BASES.items()
    ]


@pytest.fixture(scope="module")
def built(found):
    return table.build(found)


def _row(built, method):
    return next(row for row in built.rows if row.method == method)


def _values(method, function):
    return [function(b) for (m, _), b in BASES.items() if m == method]


def _errors(base):
    rows = accuracies(base, noise=0.1)
    return np.array([[1 - a for a in rows[c].values()] for c in COMMON])


def test_rows_are_in_the_order_of_the_paper(built):
    assert [r.method for r in built.rows] == ["baseline", "mixup", "noisymix"]
    assert [r.title for r in built.rows] == ["Baseline", "Mixup", "NoisyMix"]
    order = ["baseline", "autoaugment", "mixup", "manifold_mixup", "cutmix"]
    order += ["puzzlemix", "augmix", "noisymix", "of my own"]
    assert sorted(order[::-1], key=methods.place) == order


def test_every_method_has_a_title():
    assert set(flagfiles.names("method")) <= set(methods.TITLES)
    assert methods.title("of_my_own") == "of my own"
    # What a bar has room for.
    assert max(map(len, methods.TITLES.values())) <= 19


def test_the_form_is_that_of_the_paper(built):
    (heading, main), (_, more) = built.parts
    assert heading == ""
    assert [column.title for column in main] == [
        "Clean",
        "C",
        "C without noise",
        "P, mFR (Baseline)",
        "P without noise, mFR (Baseline)",
        "FGSM 4/255",
    ]
    assert [column.key for column in more][:3] == [
        "c_mce",
        "p_mfp",
        "p_mfp_without_noise",
    ]


@pytest.mark.parametrize("method", ["baseline", "mixup", "noisymix"])
def test_means_and_deviations_are_those_of_numpy(built, method):
    quiet = [k for k, name in enumerate(COMMON) if name not in NOISES]
    expected = {
        "clean": lambda b: b + 0.05,
        "c": lambda b: 1 - _errors(b).mean(),
        "c_without_noise": lambda b: 1 - _errors(b)[quiet].mean(),
        "p_mfp": lambda b: np.mean(list(_flips(1 - b).values())),
        f"fgsm[{FGSM}]": lambda b: b - 0.5,
    }
    for key, function in expected.items():
        values = 100 * np.array(_values(method, function))
        cell = _row(built, method).cells[key]
        np.testing.assert_allclose(cell.values, values)
        assert cell.mean == pytest.approx(np.mean(values))
        assert cell.deviation == pytest.approx(np.std(values, ddof=1))
        assert cell.error == pytest.approx(np.std(values, ddof=1) / 2**0.5)


@pytest.mark.parametrize("method", ["baseline", "mixup", "noisymix"])
def test_errors_and_flips_are_divided_by_the_mean_baseline(built, method):
    base = np.mean(_values("baseline", _errors), axis=0)

    def mce(b):
        return 100 * np.mean(_errors(b).sum(1) / base.sum(1))

    names = list(PERTURBATIONS)
    quiet = [k for k, n in enumerate(names) if not n.endswith("_noise")]
    flips = np.mean(
        _values("baseline", lambda b: [*_flips(1 - b).values()]), axis=0
    )

    def rates(b):
        return 100 * np.array([*_flips(1 - b).values()]) / flips

    cells = _row(built, method).cells
    np.testing.assert_allclose(cells["c_mce"].values, _values(method, mce))
    np.testing.assert_allclose(
        cells["p_mfr"].values, _values(method, lambda b: rates(b).mean())
    )
    np.testing.assert_allclose(
        cells["p_mfr_without_noise"].values,
        _values(method, lambda b: rates(b)[quiet].mean()),
    )
    if method == "baseline":
        assert cells["c_mce"].mean == pytest.approx(100)
        assert cells["p_mfr"].mean == pytest.approx(100)
    assert "in per cent of the errors or flips of Baseline" in str(built.notes)


def test_without_a_baseline_nothing_is_divided(found):
    built = table.build([run for run in found if run.method != "baseline"])
    keys = {c.key: c for c in built.columns}
    assert "c_mce" not in keys and "p_mfr" not in keys
    assert keys["p_mfp"].is_main and not keys["p_mfp"].higher_is_better
    # A flip is rare: 0.26 and 0.34 % are not the same.
    cell = built.rows[0].cells["p_mfp"]
    words = f"{cell.mean:.2f} ± {cell.deviation:.2f}"
    assert built.rows[0].text(keys["p_mfp"]) == words
    assert any("not divided" in note for note in built.notes)


def test_a_reference_of_ones_own_comes_first(found, tmp_path):
    path = (
        comparison_runs.write(tmp_path / "other", **_measured(0.5))
        / "evaluation/report.json"
    )
    cells = _row(table.build(found, str(path)), "noisymix").cells
    expected = _values(
        "noisymix",
        lambda b: 100 * np.mean(_errors(b).sum(1) / _errors(0.5).sum(1)),
    )
    np.testing.assert_allclose(cells["c_mce"].values, expected)
    with pytest.raises(UsageError, match="cannot be read"):
        table.build(found, "nowhere.json")


def test_a_reference_of_another_difficulty_divides_no_flips(found, tmp_path):
    folder = comparison_runs.write(tmp_path / "other", **_measured(0.5))
    path = folder / "evaluation" / "report.json"
    path.write_text(
        path.read_text().replace('"difficulty": 1', '"difficulty": 2')
    )
    columns = {c.key: c for c in table.build(found, str(path)).columns}
    assert columns["p_mfr"].divisor == "Baseline"
    assert columns["c_mce"].divisor == str(path)
    assert columns["c_mce"].title == "mCE (reference)"


def test_alexnet_where_the_reports_have_it(tmp_path):
    constants = {c: [0.5] * 5 for c in COMMON}
    for method, base in (("baseline", 0.6), ("noisymix", 0.7)):
        comparison_runs.write(
            tmp_path / method,
            comparison_runs.flags(method, dataset="imagenet"),
            reference=Reference(alexnet().name, errors={"*": constants}),
            c=accuracies(base),
            p=_flips(1 - base),
            fgsm={FGSM: 0.3},
            source="released",
        )
    built = table.build([runs.read(path) for path in runs.find(tmp_path)])
    columns = {column.key: column for column in built.columns}
    assert columns["c_released_mce"].divisor == "AlexNet"
    # Its flips were never published.
    assert columns["p_mfr"].divisor == "Baseline"
    # So that what the paper has of them stands in columns of its own.
    (paper,) = (
        r
        for r in built.published
        if r.title.startswith("NoisyMix (ResNet-50, Table")
    )
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
    columns = {column.key: column for column in built.columns}

    def best(key):
        return [
            row.method for row in built.rows if built.is_best(row, columns[key])
        ]

    assert best("clean") == ["noisymix"]
    assert best("p_mfr") == ["noisymix"]
    alike = []
    for method, clean in (("baseline", 0.90004), ("mixup", 0.9001)):
        folder = comparison_runs.write(
            tmp_path / method, comparison_runs.flags(method), clean=clean
        )
        alike.append(runs.read(folder))
    tied = table.build(alike)
    # One decimal is shown.
    assert all(tied.is_best(row, tied.columns[0]) for row in tied.rows)
    alone = table.build(alike[:1])
    assert not alone.is_best(alone.rows[0], alone.columns[0])


def test_published_rows_are_never_the_best(tmp_path):
    for method in ("baseline", "noisymix"):
        comparison_runs.write(
            tmp_path / method,
            comparison_runs.flags(method, dataset="cifar10"),
            clean=0.7,
            c=accuracies(0.6),
        )
    built = table.build([runs.read(path) for path in runs.find(tmp_path)])
    last = built.published[-1]
    assert last.title == "NoisyMix (WRN-28-4, RobustBench)"
    assert last.cells["c[published]"].mean == 92.78
    assert not any(built.is_best(last, column) for column in built.columns)


def test_published_numbers_of_files_are_not_those_of_generated_images(
    tmp_path,
):
    """They stood in one column, without the caveat of the report."""
    for name, more in (
        ("generated", {}),
        ("written", {"source": "released", "made": True}),
    ):
        comparison_runs.write(
            tmp_path / name,
            comparison_runs.flags(dataset="imagenet"),
            reference=alexnet(),
            c=accuracies(0.6),
            **more,
        )
        built = table.build([runs.read(tmp_path / name)])
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
    config = comparison_runs.flags("noisymix")
    for name, weight in (("a", 12.0), ("b", 6.0)):
        comparison_runs.write(
            tmp_path / name,
            comparison_runs.with_flags(config, "method", jsd_weight=weight),
        )
    comparison_runs.write(
        tmp_path / "c",
        comparison_runs.flags("mixup", learning_rate=0.05),
    )
    built = table.build([runs.read(path) for path in runs.find(tmp_path)])
    assert [row.title for row in built.rows] == [
        "Mixup",
        "NoisyMix (jsd_weight=12.0)",
        "NoisyMix (jsd_weight=6.0)",
    ]
    (note,) = [n for n in built.notes if n.startswith("Rows differ")]
    assert note.startswith("Rows differ in learning_rate: 0.05 (Mixup); 0.1 (")


def test_missing_seeds_are_told(found):
    built = table.build(found[1:])
    assert built.rows[0].title == "Baseline [1 of 2 seeds]"
    assert built.rows[0].cells["clean"].deviation is None
    assert "seeds 0" not in built.notes[0]


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        ("optimizer", {"epochs": 4}, r"epochs: 3 \(.*a\); 4 \(.*b\)"),
        ("optimizer", {"batch_size": 32}, "batch_size: 64 .*; 32 "),
        ("model", {"width": 1.0}, "width: 0.5 .*; 1.0 "),
        ("model", {"model": "resnet56"}, "model: resnet20 .*; resnet56"),
        ("data", {"dataset": "cifar10"}, "dataset: digits .*; cifar10"),
        ("data", {"train_examples": 9}, "train_examples: not set .*; 9"),
    ],
)
def test_budgets_must_be_equal(tmp_path, group, values, words):
    config = comparison_runs.flags("mixup")
    comparison_runs.write(tmp_path / "a")
    comparison_runs.write(
        tmp_path / "b", comparison_runs.with_flags(config, group, **values)
    )
    found = [runs.read(path) for path in runs.find(tmp_path)]
    with pytest.raises(UsageError, match=f"do not compare: {words}") as error:
        table.build(found)
    assert "--compare_anyway" in str(error.value)
    built = table.build(found, anyway=True)
    assert any(note.startswith("Differs: ") for note in built.notes)


def test_means_over_a_part_are_told(tmp_path):
    comparison_runs.write(tmp_path / "a", c={"fog": {1: 0.5}})
    built = table.build([runs.read(tmp_path / "a")])
    (note,) = [n for n in built.notes if n.startswith("C: ")]
    assert "seed 0). Means are over 1 of the benchmark's 15" in note


def test_folders_are_known_by_their_place(tmp_path):
    for name in ("a", "b"):
        config = comparison_runs.flags(name, dataset="folder")
        config = comparison_runs.with_flags(config, "data", data_dir=name)
        comparison_runs.write(tmp_path / name, config)
    with pytest.raises(UsageError, match=r"data_dir: a .*; b "):
        table.build([runs.read(path) for path in runs.find(tmp_path)])


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({"n": 100}, "clean: 200 images, .*; 100 images"),
        ({"c": {"fog": {1: 0.5}}}, "c: 5 cells .*; 1 cells"),
        ({"c": {"snow": dict.fromkeys(range(1, 6), 0.5)}}, "c: other cells"),
    ],
)
def test_measurements_must_be_alike(tmp_path, measured, words):
    fog = {"fog": dict.fromkeys(range(1, 6), 0.5)}
    comparison_runs.write(tmp_path / "a", c=fog)
    comparison_runs.write(
        tmp_path / "b", comparison_runs.flags("mixup"), **{"c": fog, **measured}
    )
    with pytest.raises(UsageError, match=words):
        table.build([runs.read(path) for path in runs.find(tmp_path)])


def test_other_test_images_of_one_folder_do_not_compare(tmp_path):
    """Their number and origin are the same, the images are not."""
    for name, data in (("a", "1234.5"), ("b", "1234.6"), ("c", "77.5")):
        comparison_runs.write(
            tmp_path / name, comparison_runs.flags(name), data=data
        )
    found = [runs.read(path) for path in runs.find(tmp_path)]
    # Files that were copied have other times.
    table.build(found[:2])
    with pytest.raises(UsageError, match=r"classes: 1234 .*; 77 \(.*c\)"):
        table.build(found)
    report = tmp_path / "c" / "evaluation" / "report.json"
    with pytest.raises(UsageError, match=r"json' was measured on toy"):
        table.build(found[:2], str(report))


def test_the_same_seed_counts_once(tmp_path):
    for name in ("a", "b"):
        comparison_runs.write(tmp_path / name)
    with pytest.raises(UsageError, match=r"seed 0 of Baseline .* 2 times"):
        table.build([runs.read(path) for path in runs.find(tmp_path)])
