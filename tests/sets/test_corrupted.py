"""Corrupted sets hold what `corrupt` gives, and are read as released ones."""

import dataclasses
import hashlib
import io
import itertools

import numpy as np
from PIL import Image

from noisymix_tf import corruptions, data, sets
from noisymix_tf.data.released import corrupted_images, perturbed_sequences
from noisymix_tf.sets import layouts
from support.corruption_oracle import photographs
from support.released_sets import assert_holds, save_image
from support.usage import assert_usage_error

LABELS = np.arange(11) % 3


def dataset(split):
    names = ("ape", "bee/wasp", "cat")
    what = {"class_names": names, "image_shape": split.image_shape}
    return dataclasses.replace(data.load("digits"), test=split, **what)


def in_memory(number=11, height=32, width=32):
    images = photographs(number, height, width)
    return dataset(data.ArraySplit(images, LABELS[:number]))


def write(dataset, folder, **arguments):
    arguments = {"num_workers": 0, "progress": False, **arguments}
    return sets.write(dataset, folder, **arguments)


def test_arrays_stack_the_severities_as_released_ones(tmp_path, monkeypatch):
    source, given = in_memory(), ["defocus_blur", "noise"]
    # Private: seven images a call, which end at odd places.
    monkeypatch.setattr(layouts, "_CALL_BYTES", 7 * 32 * 32 * 3)
    names = (*corruptions.names("noise"), "defocus_blur")
    folder = write(source, tmp_path, names=given, severities=(4, 2, 4), seed=3)
    opened = corrupted_images(tmp_path, source)
    assert {*opened.places} == {f"{n}/{s}" for n in names for s in (2, 4)}
    of = {"dataset": "digits", "seed": 3, "images": 11}
    of["generator"] = corruptions.version()
    assert of.items() <= opened.manifest["settings"].items()
    clean = source.test.images
    for name in names:
        made = [corruptions.corrupt(clean, name, s, seed=3) for s in (2, 4)]
        stored = np.load(folder / f"{name}.npy")
        np.testing.assert_array_equal(stored, np.concatenate(made))
        assert_holds(opened.split(name, 4), made[1], LABELS)
    assert_usage_error(lambda: opened.split(name, 3), "lacks defocus_blur/3")
    stored = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(stored, np.tile(LABELS, 2))
    files = {*(f"{name}.npy" for name in (*names, "labels")), "manifest.json"}
    visible = {p.name for p in folder.iterdir() if p.name[0] != "."}
    assert visible == files | {"sheets"}
    content = (folder / "shot_noise.npy").read_bytes()
    digest, shape = hashlib.sha256(content).hexdigest(), [22, 32, 32, 3]
    entry = {"bytes": len(content), "sha256": digest, "shape": shape}
    assert entry.items() <= opened.manifest["files"]["shot_noise.npy"].items()


def test_perturbations_are_films(tmp_path):
    source = in_memory(3, height=18, width=17)
    shared = {"crop": 16, "seed": 1}
    write(source, tmp_path, suite="p", **shared)
    files = {path.stem for path in tmp_path.glob("*.npy")}
    assert files == {"labels", *corruptions.perturbation_names()}
    names = ["gaussian_noise", "translate"]
    write(source, tmp_path, suite="p", names=names, difficulty=3, **shared)
    assert {p.stem for p in tmp_path.glob("*_3.npy")} == {"gaussian_noise_3"}
    cropped = dataclasses.replace(source, image_shape=(16, 16, 3))
    opened = perturbed_sequences(tmp_path, cropped)
    assert opened.manifest["settings"]["seed"] == 1
    for name, level in (*((n, 3) for n in names), ("gaussian_noise", 1)):
        sequences, shared["difficulty"] = opened.sequences(name, level), level
        wanted = corruptions.perturb(source.test.images, name, **shared)
        ((films, _),) = sequences.batches(3)
        np.testing.assert_array_equal(films, wanted)
        assert sequences.subset([2, 0]).labels.tolist() == [2, 0]


