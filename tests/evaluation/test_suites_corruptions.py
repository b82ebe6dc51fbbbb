"""Suites c, p and calibration, generated and on files of both origins."""

import json
import pickle
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import corruptions, evaluation, sets
from noisymix_tf.evaluation import gallery
from noisymix_tf.evaluation.metrics import FlipScores
from noisymix_tf.evaluation.reference import alexnet
from noisymix_tf.evaluation.suites.corruptions import failure_point
from support import evaluation_toys as toys
from support import released_sets
from support.usage import assert_usage_error

NAMES = ("shot_noise", "fog", "saturate")
DATA = toys.whole_dataset(n=11)
MODEL = toys.random_model()


@pytest.fixture
def root(tmp_path):
    written = tmp_path / "written"
    how = {"seed": 4, "num_workers": 0, "progress": False}
    sets.write(DATA, written, names=NAMES, **how)
    folder = shutil.copytree(written, tmp_path / "sets")
    (folder / "manifest.json").unlink()
    return folder


def run(*suites, **more):
    own = {"suites": suites or ("c",), "corruptions": NAMES, "seed": 4}
    return toys.run(MODEL, DATA, **own, **more)


def plan(data=DATA, **options):
    return evaluation.plan(None, data, **{"suites": ("c",), **options})


def test_files_give_what_the_generator_gives(root):
    made, read = run(), run("c", "calibration", c_dir=root)
    # Calibration measures no image twice.
    clean, *cells = sorted(read.scores, key=lambda cell: cell.suite != "clean")
    assert (clean.suite, len(cells), read.computed) == ("clean", 6, 7)
    for cell, own in zip(cells, made.scores.values(), strict=True):
        assert (cell.source, cell.seed) == ("released", None)
        assert own.rows.tobytes() == read.scores[cell].rows.tobytes()
    assert len({read.scores[cell].nll[0] for cell in cells}) == 6
    # Before anything is measured.
    (path := root.parent / "r.json").write_text(
        json.dumps(made.report.as_dict())
    )
    words = "section c on images generated", "seed 4), this is about", "seed 5)"
    own = {"corruptions": NAMES, "reference": path, "seed": 5}
    assert_usage_error(plan, *words, **own)
    assert "calibration/c_released_mean_ece" in read.figures
    assert "calibration/c_mean_ece" not in read.figures
    anew = run(c_dir=root.parent / "written")
    words = f"(constants for cifar, generator version {corruptions.VERSION}, "
    words = f"files that were generated from the dataset {words}seed 4)"
    for results, name, source, origin in (
        (made, "c", "generated", "seed 4"),
        (read, "c_released", "released", "from released files"),
        (anew, "c_written", "generated", words),
    ):
        sections = results.report.as_dict()["sections"]
        assert origin in sections[name]["origin"]
        for section, count in ((name, 2), (f"{name}_extra", 1)):
            assert sections[section]["source"] == source
            assert len(sections[section]["cells"]) == count
    name, arrays = "c_released/mean_nll", (DATA.test.images, DATA.test.labels)
    own = {"suites": ("c",), "corruptions": NAMES, "c_dir": root}
    found = toys.run(MODEL, arrays, **own).figures[name]
    assert found == read.figures[name]
    part = run(examples=6, c_dir=root).report.as_dict()["sections"]
    assert "6 of 11 images per cell" in part["c_released"]["origin"]
    (root / "fog.npy").unlink()
    assert_usage_error(lambda: run(c_dir=root), "lacks fog/1")


def test_severities_between_and_where_a_model_fails():
    """Figures of cells of one severity went to another of the same words."""
    own = {"severities": ("1:3:0.5",), "failure_share": 0.97}
    results = run("clean", "c", **own)
    section = results.report.as_dict()["sections"]["c"]
    assert list(section["cells"]["fog"]) == ["1", "1.5", "2", "2.5", "3"]
    cells = {(c.corruption, c.severity): s for c, s in results.scores.items()}
    clean = cells.pop((None, 0)).accuracy
    points = []
    for name in NAMES[:2]:
        rows = {s: cells[name, s] for s in (1, 1.5, 2, 2.5, 3)}
        points.append(failure_point(clean, rows, 0.97))
    mean = np.mean([3 if own is None else own for own in points])
    assert results.figures["c/mean_failure_point"] == pytest.approx(mean)
    assert "fails at" in results.report.text()
    assert "mean_failure_point" not in str(run("clean", "c").figures)
    words = "failure_share=0.9 would do nothing", "Add suite clean"
    assert_usage_error(lambda: run("c", failure_share=0.9), *words)
    words = (
        "mean severity with less than 1% of clean accuracy (2 of 2 not up to 2"
    )
    never = run("clean", "c", severities=(1, 2), failure_share=0.01)
    assert words in never.report.text() or words in str(never.report.as_dict())
    words = "severities: '1:3' must be a number of 1 to 5"
    assert_usage_error(lambda: run("c", severities=("1:3",)), words)
    # Between the points of a line, at a point, and never.
    rows = {s: types.SimpleNamespace(accuracy=0.9 - s / 10) for s in (1, 4)}
    for share, wanted in ((0.75, 2.25), (0.889, 0.999), (0.5, None)):
        found = failure_point(0.9, rows, share)
        assert found == (wanted and pytest.approx(wanted, abs=0.01))


