"""Image folders: layouts, sizes, formats, and what is refused."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data import folder
from support import picture_folders as folders
from support.usage import assert_usage_error as refused

SIZE = (12, 16)
MODES = "png-RGB png-RGBA png-LA png-L png-P png-1 gif-P gif-L jpg-RGB jpg-L"
BMPS = "bmp-RGB bmp-L bmp-P bmp-1 png-L jpg-RGB webp-RGB webp-RGBA webp-P"


@pytest.fixture
def root(tmp_path):
    return folders.make(tmp_path / "root", train=3, test=2, size=SIZE)


def load(root, **options):
    return data.load("folder", data_dir=root, **options)


def names(split):
    return ["/".join(path.split("/")[-2:]) for path in split.paths]


def test_layouts(root, tmp_path):
    """Of val, validation and test the first that is there is tested on."""
    (root / "val").rename(root / "other")
    for name in ("test", "validation", "val"):
        shutil.copytree(root / "other", root / name)
        dataset = load(root)
        assert all(f"/{name}/" in path for path in dataset.test.paths)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (12, 16, 3)
    assert dataset.mean == (0.485, 0.456, 0.406)
    assert dataset.std == (0.229, 0.224, 0.225)
    assert dataset.flip and str(dataset.test.preprocess) == "as_stored"
    for options in ({"image_size": 8}, {"preprocess": "resize8-crop8"}):
        dataset = load(root, **options)
        assert dataset.image_shape == (8, 8, 3)
        assert str(dataset.test.preprocess) == "resize8-crop8"
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    more = ".b/1.png cat/.3.png cat/UP.JPEG cat/no.tiff cat/W.webp"
    for name in more.split():
        folders.save(root / "train" / name, folders.picture(0, SIZE))
    cats = [f"cat/{n}" for n in "0.png 1.png 2.png UP.JPEG W.webp".split()]
    assert names(load(root).train)[:5] == cats
    few = load(root, train_examples=4).train
    assert names(few) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    # Without splits a fifth is tested on, of the lowest SHA-256 (`printf 6.png
    # | sha256sum`), and a class may be called "train".
    made = folders.make(tmp_path, 10, 0, SIZE, ("cat", "train")) / "train"
    dataset = load(str(made))
    assert dataset.class_names == ("cat", "train")
    tested = ["cat/0.png", "cat/6.png", "train/0.png", "train/6.png"]
    assert names(dataset.test) == tested
    assert len({*tested, *names(dataset.train)}) == 4 + len(dataset.train) == 20
    for path in made.glob("*/[89].png"):
        path.unlink()
    assert len(load(made).test) == 2 * 2
    for path in made.glob("*/[2-7].png"):
        path.unlink()
    assert load(made).train.labels.tolist() == [0, 1]
    assert load(made).test.labels.tolist() == [0, 1]


@pytest.mark.parametrize("formats", [MODES, BMPS])
def test_formats_become_the_rgb_of_pillow(formats, tmp_path):
    paths, expected = [], []
    for place, each in enumerate(formats.split()):
        suffix, mode = each.split("-")
        image = Image.fromarray(folders.picture(place, SIZE))
        if mode == "RGBA":
            image.putalpha(image.convert("L"))
        paths.append(tmp_path / f"{place}.{suffix}")
        more = {"save_all": True, "append_images": [image.convert("L")]}
        more = more if suffix in ("gif", "webp") else {}
        image.convert(mode).save(paths[-1], **more)
        expected.append(np.asarray(Image.open(paths[-1]).convert("RGB")))
    split = data.FileSplit(paths, range(len(paths)), SIZE)
    images, labels = map(np.concatenate, zip(*split.batches(4)))
    assert labels.tolist() == [*range(len(paths))]
    same(images, expected)
    same(split.fetch(tf.constant([3, 0, 1])), images[[3, 0, 1]])
    assert split.find_unreadable() == []


def test_what_is_no_folder_of_images_is_one_line(tmp_path):
    special = {
        "empty": lambda path: path.mkdir(),
        "link": lambda path: path.symlink_to("gone"),
        "pipe": os.mkfifo,
        "bad": lambda path: path.write_bytes(b"this is no image"),
        "big": lambda path: folders.save(path, folders.picture(0, (30, 20))),
    }
    both = ["a/0.png", "a/1.png", "b/0.png"]
    train = ["train/a/0.png", "train/b/0.png"]
    root, file = tmp_path / "root", tmp_path / "file"
    file.touch()
    refused(lambda: load(root), "root does not exist")
    refused(lambda: load(file), "file is a file")
    refused(lambda: load(7), "--data_dir=7 does not exist")
    refused(lambda: load(None), "needs --data_dir=DIR")
    refused(lambda: load(root, image_size="64"), "image_size='64': give a p")
    for files, *words in (
        (["0.png"], "holds 0 class folders"),
        (["a/0.png", "empty"], "empty holds no files (.jpg"),
        (train, "val, validation, test"),
        (["a/0.png", "a/1.png"], "holds 1 class folders (a)"),
        (both, "'b'", "b/0.png", "two are needed"),
        ([*train, "val/a/0.png", "val/c/0.png"], "/val has the classes c, "),
        ([*train, "val/a/0.png", "val/a/1.png"], "/val holds 1 class folders"),
        ([*both, "b/big.png"], "' is 12 x 16", "g' is 30 x 20", "_size=N"),
        ([*both, "b/bad.png"], "b/bad.png'", "Replace or remove it."),
        # Tracebacks, a wait without end, and a class no export could name.
        ([*both, "b/link.png"], "nor a link that leads to one"),
        ([*both, "b/pipe.png"], "is neither a file nor a folder"),
        ([*both, b"b/\xe9.png"], r"b/\udce9.png' is no line of UTF-8"),
        ([*both, "c\nd/0.png"], r"c\nd' is no line of UTF-8"),
    ):
        for path in (root / os.fsdecode(file) for file in files):
            folders.save(path.with_suffix(".png"), folders.picture(0, SIZE))
            if path.stem in special:
                path.with_suffix(".png").unlink()
                special[path.stem](path)
        refused(lambda: load(root), *words)
        shutil.rmtree(root)


def test_bad_files_are_named(root, monkeypatch):
    bad = []
    for suffix in ("jpg", "png", "bmp", "gif", "webp"):
        path = root.with_suffix(f".{suffix}")
        folders.save(path, folders.picture(0, (64, 64), 64))
        content = path.read_bytes()
        for damage in (content[: len(content) // 2], b"this is no image", b""):
            bad.append(f"{root}/train/dog/bad{len(damage)}.{suffix}")
            pathlib.Path(bad[-1]).write_bytes(damage)
    paths = [*bad, root / "train/dog/0.png"]
    found = data.FileSplit(paths, [0] * 16, 8).find_unreadable()
    assert [name for name, _ in found] == bad
    words = ("dog/bad0.bmp' (14 more like it)", "Replace or remove it.")
    refused(lambda: load(root, image_size=8), *words)
    # In a large folder when it is read; there is none of 5,000 files here.
    monkeypatch.setattr(folder, "_CHECKED_FILES", 3)
    bad = root / "val/dog/4.png"
    bad.write_bytes(bad.read_bytes()[:-60])
    test = load(root, image_size=8).test
    next(batches := test.batches(3))
    refused(lambda: next(batches), "val/dog/4.png'")
    ((path, reason),) = test.find_unreadable()
    assert path == str(bad) and "PNG" in reason and "{{" not in reason
    # What the training loop sees, and asks `find_unreadable` about.
    with pytest.raises(tf.errors.InvalidArgumentError):
        next(iter(data.views(test, batch_size=4)))
    # So is one of another size, where none is given, and one that is gone.
    cat, dog = root / "train/cat/0.png", root / "train/dog/0.png"
    split = data.FileSplit([cat, dog], [0, 1], SIZE)
    folders.save(dog, folders.picture(0, (30, 20)))
    assert data.FileSplit([dog], [0], 10).fetch(tf.range(1)).shape[1] == 10
    read = lambda: list(split.batches(2))  # noqa: E731
    refused(read, "dog/0.png'", "30 x 20", "12 x 16")
    dog.unlink()
    refused(read, "dog/0.png'")
