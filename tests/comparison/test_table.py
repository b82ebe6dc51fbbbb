"""Runs, and their table against means, deviations and ratios by NumPy."""

import re

import numpy as np
import pytest

from noisymix_tf import flagfiles
from noisymix_tf.comparison import methods, runs, table
from noisymix_tf.evaluation import Reference
from noisymix_tf.evaluation.reference import alexnet
from support import comparison_runs as made
from support.comparison_runs import FGSM, accuracies, build, flags, write
from support.published import CIFAR10_MEANS
from support.usage import assert_usage_error

BASES = {"baseline": (0.8, 0.78), "noisymix": (0.9, 0.93), "mixup": (0.8, 0.9)}
REPORT, FLAGS = "evaluation/report.json", "flags.txt"
OTHER = FGSM.replace("cross", "x")


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
        "fgsm": {FGSM: base - 0.5, OTHER: base - 0.6},
    }


def _expected(base):
    """What stands in the columns, in per cent."""
    errors, flips = _errors(base), _flips(base)
    quiet = [name not in made.NOISES for name in made.COMMON]
    calm = [not name.endswith("_noise") for name in made.PERTURBATIONS]
    others = np.mean([_errors(b) for b in BASES["baseline"]], axis=0)
    rates = flips / np.mean([_flips(b) for b in BASES["baseline"]], axis=0)
    values = {
        "clean": base + 0.05,
        "c": 1 - errors.mean(),
        "c_without_noise": 1 - errors[quiet].mean(),
        "p_mfr": rates.mean(),
        "p_mfr_without_noise": rates[calm].mean(),
        f"fgsm[{FGSM}]": base - 0.5,
        "c_mce": np.mean(errors.sum(1) / others.sum(1)),
        "p_mfp": flips.mean(),
        "p_mfp_without_noise": flips[calm].mean(),
        f"fgsm[{OTHER}]": base - 0.6,
    }
    return {key: 100 * value for key, value in values.items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for method, bases in BASES.items():
        for seed, base in enumerate(bases):
            config = flags(method, seed)
            write(folder / f"{method}{seed}", config, **_measured(base))
    return [runs.read(path) for path in runs.find(folder)]


def _columns(built):
    return {column.key: column for column in built.columns}


def test_columns_are_those_of_the_paper_as_numpy_finds_them(found):
    built = table.build(found)
    assert [r.title for r in built.rows] == ["Baseline", "Mixup", "NoisyMix"]
    assert methods.place("noisymix") < methods.place("of_my_own")
    assert methods.title("of_my_own") == "of my own"
    assert set(flagfiles.names("method")) <= set(methods.TITLES)
    (_, main), (_, more) = built.parts
    assert [column.key for column in (*main, *more)] == list(_expected(0.5))
    titles = main[3].title, main[-1].title
    assert titles == ("P, mFR (Baseline)", "FGSM 4/255")
    assert "in per cent of the errors or flips of Baseline" in str(built.notes)
    for row in built.rows:
        first, second = map(_expected, BASES[row.method])
        assert row.cells.keys() == first.keys()
        for key, cell in row.cells.items():
            values = [first[key], second[key]]
            deviation = np.std(values, ddof=1)
            wanted = *values, np.mean(values), deviation, deviation / 2**0.5
            own = *cell.values, cell.mean, cell.deviation, cell.error
            np.testing.assert_allclose(own, wanted, rtol=1e-6)
    # Without a baseline nothing is divided.
    built = table.build([run for run in found if run.method != "baseline"])
    columns = _columns(built)
    assert not {"c_mce", "p_mfr"} & columns.keys()
    flips = columns["p_mfp"]
    assert flips.is_main and not flips.higher_is_better
    # A flip is rare: 0.26 and 0.34 % are not the same.
    cell = built.rows[0].cells["p_mfp"]
    assert built.rows[0].text(flips).startswith(f"{cell.mean:.2f} ± ")
    assert "not divided" in str(built.notes)


def test_a_reference_of_ones_own_comes_first(found, tmp_path):
    """One of another difficulty divides no flips."""
    path = write(tmp_path / "other", **_measured(0.5)) / REPORT
    text = path.read_text().replace('"difficulty": 1', '"difficulty": 2')
    path.write_text(text)
    built = table.build(found, str(path))
    other = _errors(0.5).sum(1) / 100
    expected = [np.mean(_errors(b).sum(1) / other) for b in BASES["noisymix"]]
    values = built.rows[-1].cells["c_mce"].values
    np.testing.assert_allclose(values, expected)
    columns = _columns(built)
    divisors = [columns[key].divisor for key in ("p_mfr", "c_mce")]
    assert divisors == ["Baseline", str(path)]
    assert columns["c_mce"].title == "mCE (reference)"
    path.write_text(text.replace('"data": null', '"data": "77.5"'))
    run = write(tmp_path / "run", data="1234.5")
    assert_usage_error(lambda: build(run, str(path)), "measured on toy")
    assert_usage_error(lambda: build(run, "x"), "cannot be read")


def test_alexnet_where_the_reports_have_it(tmp_path):
    imagenet = flags(dataset="imagenet")
    constants = dict.fromkeys(made.COMMON, [0.5] * 5)
    own = Reference(alexnet().name, errors={"*": constants})
    more = {"reference": own, "source": "released", **_measured(0.6)}
    write(tmp_path / "run", imagenet, **more)
    built = build(tmp_path)
    columns = _columns(built)
    assert columns["c_released_mce"].divisor == "AlexNet"
    # Its flips were never published.
    assert columns["p_mfr"].divisor == "Baseline"
    # So that what the paper has of them stands in columns of its own.
    paper, last = built.published[9], built.published[-1]
    wanted = {"clean": 77.6, "c_released": 52.3, f"fgsm[{FGSM}]": 29.6}
    wanted |= {"c_released_without_noise": 52.4, "p_mfr[published]": 28.5}
    wanted |= {"p_mfr_without_noise[published]": 29.7}
    assert {key: cell.mean for key, cell in paper.cells.items()} == wanted
    assert last.cells["c_released_mce"].mean == 59.43
    more = {"source": "released", "c": accuracies(0.6)}
    write(tmp_path / "x/run", imagenet, **more)
    last = build(tmp_path / "x").published[-1]
    assert last.cells["c_mce[published]"].mean == 59.43
    assert "c_released_mce" not in last.cells
    assert "Published: Erichson" in str(built.notes)
    # Images that were generated stand in no column of the files.
    more = {"source": "released", "seed": 0, "generator": "1-imagenet"}
    for name, fields in (("y", {}), ("z", more)):
        fields |= {"reference": alexnet(), "c": accuracies(0.6)}
        write(tmp_path / name / "run", imagenet, **fields)
        built = build(tmp_path / name)
        own = {key for row in built.rows for key in row.cells}
        theirs = {key for row in built.published for key in row.cells}
        assert own & theirs == {"clean"}
        titles = {key: column.title for key, column in _columns(built).items()}
        assert titles["c_mce[published]"] == "mCE, released files (AlexNet)"
        assert len(set(titles.values())) == len(titles)
        (note,) = [n for n in built.notes if "not comparable with" in n]
        assert note.startswith(titles[max(k for k in own if "mce" in k)])


def test_the_best_is_what_no_other_row_shows_better(found, tmp_path):
    built = table.build(found)
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
    for key, skipped in (("c", 0), ("c_without_noise", 3)):
        mean = pytest.approx(np.mean(CIFAR10_MEANS[skipped:]), abs=0.01)
        assert last.cells[f"{key}[published]"].mean == mean
    assert not any(tied.is_best(last, column) for column in tied.columns)
    alone = build(tmp_path / "mixup")
    assert not alone.is_best(alone.rows[0], alone.columns[0])


def test_rows_tell_what_they_differ_in_and_lack(found, tmp_path):
    write(tmp_path / "mixup", flags("mixup", learning_rate=0.05))
    titles = ["Mixup"]
    for weight in (12.0, 6.0):
        config = made.with_flags(flags("noisymix"), "method", jsd_weight=weight)
        write(tmp_path / f"{weight}", config, c={"fog": {1: 0.5}})
        titles.append(f"NoisyMix (jsd_weight={weight})")
    built = build(tmp_path)
    assert [row.title for row in built.rows] == titles
    notes = "\n".join(built.notes)
    assert "Rows differ in learning_rate: 0.05 (Mixup); 0.1 (" in notes
    assert "seed 0). Means are over 1 of the benchmark's 15" in notes
    built = table.build(found[1:])
    assert built.rows[0].title == "Baseline [1 of 2 seeds]"
    assert built.rows[0].cells["clean"].deviation is None
    assert "seeds 0" not in built.notes[0]


FOG, SNOW = ({n: dict.fromkeys(range(1, 6), 0.5)} for n in ("fog", "snow"))
MIXUP = flags("mixup")
FOLDER = made.with_flags(MIXUP, "data", dataset="folder", data_dir="b")
WIDE = made.with_flags(MIXUP, "model", width=1.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("config", flags("mixup", epochs=4), ["epochs: 3 (", "a); 4 ("]),
        ("config", WIDE, ["width: 0.5 ", "; 1.0 "]),
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
    other = {"config": MIXUP, "c": FOG, "data": "1234.6"}
    write(tmp_path / "b", **{**other, name: value})
    words += ["These runs do not compare: ", "--compare_anyway"]
    assert_usage_error(lambda: build(tmp_path), *words)
    notes = build(tmp_path, anyway=True).notes
    assert any(note.startswith("Differs: ") for note in notes)


def test_a_run_is_its_flags_and_its_report(tmp_path):
    """Flags that an older version lacked have their defaults."""
    folder = write(tmp_path / "run", flags("augmix", 3), clean=0.75)
    file = folder / FLAGS
    file.write_text(re.sub("--clip_norm.*\n", "", file.read_text()))
    run = runs.read(folder)
    assert (run.method, run.seed, run.path) == ("augmix", 3, folder)
    assert run.figure("clean", "accuracy") == pytest.approx(0.75)
    assert run.figure("p", "mfp") is run.value("image_size") is None
    names = ("epochs", "nesterov", "augmix_all_ops", "clip_norm")
    assert [run.value(n) for n in names] == ["3", "true", "false", "0.0"]
    # What lies in a run is no run of its own.
    below = [write(tmp_path / "x" / name) for name in ("b/seed0", "a/seed1")]
    write(below[0] / "inner")
    assert runs.find(tmp_path / "x") == below[::-1]
    assert runs.find(tmp_path / "x" / "a") == [below[1]]
    assert runs.find(below[0]) == [below[0]]


NO_REPORT, ALL = ["no report of schema 2"], r"(?s)^.+"


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (REPORT, r"(?s).{20}$", "", ["cannot be read ", "remove it"]),
        (REPORT, ALL, '{"schema": 1}', NO_REPORT),
        (REPORT, '"n": 200', '"n": null', NO_REPORT),
        (REPORT, '"figures": {', '"figures": {"own": "high", ', NO_REPORT),
        (REPORT, '"1": {', '"one": {', NO_REPORT),
        (REPORT, '"flip_probability"', '"flips"', NO_REPORT),
        (FLAGS, ALL, "--schemes=a\n", ["no run of python -m noisymi"]),
        (FLAGS, "seed=0", "seed=o", ["damaged"]),
        (FLAGS, ALL, "\xff\xfe", ["cannot be read", "no text"]),
    ],
)
def test_what_is_damaged_is_told_in_one_line(tmp_path, name, old, new, words):
    folder = write(tmp_path / "run", c={"fog": {1: 0.5}}, p={"tilt": 0.1})
    text, count = re.subn(old, new, (folder / name).read_text(), count=1)
    (folder / name).write_bytes(text.encode("latin-1"))
    assert count == 1
    assert_usage_error(lambda: runs.read(folder), folder, *words)