def test_c_bar_beside_c_generated_and_from_files(tmp_path):
    """-C's means took in C-bar; arrays of another order were read as others."""
    sets.write(DATA, tmp_path, names=["c_bar"], seed=4, progress=False)
    own = {"severities": (2, 4)}
    made = run("clean", "c", "c_bar", **own)
    ten = corruptions.names("c_bar", "cifar")
    found = made.report.as_dict()["sections"]
    assert (
        len(found["c"]["cells"]) == 2 and tuple(found["c_bar"]["cells"]) == ten
    )
    scores = [s for c, s in made.scores.items() if c.suite == "c_bar"]
    mean = np.mean([own.accuracy[0] for own in scores])
    assert len(scores) == 20
    assert made.figures["c_bar/mean_accuracy"] == pytest.approx(mean)
    assert "means are over severities 2, 4 only." in made.report.text()
    read = run("c", "c_bar", c_bar_dir=tmp_path, severities=(2, 4)).scores
    read = {cell: own for cell, own in read.items() if cell.suite == "c_bar"}
    assert {cell.source for cell in read} == {"released"}
    for own, again in zip(scores, read.values(), strict=True):
        assert own.rows.tobytes() == again.rows.tobytes()
    # No mean of -C, nor anything that a reference of it divides.
    theirs = evaluation.Report(made.scores, alexnet()).as_dict()
    bar = theirs["sections"]["c_bar"]
    said = str(bar["notes"]) + str(bar["caveats"])
    assert "published mCE" not in said and "to divide by" not in said
    own = {"suites": ("clean", "c"), "corruptions": ("fog", "perlin_noise")}
    words = "perlin_noise has no constants for table=cifar"
    assert_usage_error(lambda: plan(DATA, **own), words)
    words = "no C-bar for table=tiny"
    assert_usage_error(lambda: run("c", "c_bar", table="tiny"), words)


def test_64_pixels_are_made_with_the_table_that_is_asked_for():
    """They took the constants of 224; tasks travel to other processes."""
    data = toys.dataset(n=2)
    images = data.test.images = data.test.images.repeat(4, 1).repeat(4, 2)
    for table in ("auto", "cifar", "imagenet"):
        options = {"corruptions": ("fog",), "table": table}
        task = plan(data, **options).tasks[2]
        make = pickle.loads(pickle.dumps(task.make))
        found = make(images, indices=np.array([5, 3]))
        options = {"indices": [5, 3], "table": table}
        wanted = corruptions.corrupt(images, "fog", 3, 0, **options)
        np.testing.assert_array_equal(found, wanted)
        word = "imagenet" if table == "auto" else table
        assert task.cell.generator == f"{corruptions.VERSION}-{word}"
    options = {"suites": ("p",), "perturbations": ("tilt",), "table": "cifar"}
    (task,) = plan(data, **options).tasks
    films = pickle.loads(pickle.dumps(task.make))(images)
    wanted = corruptions.perturb(images, "tilt", table="cifar")
    np.testing.assert_array_equal(films, wanted)
    assert films.shape[1] == task.frames
    options |= {"perturbations": ("motion_blur",), "table": "tiny"}
    assert_usage_error(plan, "motion_blur has no constants for", **options)


def test_a_missing_file_of_a_tree_is_told_before_anything_is_measured(tmp_path):
    """It cost the report, after all cells had been measured."""
    names = ("fog", "snow")
    options = {"names": names, "layout": "tree", "progress": False}
    sets.write(DATA, tmp_path, **options)
    (tmp_path / "manifest.json").unlink()
    options = {"c_dir": tmp_path, "corruptions": names, "severities": (3, 5)}
    assert {cell.n for cell in plan(**options).cells} == {11}
    min((tmp_path / "snow" / "5").rglob("*.JPEG")).unlink()
    words = "10 images of snow at severity 5, but 11 of others"
    assert_usage_error(plan, words, **options)


class Lookup:
    """Knows the answers by heart; a pixel tells the sequence and the frame."""

    fingerprint = "by heart"

    def __init__(self, outputs):
        self._outputs = tf.constant(outputs, tf.float32)

    def __call__(self, images, training=False):
        places = tf.cast(images[:, 0, 0, :2], tf.int32)
        return tf.gather_nd(self._outputs, places)


