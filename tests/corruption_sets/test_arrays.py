"""Corrupted sets: files in the released layouts hold what `corrupt` gives."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import UsageError, corruption_sets, corruptions
from noisymix_tf.data import ArraySplit, Dataset, FileSplit

CLASSES = ("ape", "bee/wasp", "cat")


def pictures(number, height=32, width=32, seed=0):
    """Smooth random images, with some structure to corrupt."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (number, 6, 6, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(s).resize((width, height))) for s in small]
    )


def dataset(split):
    return Dataset(
        name="pictures",
        train=split,
        test=split,
        class_names=CLASSES,
        image_shape=split.image_shape,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        flip=True,
    )


def in_memory(number=11, **size):
    labels = np.arange(number) % len(CLASSES)
    return dataset(ArraySplit(pictures(number, **size), labels))


@pytest.fixture
def on_disk(tmp_path):
    """Six files, of which two of one class differ only in the suffix."""
    names = ["ape/a.png", "ape/a.bmp", "ape/b.png"]
    names += ["bee/a.png", "bee/b.c.png", "cat/a.png"]
    images = pictures(len(names), 40, 40)
    for name, image in zip(names, images):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    paths = [tmp_path / "source" / name for name in names]
    return dataset(FileSplit(paths, [0, 0, 0, 1, 1, 2], (40, 40))), images


def write(data, folder, **arguments):
    return corruption_sets.write(data, folder, progress=False, **arguments)


@pytest.mark.parametrize("severities", [(1, 2, 3, 4, 5), (4, 2)])
def test_arrays_stack_the_severities_as_the_released_ones(tmp_path, severities):
    data = in_memory()
    folder = write(
        data,
        tmp_path / "c",
        names=["fog", "shot_noise"],
        severities=severities,
        seed=3,
    )
    images, labels = data.test.images, data.test.labels
    for name in ("fog", "shot_noise"):
        whole = np.load(folder / f"{name}.npy")
        assert whole.dtype == np.uint8
        parts = np.split(whole, len(severities))
        for severity, part in zip(sorted(severities), parts):
            expected = corruptions.corrupt(images, name, severity, seed=3)
            np.testing.assert_array_equal(part, expected)
    stored = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(stored, np.tile(labels, len(severities)))
    visible = {p.name for p in folder.iterdir() if p.name[0] != "."}
    assert visible == {
        "fog.npy",
        "shot_noise.npy",
        "labels.npy",
        "manifest.json",
        "sheets",
    }


def test_every_corruption_by_default_and_tags(tmp_path):
    data = in_memory(2)
    write(data, tmp_path / "all", severities=[1])
    made = {path.stem for path in (tmp_path / "all").glob("*.npy")}
    assert made == {"labels", *corruptions.names()}
    write(data, tmp_path / "few", names=["blur", "fog"], severities=[1])
    made = {path.stem for path in (tmp_path / "few").glob("*.npy")}
    assert made == {"labels", "fog", *corruptions.names("blur")}


def test_calls_of_many_sizes_give_the_same_pixels(tmp_path, monkeypatch):
    data = in_memory()
    whole = write(data, tmp_path / "a", names=["speckle_noise"])
    # Seven images a call, so that calls and severities end at odd places.
    monkeypatch.setattr(
        "noisymix_tf.corruption_sets.arrays._CALL_BYTES", 7 * 32 * 32 * 3
    )
    parts = write(data, tmp_path / "b", names=["speckle_noise"])
    assert (whole / "speckle_noise.npy").read_bytes() == (
        parts / "speckle_noise.npy"
    ).read_bytes()


def test_perturbations_are_films(tmp_path):
    data = in_memory(5, height=40, width=36)
    arguments = {"suite": "p", "crop": 32, "seed": 1}
    names = ["gaussian_noise", "translate"]
    for difficulty in (1, 3):
        folder = write(
            data,
            tmp_path,
            names=names,
            difficulty=difficulty,
            **arguments,
        )
    for file, name, difficulty, frames in (
        ("gaussian_noise", "gaussian_noise", 1, 31),
        ("gaussian_noise_3", "gaussian_noise", 3, 31),
        ("translate", "translate", 1, 16),
    ):
        films = np.load(folder / f"{file}.npy")
        assert films.shape == (5, frames, 32, 32, 3)
        expected = corruptions.perturb(
            data.test.images, name, 1, difficulty=difficulty, crop=32
        )
        np.testing.assert_array_equal(films, expected)
    assert not (folder / "translate_3.npy").exists()
    stored = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(stored, data.test.labels)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_a_tree_keeps_class_and_file_names(tmp_path, on_disk, image_format):
    data, images = on_disk
    folder = write(
        data,
        tmp_path / "c",
        names=["snow", "impulse_noise"],
        severities=[1, 5],
        seed=2,
        image_format=image_format,
    )
    suffix = {"jpeg": ".JPEG", "png": ".png"}[image_format]
    files = ["ape/a.png", "ape/a.bmp", "ape/b"]
    files += ["bee_wasp/a", "bee_wasp/b.c", "cat/a"]
    written = {p for p in folder.rglob("*/*/*/*") if p.is_file()}
    assert len(written) == 2 * 2 * len(files)
    for name in ("snow", "impulse_noise"):
        for severity in (1, 5):
            made = corruptions.corrupt(images, name, severity, seed=2)
            for file, expected in zip(files, made):
                path = folder / name / str(severity) / f"{file}{suffix}"
                if image_format == "jpeg":
                    other = tmp_path / "expected.jpg"
                    picture = Image.fromarray(expected)
                    picture.save(other, quality=85, optimize=True)
                    assert path.read_bytes() == other.read_bytes()
                else:
                    pixels = np.asarray(Image.open(path))
                    np.testing.assert_array_equal(pixels, expected)


