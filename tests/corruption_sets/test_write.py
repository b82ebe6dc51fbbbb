"""Corrupted sets: files in the released layouts hold what `corrupt` gives."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruption_sets, corruptions, data
from support.corruption_oracle import photographs
from support.usage import assert_usage_error

CLASSES = ("ape", "bee/wasp", "cat")


def dataset(split):
    return dataclasses.replace(
        data.load("digits"),
        test=split,
        class_names=CLASSES,
        image_shape=split.image_shape,
    )


def in_memory(number=11, height=32, width=32):
    images = photographs(number, height, width)
    return dataset(data.ArraySplit(images, np.arange(number) % len(CLASSES)))


@pytest.fixture
def on_disk(tmp_path):
    """Six files, of which two of one class differ only in the suffix."""
    names = ["ape/a.png", "ape/a.bmp", "ape/b.png"]
    names += ["bee/a.png", "bee/b.c.png", "cat/a.png"]
    images = photographs(len(names), 40, 40)
    paths = [tmp_path / "source" / name for name in names]
    for path, image in zip(paths, images):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    split = data.FileSplit(paths, [0, 0, 0, 1, 1, 2], (40, 40))
    return dataset(split), images


def write(dataset, folder, **arguments):
    return corruption_sets.write(dataset, folder, progress=False, **arguments)


def test_arrays_stack_the_severities_as_the_released_ones(
    tmp_path, monkeypatch
):
    """Those of a tag, in their own order, in whatever calls they are made."""
    digits = in_memory()
    # Private: seven images a call, which end at odd places.
    monkeypatch.setattr(
        "noisymix_tf.corruption_sets.arrays._CALL_BYTES", 7 * 32 * 32 * 3
    )
    names = ("defocus_blur", *corruptions.names("noise"))
    folder = write(
        digits,
        tmp_path,
        names=["noise", "defocus_blur"],
        severities=(4, 2, 4),
        seed=3,
    )
    images, labels = digits.test.images, digits.test.labels
    for name in names:
        expected = [
            corruptions.corrupt(images, name, severity, seed=3)
            for severity in (2, 4)
        ]
        stored = np.load(folder / f"{name}.npy")
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, np.concatenate(expected))
    stored = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(stored, np.tile(labels, 2))
    visible = {p.name for p in folder.iterdir() if p.name[0] != "."}
    assert visible == {
        *(f"{name}.npy" for name in (*names, "labels")),
        "manifest.json",
        "sheets",
    }


def test_every_corruption_by_default(tmp_path):
    write(in_memory(2), tmp_path, severities=[1])
    made = {path.stem for path in tmp_path.glob("*.npy")}
    assert made == {"labels", *corruptions.names()}


def test_perturbations_are_films(tmp_path):
    frames = in_memory(5, height=40, width=36)
    for difficulty in (1, 3):
        folder = write(
            frames,
            tmp_path,
            suite="p",
            names=["gaussian_noise", "translate"],
            difficulty=difficulty,
            crop=32,
            seed=1,
        )
    for file, name, difficulty in (
        ("gaussian_noise", "gaussian_noise", 1),
        ("gaussian_noise_3", "gaussian_noise", 3),
        ("translate", "translate", 1),
    ):
        expected = corruptions.perturb(
            frames.test.images, name, 1, difficulty=difficulty, crop=32
        )
        films = np.load(folder / f"{file}.npy")
        np.testing.assert_array_equal(films, expected)
    assert not (folder / "translate_3.npy").exists()
    stored = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(stored, frames.test.labels)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_a_tree_keeps_class_and_file_names(tmp_path, on_disk, image_format):
    source, images = on_disk
    folder = write(
        source,
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
    source, images = on_disk
    shared = {"names": ["fog"], "severities": [3]}
    folder = write(source, tmp_path / "a", layout="arrays", **shared)
    expected = corruptions.corrupt(images, "fog", 3)
    np.testing.assert_array_equal(np.load(folder / "fog.npy"), expected)
    source = in_memory(11)
    folder = write(
        source, tmp_path / "t", layout="tree", image_format="png", **shared
    )
    pixels = np.asarray(Image.open(folder / "fog/3/bee_wasp/10.png"))
    expected = corruptions.corrupt(source.test.images, "fog", 3)[10]
    np.testing.assert_array_equal(pixels, expected)
    assert (folder / "fog/3/ape/00.png").exists()


def test_the_manifest_says_how_the_files_were_made(tmp_path):
    folder = write(in_memory(), tmp_path, names=["contrast"], seed=5)
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
    source = in_memory(height=96, width=96)
    folder = write(source, tmp_path, names=["pixelate"], severities=[2])
    sheet = np.asarray(Image.open(folder / "sheets" / "pixelate.png"))
    # Six rows and columns with gaps of two pixels.
    assert sheet.shape == (6 * 98 + 2, 6 * 98 + 2, 3)
    place = 10  # The last of six evenly spaced ones of eleven.
    image = source.test.images[place : place + 1]
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
def test_bad_arguments_write_nothing(tmp_path, arguments, words):
    folder = tmp_path / "c"
    assert_usage_error(lambda: write(in_memory(), folder, **arguments), words)
    assert not list(folder.glob("*.npy"))
