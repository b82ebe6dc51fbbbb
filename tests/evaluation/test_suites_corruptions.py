"""Suites c and calibration on files, beside what is generated."""

import shutil

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


@pytest.fixture(scope="module")
def data():
    return whole_dataset(n=11)


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def root(data, tmp_path_factory):
    """Arrays of three corruptions with seed 4, as if they were published."""
    path = tmp_path_factory.mktemp("sets")
    corruption_sets.write(data, path, names=NAMES, seed=4, progress=False)
    (path / "manifest.json").rename(path / "manifest.txt")
    return path


def options(**more):
    return {"suites": ("c",), "corruptions": NAMES, "seed": 4, **more}


def assert_same(one, other):
    assert one["correct"] == other["correct"]
    for name in ("nll_sum", "brier_sum"):
        assert one[name] == pytest.approx(other[name], rel=1e-6)
    np.testing.assert_allclose(one["bins"], other["bins"], rtol=1e-6)


def test_files_give_what_the_generator_gives(model, data, root):
    """Numbers are the same; sections tell the two apart."""
    made = run(model, data, **options())
    read = run(model, data, **options(suites=("c", "calibration"), c_dir=root))
    cells = [cell for cell in read.records if cell.suite == "c"]
    assert len(cells) == len(made.records) == 3 * 2
    for cell, own in zip(cells, made.records.values()):
        sums = read.records[cell]
        assert (cell.source, cell.seed, cell.generator) == (
            *("released", None, None),
        )
        images = corruptions.corrupt(
            data.test.images, cell.corruption, cell.severity, 4
        )
        outputs = model.predict(images, verbose=0)
        wanted = metrics.tally(outputs, data.test.labels)
        assert_same(sums, wanted.measurements())
        assert_same(sums, own)
    assert len({read.records[cell]["nll_sum"] for cell in cells}) == 6
    assert "calibration/c_released_mean_ece" in read.figures
    assert "calibration/c_mean_ece" not in read.figures
    reports = (results.report.as_dict() for results in (made, read))
    sections = {k: v for r in reports for k, v in r["sections"].items()}
    for name, source in (
        ("c", "generated"),
        ("c_extra", "generated"),
        ("c_released", "released"),
        ("c_released_extra", "released"),
    ):
        assert sections[name]["source"] == source
        assert len(sections[name]["cells"]) == (1 if "extra" in name else 2)
    assert "from released files" in sections["c_released"]["origin"]
    assert "seed 4" in sections["c"]["origin"]


def test_files_of_this_package_are_called_generated(
    model, data, root, tmp_path
):
    """And examples of them are shown."""
    folder = shutil.copytree(root, tmp_path / "sets")
    (folder / "manifest.txt").rename(folder / "manifest.json")
    more = options(c_dir=folder, output_dir=tmp_path / "run")
    results = run(model, data, **more)
    section = results.report.as_dict()["sections"]["c_written"]
    assert section["source"] == "generated"
    assert section["title"] == "Common corruptions in files"
    assert "11 images per cell, files that were generated" in section["origin"]
    assert "seed 4" in section["origin"]
    (cell, *_) = results.records
    assert cell.seed == 4
    assert cell.generator == f"{corruptions.version()}-cifar"
    assert list((tmp_path / "run/examples").glob("*.json"))
    assert "fog, severity 1" in (tmp_path / "run/report.html").read_text()


def test_another_row_of_a_file_is_another_cell(model, data, root, tmp_path):
    """Cells of files were known by the first image alone."""
    folder = shutil.copytree(root, tmp_path / "sets")
    more = options(c_dir=folder, output_dir=tmp_path / "run")
    run(model, data, **more)
    assert run(model, data, **more).computed == 0
    fog = np.load(folder / "fog.npy")
    fog[-1] = 255 - fog[-1]
    np.save(folder / "fog.npy", fog)
    assert run(model, data, **more).computed == 2


def test_released_cells_are_opened_one_at_a_time_and_read_by_batches(
    model, data, root, monkeypatch
):
    """A tree has a list of files for each; they are not held together."""
    opened, most, sizes = [], [], []
    arrays = released.corrupted_arrays.CorruptedArrays
    split = arrays.split

    class Counted:
        def __init__(self, inner):
            self._inner = inner
            opened.append(id(self))
            most.append(len(opened))

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def __len__(self):
            return len(self._inner)

        def __del__(self):
            opened.remove(id(self))

        def batches(self, batch_size):
            for batch in self._inner.batches(batch_size):
                sizes.append(len(batch[0]))
                yield batch

    monkeypatch.setattr(
        arrays, "split", lambda self, *names: Counted(split(self, *names))
    )
    results = run(
        model, data, **options(c_dir=root, severities=(1, 2)), batch_size=4
    )
    assert len(results.records) == 6
    assert len(most) == 12  # Once for the list of cells, once to measure.
    # The next cell is opened while the last one is still being measured.
    assert max(most) <= 2
    assert max(sizes) == 4


def test_a_part_of_released_images(model, data, root):
    results = run(model, data, **options(c_dir=root, examples=6))
    section = results.report.as_dict()["sections"]["c_released"]
    assert section["n"] == 6
    assert section["origin"].startswith("6 of 11 images per cell")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "lacks fog.npy"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "cut short"),
        (
            lambda file: np.save(file, np.array([{}]), allow_pickle=True),
            "refused",
        ),
    ],
    ids=["missing", "truncated", "pickle"],
)
def test_damaged_files_are_named_before_anything_is_measured(
    data, root, tmp_path, damage, words
):
    folder = shutil.copytree(root, tmp_path / "sets")
    damage(folder / "fog.npy")
    calls = []
    assert_usage_error(
        lambda: run(
            data=data,
            suites=("clean", "c"),
            corruptions=("shot_noise", "fog"),
            c_dir=folder,
            progress=lambda *call: calls.append(call),
        ),
        "fog.npy",
        words,
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


def test_images_flow_through_and_are_not_collected(monkeypatch):
    """However many batches there are, only a few are alive at once."""
    alive, most = [0], [0]

    class Batch(np.ndarray):
        def __array_finalize__(self, parent):
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self):
            alive[0] -= 1

    class Endless:
        def __len__(self):
            return 2 * 200

        def batches(self, batch_size):
            for _ in range(0, len(self), batch_size):
                images = np.zeros([batch_size, 16, 16, 3], np.uint8)
                yield images.view(Batch), np.zeros(batch_size, np.int32)

    endless = type(whole_dataset(n=4))(
        **{**vars(whole_dataset(n=4)), "test": Endless()}
    )
    monkeypatch.setattr("noisymix_tf.evaluation.images._CACHE_BYTES", 4000)
    results = run(
        data=endless,
        suites=("clean", "c"),
        corruptions=("contrast",),
        batch_size=2,
        num_workers=2,
    )
    assert [cell.n for cell in results.records] == [400] * 3
    # Four prepared ahead, the one that is measured, one that is on its way,
    # and views of them.
    assert most[0] < 60