def test_arrays_of_files_and_trees_of_arrays(tmp_path, on_disk):
    data, images = on_disk
    folder = write(data, tmp_path / "a", names=["fog"], layout="arrays")
    expected = [corruptions.corrupt(images, "fog", s) for s in range(1, 6)]
    np.testing.assert_array_equal(
        np.load(folder / "fog.npy"), np.concatenate(expected)
    )
    data = in_memory(11)
    folder = write(
        data,
        tmp_path / "t",
        names=["fog"],
        severities=[3],
        layout="tree",
        image_format="png",
    )
    pixels = np.asarray(Image.open(folder / "fog/3/bee_wasp/10.png"))
    expected = corruptions.corrupt(data.test.images, "fog", 3)[10]
    np.testing.assert_array_equal(pixels, expected)
    assert (folder / "fog/3/ape/00.png").exists()


def test_the_manifest_says_how_the_files_were_made(tmp_path):
    data = in_memory()
    folder = write(data, tmp_path, names=["contrast"], seed=5)
    manifest = json.loads((folder / "manifest.json").read_text())
    settings, entry = manifest["settings"], manifest["files"]["contrast.npy"]
    assert settings["seed"] == 5 and settings["images"] == 11
    assert settings["generator"] == corruptions.version()
    assert settings["table"] == "cifar"
    content = (folder / "contrast.npy").read_bytes()
    assert entry["bytes"] == len(content)
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["shape"] == [55, 32, 32, 3]


def test_sheets_show_clean_images_and_five_severities(tmp_path):
    data = in_memory(height=96, width=96)
    folder = write(data, tmp_path, names=["pixelate"], severities=[2])
    sheet = np.asarray(Image.open(folder / "sheets" / "pixelate.png"))
    # Six rows and columns with gaps of two pixels.
    assert sheet.shape == (6 * 98 + 2, 6 * 98 + 2, 3)
    place = 10  # The last of six evenly spaced ones of eleven.
    image = data.test.images[place : place + 1]
    for column in range(6):
        expected = image
        if column:
            expected = corruptions.corrupt(
                image, "pixelate", column, indices=[place]
            )
        tile = sheet[5 * 98 + 2 : 6 * 98, column * 98 + 2 : column * 98 + 98]
        np.testing.assert_array_equal(tile, expected[0])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"names": ["fogg"]}, "Unknown corruption 'fogg'. Known: gaussian_noi"),
        ({"names": []}, "No corruption was given"),
        ({"suite": "p", "names": ["fog"]}, "Unknown perturbation 'fog'"),
        ({"suite": "q"}, "Unknown suite 'q'. Known: c, p"),
        ({"severities": [0]}, "Severity 0 does not exist"),
        ({"severities": [3, 6]}, "Severity 6 does not exist"),
        ({"severities": []}, "No severity was given"),
        ({"seed": -1}, "A seed is an int of at least 0, got -1"),
        ({"table": "tiny"}, "Unknown table"),
        ({"layout": "film"}, "Unknown layout 'film'. Known: auto, arrays"),
        ({"image_format": "gif"}, "Unknown format 'gif'. Known: jpeg, png"),
        ({"suite": "p", "layout": "tree"}, "use --layout=arrays"),
        ({"suite": "p", "difficulty": 4}, "Difficulty 4 does not exist"),
        ({"suite": "p", "crop": 33}, "crop must be an int from 1 to 32"),
        ({"frost_folder": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"processes": 0}, "processes=0 must be at least 1"),
    ],
)
def test_bad_arguments_are_one_line_and_write_nothing(
    tmp_path, arguments, words
):
    with pytest.raises(UsageError) as caught:
        write(in_memory(), tmp_path / "c", **arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "c").glob("*.npy"))
