"""Runs, and their table against means, deviations and ratios by NumPy."""

import json

import numpy as np
import pytest

from noisymix_tf import flagfiles
from noisymix_tf.comparison import methods, runs, table
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import Reference
from noisymix_tf.evaluation.reference import alexnet
from support import comparison_runs as made
from support.comparison_runs import FGSM, accuracies, build, flags, write
from support.published import CIFAR10_MEANS
from support.usage import assert_usage_error

BASES = {"baseline": (0.8, 0.78), "noisymix": (0.9, 0.93), "mixup": (0.8, 0.9)}


def _flips(base):
    return (1 - base) * (1 + 0.1 * base * np.arange(len(made.PERTURBATIONS)))


def _errors(base):
    rows = accuracies(base, noise=0.1)
    return np.array([[1 - a for a in rows[c].values()] for c in made.COMMON])


def _measured(base):
    return {
        "clean": base + 0.05,
        "c": accuracies(base, noise=0.1),
        "p": dict(zip(made.PERTURBATIONS, _flips(base).tolist())),
        "fgsm": {FGSM: base - 0.5, FGSM.replace("cross", "x"): base - 0.6},
    }


def _expected(base):
    """What stands in the columns, in per cent."""
    errors, flips = _errors(base), _flips(base)
    quiet = [name not in made.NOISES for name in made.COMMON]
    calm = [not name.endswith("_noise") for name in made.PERTURBATIONS]
    others = np.mean([_errors(b) for b in BASES["baseline"]], axis=0)
    rates = flips / np.mean([_flips(b) for b in BASES["baseline"]], axis=0)
    return {
        "clean": 100 * base + 5,
        "c": 100 - 100 * errors.mean(),
        "c_without_noise": 100 - 100 * errors[quiet].mean(),
        "p_mfr": 100 * rates.mean(),
        "p_mfr_without_noise": 100 * rates[calm].mean(),
        f"fgsm[{FGSM}]": 100 * base - 50,
        "c_mce": 100 * np.mean(errors.sum(1) / others.sum(1)),
        "p_mfp": 100 * flips.mean(),
        "p_mfp_without_noise": 100 * flips[calm].mean(),
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


def _columns(built):
    return {column.key: column for column in built.columns}


def test_rows_and_columns_are_those_of_the_paper(built):
    assert [r.title for r in built.rows] == ["Baseline", "Mixup", "NoisyMix"]
    order = ["baseline", "autoaugment", "mixup", "manifold_mixup", "cutmix"]
    order += ["puzzlemix", "augmix", "noisymix", "of my own"]
    assert sorted(order[::-1], key=methods.place) == order
    assert set(flagfiles.names("method")) <= set(methods.TITLES)
    assert methods.title("of_my_own") == "of my own"
    # What a bar has room for.
    assert max(map(len, methods.TITLES.values())) <= 19
    (_, main), (_, more) = built.parts
    assert [column.key for column in (*main, *more)] == list(_expected(0.5))
    titles = [column.title for column in main]
    assert titles[:3] == ["Clean", "C", "C without noise"]
    mfr = "mFR (Baseline)"
    assert titles[3:] == [f"P, {mfr}", f"P without noise, {mfr}", "FGSM 4/255"]
    assert "in per cent of the errors or flips of Baseline" in str(built.notes)


def test_means_deviations_and_ratios_are_those_of_numpy(built):
    for row in built.rows:
        first, second = map(_expected, BASES[row.method])
        assert row.cells.keys() == first.keys()
        for key, cell in row.cells.items():
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
    other = _errors(0.5).sum(1)
    expected = [np.mean(_errors(b).sum(1) / other) for b in BASES["noisymix"]]
    values = built.rows[-1].cells["c_mce"].values
    np.testing.assert_allclose(values, np.multiply(100, expected))
    assert _columns(built)["p_mfr"].divisor == "Baseline"
    mce = _columns(built)["c_mce"]
    assert (mce.divisor, mce.title) == (str(path), "mCE (reference)")
    path.write_text(text.replace('"data": null', '"data": "77.5"'))
    write(tmp_path / "run", data="1234.5")
    for name, words in ((path, "measured on toy"), ("x", "cannot be read")):
        with pytest.raises(UsageError, match=words):
            build(tmp_path / "run", str(name))


def test_alexnet_where_the_reports_have_it(tmp_path):
    constants = {c: [0.5] * 5 for c in made.COMMON}
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
    paper, last = built.published[9], built.published[-1]
    assert paper.title.startswith("NoisyMix (ResNet-50, Table")
    assert {key: cell.mean for key, cell in paper.cells.items()} == {
        "clean": 77.6,
        "c_released": 52.3,
        "c_released_without_noise": 52.4,
        "p_mfr[published]": 28.5,
        "p_mfr_without_noise[published]": 29.7,
        f"fgsm[{FGSM}]": 29.6,
    }
    assert last.source == "RobustBench"
    assert last.cells["c_released_mce"].mean == 59.43
    # And so does what is not divided by AlexNet's.
    write(
        tmp_path / "x/run",
        flags(dataset="imagenet"),
        source="released",
        c=accuracies(0.6),
    )
    last = build(tmp_path / "x").published[-1]
    assert last.cells["c_mce[published]"].mean == 59.43
    assert "c_released_mce" not in last.cells
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
    own = {key: cell.mean for key, cell in last.cells.items()}
    mean = pytest.approx(np.mean(CIFAR10_MEANS), abs=0.01)
    assert own["c[published]"] == mean
    quiet = pytest.approx(np.mean(CIFAR10_MEANS[3:]), abs=0.01)
    assert own["c_without_noise[published]"] == quiet
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


def _other(group, method="mixup", **values):
    return made.with_flags(flags(method), group, **values)


def test_rows_tell_what_they_differ_in(found, tmp_path):
    """Other hyperparameters are rows of their own; seeds may be missing."""
    for weight in (12.0, 6.0):
        config = _other("method", "noisymix", jsd_weight=weight)
        write(tmp_path / f"{weight}", config, c={"fog": {1: 0.5}})
    write(tmp_path / "mixup", flags("mixup", learning_rate=0.05))
    built = build(tmp_path)
    titles = [f"NoisyMix (jsd_weight={weight})" for weight in ("12.0", "6.0")]
    assert [row.title for row in built.rows] == ["Mixup", *titles]
    (note,) = [n for n in built.notes if n.startswith("Rows differ")]
    assert note.startswith("Rows differ in learning_rate: 0.05 (Mixup); 0.1 (")
    (note,) = [n for n in built.notes if n.startswith("C: ")]
    assert "seed 0). Means are over 1 of the benchmark's 15" in note
    built = table.build(found[1:])
    assert built.rows[0].title == "Baseline [1 of 2 seeds]"
    assert built.rows[0].cells["clean"].deviation is None
    assert "seeds 0" not in built.notes[0]


FOG, SNOW = ({n: dict.fromkeys(range(1, 6), 0.5)} for n in ("fog", "snow"))
FOLDER = _other("data", dataset="folder", data_dir="b")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("config", _other("optimizer", epochs=4), ["epochs: 3 (", "a); 4 ("]),
        ("config", _other("model", width=1.0), ["width: 0.5 ", "; 1.0 "]),
        ("config", FOLDER, ["digits ", "; folder ", "data_dir: not set "]),
        ("config", flags(), ["seed 0 of Baseline is there 2 times ("]),
        ("n", 100, ["clean: 200 images, ", "; 100 images"]),
        ("c", {"fog": {1: 0.5}}, ["c: 5 cells ", "; 1 cells"]),
        ("c", SNOW, ["c: other cells"]),
        # Their number and origin are the same, the images are not.
        ("data", "77.5", ["classes: 1234 (", "; 77 ("]),
    ],
)
def test_what_does_not_compare(tmp_path, name, value, words):
    """Files that were copied have other times, and compare."""
    write(tmp_path / "a", c=FOG, data="1234.5")
    other = {"config": flags("mixup"), "c": FOG, "data": "1234.6"}
    write(tmp_path / "b", **{**other, name: value})
    line = assert_usage_error(lambda: build(tmp_path), *words)
    assert line.startswith("These runs do not compare: ")
    assert "--compare_anyway" in line
    notes = build(tmp_path, anyway=True).notes
    assert any(note.startswith("Differs: ") for note in notes)


