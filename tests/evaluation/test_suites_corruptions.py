"""Suites c and calibration on files, beside what is generated."""

import pickle
import shutil

import numpy as np
import pytest

from noisymix_tf import corruptions, evaluation, sets
from noisymix_tf.evaluation.metrics import ImageScores
from support import evaluation_toys as toys
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
        place = cell.corruption, cell.severity
        images = corruptions.corrupt(DATA.test.images, *place, 4)
        outputs = MODEL.predict(images, verbose=0)
        wanted = ImageScores.of(outputs, DATA.test.labels)
        assert own.rows.tobytes() == read.scores[cell].rows.tobytes()
        for name in wanted.dtype.names:
            found = own.rows[name]
            np.testing.assert_allclose(found, wanted[name], rtol=1e-4)
    assert len({read.scores[cell].nll[0] for cell in cells}) == 6
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
    part = run(examples=6, c_dir=root).report.as_dict()["sections"]
    assert "6 of 11 images per cell" in part["c_released"]["origin"]
    (root / "fog.npy").unlink()
    call = lambda: plan(c_dir=root, corruptions=NAMES)  # noqa: E731
    assert_usage_error(call, "lacks fog/1")


def test_64_pixels_are_made_with_the_table_that_is_asked_for():
    """They took the constants of 224; tasks travel to other processes."""
    data, found = toys.dataset(n=2), {}
    images = data.test.images = data.test.images.repeat(4, 1).repeat(4, 2)
    for table in ("auto", "cifar", "imagenet"):
        options = {"corruptions": ("fog",), "table": table}
        task = plan(data, **options).tasks[2]
        make = pickle.loads(pickle.dumps(task.make))
        found[table] = make(images, indices=np.array([5, 3]))
        options = {"indices": [5, 3], "table": table}
        wanted = corruptions.corrupt(images, "fog", 3, 0, **options)
        np.testing.assert_array_equal(found[table], wanted)
        word = "imagenet" if table == "auto" else table
        assert task.cell.generator == f"{corruptions.VERSION}-{word}"
    assert (found["cifar"] != found["imagenet"]).any()
    options = {"suites": ("p",), "perturbations": ("tilt",), "table": "cifar"}
    (task,) = plan(data, **options).tasks
    films = pickle.loads(pickle.dumps(task.make))(images)
    wanted = corruptions.perturb(images, "tilt", table="cifar")
    np.testing.assert_array_equal(films, wanted)
    assert films.shape[1] == task.frames


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
    assert_usage_error(lambda: plan(**options), words)