def save(root, names, number, frames):
    films = np.zeros([number, frames, 32, 32, 3], np.uint8)
    films[..., 0] = np.arange(number)[:, None, None, None]
    films[..., 1] = np.arange(frames)[None, :, None, None]
    for name in names:
        np.save(root / f"{name}.npy", films)


def measure(root, outputs, *names, **more):
    data = released_sets.dataset(outputs.shape[-1])
    options = {"suites": ("p",), "p_dir": root, "perturbations": names, **more}
    return toys.run(Lookup(outputs), data, **options)


def test_films_of_a_difficulty(tmp_path):
    outputs = np.random.default_rng(0).normal(size=[6, 5, 3])
    save(tmp_path, ("gaussian_noise_2", "tilt"), 6, 5)
    names = "gaussian_noise", "tilt"
    where = {"batch_size": 100, "output_dir": tmp_path / "evaluation"}
    results = measure(tmp_path, outputs, *names, difficulty=2, **where)
    flips = []
    for cell, own in results.scores.items():
        assert (cell.n, cell.source, cell.severity) == (6, "released", 2)
        # Nobody knows the classes of these films.
        kept = gallery.read(tmp_path / "evaluation", cell)["examples"]
        assert {each["label"] for each in kept} == {None}
        noise = cell.corruption == "gaussian_noise"
        exact = FlipScores.of(np.float32(outputs), noise=noise, difficulty=2)
        assert own.rows.tobytes() == exact.tobytes()
        flips.append(exact["flip_probability"].mean())
    means = ("p_released/mfp", "p_released/mfp_without_noise")
    found = [results.figures[mean] for mean in means]
    assert found == pytest.approx([np.mean(flips), flips[1]])
    # Two frames too few for a pair.
    save(tmp_path, ("tilt",), 6, 3)
    given = {"perturbations": ("tilt",), "difficulty": 3, "outputs": outputs}
    words = "3 frames, difficulty 3 needs at least 4"
    assert_usage_error(measure, words, root=tmp_path, **given)


def test_cells_are_what_functions_compute():
    data, level = toys.dataset(n=9), 3
    names = ("shot_noise", "brightness", "translate")
    options = {"perturbations": names, "difficulty": level}
    results = toys.run(MODEL, data, suites=("p",), **options)
    assert [cell.corruption for cell in results.scores] == list(names)
    # The benchmark is the default.
    tasks = evaluation.plan(None, data, suites=("p",)).tasks
    usual = [task.cell.corruption for task in tasks]
    assert usual == list(corruptions.perturbation_names("cifar"))
    for cell, own in results.scores.items():
        assert (cell.n, cell.source) == (9, "generated")
        name, images = cell.corruption, data.test.images
        films = corruptions.perturb(images, name, difficulty=level)
        frames = films.reshape(-1, *films.shape[2:]).astype(np.float32)
        outputs = MODEL.predict(frames, batch_size=100, verbose=0)
        outputs = outputs.reshape(*films.shape[:2], -1)
        pairing = {"noise": name == "shot_noise", "difficulty": level}
        wanted = FlipScores.of(outputs, **pairing)
        assert wanted["flip_probability"].any()
        for metric in wanted.dtype.names:
            found = own.rows[metric]
            np.testing.assert_allclose(found, wanted[metric], rtol=1e-9)


@pytest.mark.parametrize("examples, p_examples, n", [(None, 4, 4), (3, 6, 3)])
def test_fewer_sequences_than_images(examples, p_examples, n):
    options = {"suites": ("clean", "p"), "perturbations": ("tilt",)}
    part = {"examples": examples, "p_examples": p_examples}
    results = toys.run(MODEL, DATA, **part, **options)
    (clean, _), (cell, own) = results.scores.items()
    assert (clean.n, cell.n) == (examples or 11, n)
    _, wanted = toys.run(MODEL, DATA, examples=n, **options).scores.values()
    assert clean.data == cell.data
    assert own.rows.tobytes() == wanted.rows.tobytes()
    assert f"{n} of 11 sequences per cell" in results.report.text()


def test_a_part_is_balanced_where_labels_are_known(tmp_path):
    outputs = np.zeros([6, 4, 3])
    outputs[:, :, 0] = 1
    outputs[3:, 1::2] = (0, 5, 0)  # The answers of the second class alternate.
    save(tmp_path, ("tilt",), 6, 4)
    first = measure(tmp_path, outputs, "tilt", examples=2)
    assert first.figures["p_released/mfp"] == 0.0
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 3))
    part = {"examples": 4, "p_examples": 2}
    balanced = measure(tmp_path, outputs, "tilt", **part)
    assert balanced.figures["p_released/mfp"] == 0.5
    assert balanced.report.sections[0].n == 2