def test_a_tree_keeps_class_and_file_names(tmp_path):
    names = ["cat/a.png", "ape/a.png", "ape/a.bmp", "bee/b.c.png"]
    images, place = photographs(len(names), 224, 224), tmp_path / "source"
    paths = [save_image(place / n, image) for n, image in zip(names, images)]
    source = dataset(data.FileSplit(paths, [2, 0, 0, 1], (224, 224)))
    names = ["contrast", "impulse_noise"]
    cells = {"names": names, "severities": [1, 5], "seed": 2}
    jpegs = write(source, tmp_path / "jpeg", **cells)
    folder = write(source, tmp_path / "png", image_format="png", **cells)
    opened = corrupted_images(folder, source)
    assert str(opened.preprocess) == "as_stored"
    files = "ape/a.bmp.JPEG ape/a.png.JPEG bee_wasp/b.c.JPEG cat/a.JPEG".split()
    jpeg = {"format": "jpeg", "quality": 85, "optimize": True}
    for name, severity in itertools.product(names, (1, 5)):
        made = corruptions.corrupt(images, name, severity, seed=2)[[2, 1, 3, 0]]
        assert_holds(opened.split(name, severity), made, [0, 0, 1, 2])
        written = sorted((jpegs / name / str(severity)).glob("*/*"))
        assert [str(p)[-len(f) :] for p, f in zip(written, files)] == files
        for path, image in zip(written, made, strict=True):
            Image.fromarray(image).save(expected := io.BytesIO(), **jpeg)
            assert path.read_bytes() == expected.getvalue()


def test_arrays_of_files_a_tree_of_arrays_and_sheets(tmp_path):
    source = in_memory()
    images = source.test.images
    paths = [save_image(tmp_path / f"{n}.png", images[n]) for n in range(11)]
    on_disk = dataset(data.FileSplit(paths, LABELS, (32, 32)))
    write(on_disk, tmp_path / "a", names=["fog"], layout="arrays")
    expected = corruptions.corrupt(images, "fog", 3)
    stored = np.load(tmp_path / "a" / "fog.npy")[22:33]
    np.testing.assert_array_equal(stored, expected)
    how = {"severities": [3], "layout": "tree", "image_format": "png"}
    write(source, tmp_path / "t", names=["fog"], **how)
    opened = corrupted_images(tmp_path / "t", source)
    order = np.argsort(LABELS, kind="stable")
    assert_holds(opened.split("fog", 3), expected[order], LABELS[order])
    (tmp_path / "t/fog/3/bee_wasp/10.png").unlink()
    words = "10 images", "notes 11", "has not finished, run it again"
    assert_usage_error(lambda: opened.split("fog", 3), *words)
    source = in_memory(height=96, width=96)
    write(source, tmp_path / "s", names=["pixelate"], severities=[2])
    sheet = np.asarray(Image.open(tmp_path / "s/sheets/pixelate.png"))
    # The last of six evenly spaced images, with gaps of two pixels.
    assert sheet.shape == (6 * 98 + 2, 6 * 98 + 2, 3)
    row = sheet[-98:-2, 2:].reshape(96, 6, 98, 3)[:, :, :96]
    image = source.test.images[10:]
    made = [corruptions.corrupt(image, "pixelate", n) for n in range(1, 6)]
    for place, (shown,) in enumerate([image, *made]):
        np.testing.assert_array_equal(row[:, place], shown)


def test_bad_arguments_write_nothing(tmp_path):
    for arguments, words in (
        ({"names": []}, "No corruption was given"),
        ({"suite": "p", "names": ["fog"]}, "Unknown perturbation 'fog'"),
        ({"suite": "q"}, "Unknown suite 'q'. Known: c, p"),
        ({"severities": []}, "severities=[] must be a list of some of 1 to"),
        ({"severities": 3}, "severities=3 must be a list"),
        ({"layout": "film"}, "Unknown layout 'film'. Known: auto, arrays"),
        ({"image_format": "gif"}, "Unknown format 'gif'. Known: jpeg, png"),
        ({"suite": "p", "layout": "tree"}, "use --layout=arrays"),
        ({"suite": "p", "crop": 33}, "crop must be an int from 1 to 32"),
        # They did nothing.
        ({"crop": 8}, "--crop does nothing with --suite=c: leave it out"),
        ({"difficulty": 3}, "--difficulty does nothing with --suite=c"),
        ({"suite": "p", "severities": [3]}, "--severities does nothing with"),
        ({"suite": "p", "frost_folder": "x"}, "--frost_folder does nothing wi"),
        ({"image_format": "png"}, "--format does nothing with --layout=arrays"),
    ):
        given = {"dataset": in_memory(), "folder": tmp_path, **arguments}
        assert_usage_error(write, words, **given)
        assert not list(tmp_path.glob("*.npy"))
