"""Suites c and calibration on files, beside what is generated."""

import shutil

import numpy as np
import pytest

from noisymix_tf import corruption_sets, corruptions
from noisymix_tf.evaluation import metrics
from support import evaluation_toys as toys
from support.usage import assert_usage_error

NAMES = ("shot_noise", "fog", "saturate")
DATA = toys.whole_dataset(n=11)


@pytest.fixture(scope="module")
def model():
    return toys.random_model()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Arrays of three corruptions with seed 4."""
    path = tmp_path_factory.mktemp("sets")
    corruption_sets.write(DATA, path, names=NAMES, seed=4, progress=False)
    return path


@pytest.fixture
def root(written, tmp_path):
    """The same as if they were published."""
    folder = shutil.copytree(written, tmp_path / "sets")
    (folder / "manifest.json").unlink()
    return folder


@pytest.fixture
def run(model):
    def run(*suites, **more):
        own = {"suites": suites or ("c",), "corruptions": NAMES, "seed": 4}
        return toys.run(model, DATA, **own, **more)

    return run


def test_files_give_what_the_generator_gives(model, root, run):
    """Numbers are the same; sections tell the two apart."""
    made, read = run(), run("c", "calibration", c_dir=root)
    cells = [cell for cell in read.records if cell.suite == "c"]
    for cell, own in zip(cells, made.records.values(), strict=True):
        assert cell.source == "released"
        assert cell.seed is cell.generator is None
        place = cell.corruption, cell.severity
        images = corruptions.corrupt(DATA.test.images, *place, 4)
        outputs = model.predict(images, verbose=0)
        wanted = metrics.tally(outputs, DATA.test.labels).measurements()
        for sums in (own, read.records[cell]):
            for name in ("correct", "nll_sum", "brier_sum", "bins"):
                np.testing.assert_allclose(sums[name], wanted[name], rtol=1e-6)
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
    assert "11 images per cell, files that were generated" in section["origin"]
    assert "seed 4" in section["origin"]
    cell, *_ = results.records
    assert cell.generator == f"{corruptions.version()}-cifar"
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
    part = run(examples=6, **options).report.as_dict()["sections"]
    origin = part["c_released"]["origin"]
    assert origin.startswith("6 of 11 images per cell")


def test_damaged_files_are_named_before_anything_is_measured(root, run):
    fog, calls = root / "fog.npy", []
    options = {"progress": lambda *call: calls.append(call), "c_dir": root}
    for damage, words in (
        (lambda: fog.write_bytes(fog.read_bytes()[:-100]), "cut short"),
        (fog.unlink, "lacks fog.npy"),
    ):
        damage()
        call = lambda: run("clean", "c", **options)  # noqa: E731
        assert_usage_error(call, "fog.npy", words)
    assert not calls


def test_calibration_measures_no_image_twice(run, tmp_path):
    """It finishes what another suite began."""
    alone = run("calibration")
    assert [cell.suite for cell in alone.records] == ["clean"] + 6 * ["c"]
    together = run("clean", "c", "calibration")
    assert together.computed == 7
    assert toys.without_seconds(together) == toys.without_seconds(alone)
    assert set(alone.figures) == set(together.figures)
    run("clean", output_dir=tmp_path)
    assert run("calibration", output_dir=tmp_path).computed == 6
