"""Suites c and calibration on files, beside what is generated."""

import shutil
import weakref

import numpy as np
import pytest

from noisymix_tf import corruption_sets, corruptions
from noisymix_tf.data import released
from noisymix_tf.evaluation import metrics
from support import evaluation_toys as toys
from support.usage import assert_usage_error

NAMES = ("shot_noise", "fog", "saturate")


@pytest.fixture(scope="module")
def data():
    return toys.whole_dataset(n=11)


@pytest.fixture(scope="module")
def model():
    return toys.random_model()


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    """Arrays of three corruptions with seed 4."""
    path = tmp_path_factory.mktemp("sets")
    corruption_sets.write(data, path, names=NAMES, seed=4, progress=False)
    return path


@pytest.fixture
def root(written, tmp_path):
    """The same as if they were published."""
    folder = shutil.copytree(written, tmp_path / "sets")
    (folder / "manifest.json").unlink()
    return folder


@pytest.fixture
def run(model, data):
    def run(suites=("c",), **more):
        more = {"suites": suites, "corruptions": NAMES, "seed": 4, **more}
        return toys.run(model, data, **more)

    return run


def test_files_give_what_the_generator_gives(model, data, root, run):
    """Numbers are the same; sections tell the two apart."""
    made, read = run(), run(suites=("c", "calibration"), c_dir=root)
    cells = [cell for cell in read.records if cell.suite == "c"]
    assert len(cells) == len(made.records) == 3 * 2
    for cell, own in zip(cells, made.records.values()):
        assert cell.source == "released"
        assert cell.seed is cell.generator is None
        images = corruptions.corrupt(
            data.test.images, cell.corruption, cell.severity, 4
        )
        outputs = model.predict(images, verbose=0)
        wanted = metrics.tally(outputs, data.test.labels).measurements()
        for sums in (own, read.records[cell]):
            assert sums["correct"] == wanted["correct"]
            for name in ("nll_sum", "brier_sum"):
                assert sums[name] == pytest.approx(wanted[name], rel=1e-6)
            np.testing.assert_allclose(sums["bins"], wanted["bins"], rtol=1e-6)
    assert len({read.records[cell]["nll_sum"] for cell in cells}) == 6
    assert "calibration/c_released_mean_ece" in read.figures
    assert "calibration/c_mean_ece" not in read.figures
    sections = made.report.as_dict()["sections"]
    sections |= read.report.as_dict()["sections"]
    for name in ("c", "c_extra", "c_released", "c_released_extra"):
        source = "released" if "released" in name else "generated"
        assert sections[name]["source"] == source
        assert len(sections[name]["cells"]) == (1 if "extra" in name else 2)
    assert "from released files" in sections["c_released"]["origin"]
    assert "seed 4" in sections["c"]["origin"]


def test_files_of_this_package_are_called_generated(written, tmp_path, run):
    """And examples of them are shown."""
    results = run(c_dir=written, output_dir=tmp_path)
    section = results.report.as_dict()["sections"]["c_written"]
    assert section["source"] == "generated"
    assert section["title"] == "Common corruptions in files"
    assert "11 images per cell, files that were generated" in section["origin"]
    assert "seed 4" in section["origin"]
    cell = next(iter(results.records))
    wanted = (4, f"{corruptions.version()}-cifar")
    assert (cell.seed, cell.generator) == wanted
    assert list((tmp_path / "examples").glob("*.json"))
    assert "fog, severity 1" in (tmp_path / "report.html").read_text()


def test_cells_are_those_of_their_very_rows(root, tmp_path, run):
    """They were known by the first image alone."""
    options = {"c_dir": root, "output_dir": tmp_path / "run"}
    run(**options)
    assert run(**options).computed == 0
    fog = np.load(root / "fog.npy")
    fog[-1] = 255 - fog[-1]
    np.save(root / "fog.npy", fog)
    assert run(**options).computed == 2
    part = run(examples=6, **options)
    section = part.report.as_dict()["sections"]["c_released"]
    assert section["n"] == 6
    assert section["origin"].startswith("6 of 11 images per cell")


def test_released_cells_are_opened_one_at_a_time(root, run, monkeypatch):
    """A tree has a list of files for each; they are not held together."""
    opened, alive = [], []
    arrays = released.corrupted_arrays.CorruptedArrays
    split = arrays.split

    def open_one(self, *names):
        found = split(self, *names)
        opened.append(weakref.ref(found))
        alive.append(sum(one() is not None for one in opened))
        return found

    monkeypatch.setattr(arrays, "split", open_one)
    run(c_dir=root, batch_size=4)
    assert len(opened) == 12  # Once for the list of cells, once to measure.
    # The next cell is opened while the last one is still being measured.
    assert max(alive) <= 2


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "lacks fog.npy"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "cut short"),
    ],
)
def test_damaged_files_are_named_before_anything_is_measured(
    root, run, damage, words
):
    damage(root / "fog.npy")
    calls = []
    options = {"progress": lambda *call: calls.append(call), "c_dir": root}
    call = lambda: run(suites=("clean", "c"), **options)  # noqa: E731
    assert_usage_error(call, "fog.npy", words)
    assert not calls


def test_calibration_measures_no_image_twice(run, tmp_path):
    """It finishes what another suite began."""
    cells = ["clean"] + 6 * ["c"]
    alone = run(suites=("calibration",))
    assert [cell.suite for cell in alone.records] == cells
    together = run(suites=("clean", "c", "calibration"))
    assert together.computed == 7
    assert toys.without_seconds(together) == toys.without_seconds(alone)
    assert set(alone.figures) == set(together.figures)
    run(suites=("clean",), output_dir=tmp_path)
    assert run(suites=("calibration",), output_dir=tmp_path).computed == 6