# Reading runs.


def test_a_run_is_its_flags_and_its_report(tmp_path):
    """Flags that an older version lacked have their defaults."""
    config = flags("augmix", 3)
    folder = write(tmp_path / "run", config, clean=0.75)
    file = folder / "flags.txt"
    lines = [x for x in file.read_text().split("\n") if "clip_norm" not in x]
    file.write_text("\n".join(lines))
    run = runs.read(folder)
    assert (run.method, run.seed, run.path) == ("augmix", 3, folder)
    assert run.figure("clean", "accuracy") == pytest.approx(0.75)
    assert run.figure("p", "mfp") is run.value("image_size") is None
    names = ("epochs", "nesterov", "augmix_all_ops", "clip_norm")
    assert [run.value(n) for n in names] == ["3", "true", "false", "0.0"]


def test_runs_are_found_below_a_directory(tmp_path):
    below = [tmp_path / "b" / "seed0", tmp_path / "a" / "seed1"]
    for folder in below:
        write(folder)
    assert runs.find(tmp_path) == sorted(below)
    assert runs.find(tmp_path / "a") == [below[1]]
    # What lies in a run is no run of its own.
    write(below[0] / "inner")
    assert runs.find(below[0]) == [below[0]]


REPORT, FLAGS = "evaluation/report.json", "flags.txt"
NO_REPORT = ["no report of schema 2"]


def changed(section, key, value):
    def change(text):
        content = json.loads(text)
        content["sections"][section][key] = value
        return json.dumps(content).encode()

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (REPORT, lambda text: text[:-20], ["cannot be read ", "remove it"]),
        (REPORT, lambda text: b'{"schema": 1}', NO_REPORT),
        (REPORT, changed("clean", "figures", {"accuracy": "high"}), NO_REPORT),
        (REPORT, changed("clean", "n", None), NO_REPORT),
        (REPORT, changed("clean", "cells", {"clean": 1}), NO_REPORT),
        (REPORT, changed("c", "cells", {"fog": {"1": {}}}), NO_REPORT),
        (REPORT, changed("p", "cells", {"tilt": {}}), NO_REPORT),
        (FLAGS, lambda text: b"--schemes=a\n", ["no run of python -m noisymi"]),
        (FLAGS, lambda text: text.replace(b"seed=0", b"seed=o"), ["damaged"]),
        (FLAGS, lambda text: b"\xff\xfe", ["cannot be read", "no text"]),
    ],
)
def test_what_is_damaged_is_told_in_one_line(tmp_path, name, change, words):
    folder = write(tmp_path / "run", c={"fog": {1: 0.5}}, p={"tilt": 0.1})
    file = folder / name
    file.write_bytes(change(file.read_bytes()))
    assert_usage_error(lambda: runs.read(folder), folder, *words)
