"""Suites c and calibration on files, beside what is generated."""

import shutil
import weakref

import numpy as np
import pytest

from noisymix_tf import corruption_sets, corruptions
from noisymix_tf.data import released
from noisymix_tf.evaluation import metrics
from support.evaluation_toys import (
    brightness_model,
    random_model,
    run,
    whole_dataset,
    without_seconds,
)
from support.usage import assert_usage_error

NAMES = ("shot_noise", "fog", "saturate")
OPTIONS = {"corruptions": NAMES, "seed": 4}


@pytest.fixture(scope="module")
def data():
    return whole_dataset(n=11)


@pytest.fixture(scope="module")
def model():
    return random_model()


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


def test_files_give_what_the_generator_gives(model, data, root):
    """Numbers are the same; sections tell the two apart."""
    made = run(model, data, suites=("c",), **OPTIONS)
    read = run(model, data, suites=("c", "calibration"), c_dir=root, **OPTIONS)
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


def test_files_of_this_package_are_called_generated(
    model, data, written, tmp_path
):
    """And examples of them are shown."""
    options = {"suites": ("c",), "c_dir": written, "output_dir": tmp_path}
    results = run(model, data, **options, **OPTIONS)
    section = results.report.as_dict()["sections"]["c_written"]
    assert section["source"] == "generated"
    assert section["title"] == "Common corruptions in files"
    assert "11 images per cell, files that were generated" in section["origin"]
    assert "seed 4" in section["origin"]
    (cell, *_) = results.records
    assert cell.seed == 4
    assert cell.generator == f"{corruptions.version()}-cifar"
    assert list((tmp_path / "examples").glob("*.json"))
    assert "fog, severity 1" in (tmp_path / "report.html").read_text()


def test_cells_are_those_of_their_very_rows(model, data, root, tmp_path):
    """They were known by the first image alone."""
    options = {"suites": ("c",), "c_dir": root, "output_dir": tmp_path / "run"}
    options |= OPTIONS
    run(model, data, **options)
    assert run(model, data, **options).computed == 0
    fog = np.load(root / "fog.npy")
    fog[-1] = 255 - fog[-1]
    np.save(root / "fog.npy", fog)
    assert run(model, data, **options).computed == 2
    part = run(model, data, **options, examples=6)
    section = part.report.as_dict()["sections"]["c_released"]
    assert section["n"] == 6
    assert section["origin"].startswith("6 of 11 images per cell")


def test_released_cells_are_opened_one_at_a_time_and_read_by_batches(
    model, data, root, monkeypatch
):
    """A tree has a list of files for each; they are not held together."""
    opened, alive, sizes = [], [], []
    arrays = released.corrupted_arrays.CorruptedArrays
    images = released.mapped.MappedImages
    split, batches = arrays.split, images.batches

    def open_one(self, *names):
        found = split(self, *names)
        opened.append(weakref.ref(found))
        alive.append(sum(one() is not None for one in opened))
        return found

    def read(self, size):
        sizes.append(size)
        return batches(self, size)

    monkeypatch.setattr(arrays, "split", open_one)
    monkeypatch.setattr(images, "batches", read)
    options = {"suites": ("c",), "c_dir": root, "batch_size": 4}
    run(model, data, **options, **OPTIONS)
    assert len(opened) == 12  # Once for the list of cells, once to measure.
    # The next cell is opened while the last one is still being measured.
    assert max(alive) <= 2 and max(sizes) == 4


def pickle(file):
    np.save(file, np.array([{}]), allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "lacks fog.npy"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "cut short"),
        (pickle, "refused"),
    ],
)
def test_damaged_files_are_named_before_anything_is_measured(
    data, root, damage, words
):
    damage(root / "fog.npy")
    calls = []
    options = {"progress": lambda *call: calls.append(call), "c_dir": root}
    assert_usage_error(
        lambda: run(data=data, suites=("clean", "c"), **options, **OPTIONS),
        *("fog.npy", words),
    )
    assert not calls


def test_calibration_measures_no_image_twice(data, tmp_path):
    model = brightness_model(scale=30.0)
    alone = run(model, data, suites=("calibration",))
    assert [cell.suite for cell in alone.records] == ["clean"] + 4 * ["c"]
    together = run(model, data, suites=("clean", "c", "calibration"))
    assert together.computed == 5
    assert without_seconds(together) == without_seconds(alone)
    assert set(alone.figures) == set(together.figures)
    # It finishes what another suite began.
    run(model, data, suites=("clean",), output_dir=tmp_path)
    rest = run(model, data, suites=("calibration",), output_dir=tmp_path)
    assert rest.computed == 4
