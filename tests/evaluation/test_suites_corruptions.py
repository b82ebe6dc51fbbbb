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
MODEL = toys.random_model()


@pytest.fixture
def root(tmp_path):
    """As if they were published; beside them as they are written."""
    written = tmp_path / "written"
    corruption_sets.write(DATA, written, names=NAMES, seed=4, progress=False)
    folder = shutil.copytree(written, tmp_path / "sets")
    (folder / "manifest.json").unlink()
    return folder


def run(*suites, **more):
    own = {"suites": suites or ("c",), "corruptions": NAMES, "seed": 4}
    return toys.run(MODEL, DATA, **own, **more)


def test_files_give_what_the_generator_gives(root):
    made, read = run(), run("c", "calibration", c_dir=root)
    cells = [cell for cell in read.records if cell.suite == "c"]
    for cell, own in zip(cells, made.records.values(), strict=True):
        assert cell.source == "released"
        assert cell.seed is cell.generator is None
        place = cell.corruption, cell.severity
        images = corruptions.corrupt(DATA.test.images, *place, 4)
        outputs = MODEL.predict(images, verbose=0)
        wanted = metrics.tally(outputs, DATA.test.labels).measurements()
        for sums in (own, read.records[cell]):
            for name in ("correct", "nll_sum", "brier_sum", "bins"):
                np.testing.assert_allclose(sums[name], wanted[name], rtol=1e-6)
    assert len({read.records[cell]["nll_sum"] for cell in cells}) == 6
    assert "calibration/c_released_mean_ece" in read.figures
    assert "calibration/c_mean_ece" not in read.figures
    anew = run(c_dir=root.parent / "written")
    for results, name, source, origin in (
        (made, "c", "generated", "seed 4"),
        (read, "c_released", "released", "from released files"),
        (anew, "c_written", "generated", "were generated"),
    ):
        sections = results.report.as_dict()["sections"]
        assert origin in sections[name]["origin"]
        for section, count in ((name, 2), (f"{name}_extra", 1)):
            assert sections[section]["source"] == source
            assert len(sections[section]["cells"]) == count


def test_cells_are_of_their_very_rows_and_damage_is_told_first(root, tmp_path):
    """They were known by the first image alone."""
    options = {"c_dir": root, "output_dir": tmp_path / "run"}
    run(**options)
    assert run(**options).computed == 0
    fog = np.load(root / "fog.npy")
    fog[-1] = 255 - fog[-1]
    np.save(root / "fog.npy", fog)
    assert run(**options).computed == 2
    part = run(examples=6, **options).report.as_dict()["sections"]
    assert "6 of 11 images per cell" in part["c_released"]["origin"]
    fog, calls = root / "fog.npy", []
    own = {"progress": lambda *call: calls.append(call), "c_dir": root}
    for damage, words in (
        (lambda: fog.write_bytes(fog.read_bytes()[:-100]), "cut short"),
        (fog.unlink, "lacks fog.npy"),
    ):
        damage()
        assert_usage_error(lambda: run("clean", "c", **own), "fog.npy", words)
    assert not calls


def test_calibration_measures_no_image_twice(tmp_path):
    alone = run("calibration")
    assert [cell.suite for cell in alone.records] == ["clean"] + 6 * ["c"]
    together = run("clean", "c", "calibration")
    assert together.computed == 7
    assert toys.without_seconds(together) == toys.without_seconds(alone)
    assert set(alone.figures) == set(together.figures)
    run("clean", output_dir=tmp_path)
    assert run("calibration", output_dir=tmp_path).computed == 6
