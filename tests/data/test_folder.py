"""Image folders: layouts, formats, trees that are joined, what is refused."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image

from noisymix_tf import data
from noisymix_tf.data import classes, folder
from noisymix_tf.sets.layouts import image_names
from support import picture_folders as folders
from support.released_sets import assert_holds, noise
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
    # Their contents tell, not their names.
    odd = [path.rename(path.with_suffix(".jpg")) for path in paths]
    odd = data.FileSplit(odd, labels, SIZE)
    same(next(odd.batches(len(odd)))[0], images)


def test_what_is_no_folder_of_images_is_one_line(tmp_path):
    special = {
        "empty": lambda path: path.mkdir(),
        "link": lambda path: path.symlink_to("gone"),
        "bad": lambda path: path.write_bytes(b"this is no image"),
        "big": lambda path: folders.save(path, folders.picture(0, (30, 20))),
    }
    both = ["a/0.png", "a/1.png", "b/0.png"]
    train = ["train/a/0.png", "train/b/0.png"]
    root, file = tmp_path / "root", tmp_path / "file"
    file.touch()
    refused(lambda: load(root), "root does not exist")
    refused(lambda: load(file), "file is a file")
    refused(lambda: load(None), "needs --data_dir=DIR")
    for files, *words in (
        (["a/0.png", "empty"], "empty holds no files (.jpg"),
        (train, "val, validation, test"),
        (["a/0.png", "a/1.png"], "holds 1 class folders (a)"),
        (both, "'b'", "b/0.png", "two are needed"),
        ([*train, "val/a/0.png", "val/c/0.png"], "/val has the classes c, "),
        ([*train, "val/a/0.png", "val/a/1.png"], "/val holds 1 class folders"),
        ([*both, "b/big.png"], "' is 12 x 16", "g' is 30 x 20", "_size=N"),
        ([*both, "b/bad.png"], "b/bad.png'", "Replace or remove it."),
        # Tracebacks, and a class no export could name.
        ([*both, "b/link.png"], "is neither a file nor a folder, nor a link"),
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
    refused(lambda: [*split.batches(2)], "dog/0.png'", "30 x 20", "12 x 16")
    dog.unlink()
    refused(lambda: [*split.batches(2)], "dog/0.png'")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return folders.make(tmp_path_factory.mktemp("clean"))


def test_joined_training_sets_are_longer_or_refused(clean, tmp_path):
    """Trees join any dataset at its size, whatever their order on disk."""
    flat = tmp_path / "flat"
    for place, name in enumerate(("dog/0", "dog/1", "cat/0", "cat/1", "sheet")):
        folders.save(flat / f"{name}.png", folders.picture([7, place]))
    alone, joined = load(clean), load(clean, extra_data_dirs=[flat, flat])
    assert joined.train.labels.tolist() == [0] * 3 + [1] * 3 + [0, 0, 1, 1] * 2
    ((images, labels),) = joined.train.batches(14)
    added = [flat / c / f"{i}.png" for c in folders.CLASSES for i in range(2)]
    same(images, [*map(folders.read, [*alone.train.paths, *added, *added])])
    same(labels, joined.train.labels)
    # A subset is of the own images; of a tree only those to train on join.
    few = load(clean, train_examples=2, extra_data_dirs=[clean])
    assert few.train.labels.tolist() == [0, 1, 0, 0, 0, 1, 1, 1]
    assert all("/train/" in path for path in few.train.parts[1].paths)
    # A tree alone is trained on, and clean images measure.
    tree = load(clean, train_data_dir=str(flat))
    assert list(tree.train.paths) == list(map(str, added))
    assert tree.test.paths == joined.test.paths == alone.test.paths
    ten = [folders.make(tmp_path / "ten", 1, 0, (32, 32), "0123456789")]
    digits = data.load("digits", train_examples=20, extra_data_dirs=ten)
    assert digits.train.labels[20:].tolist() == list(range(10))
    images = [folders.picture([digit, 0], (32, 32)) for digit in range(10)]
    same(digits.train.fetch(tf.range(20, 30)), images)
    large = [folders.make(tmp_path / "large", size=(30, 41))]
    joined = load(clean, image_size=16, extra_data_dirs=large[0])
    assert joined.train.fetch(tf.range(8)).shape == (8, 16, 16, 3)
    folders.make(tmp_path / "other", classes=("cat", "emu"))
    bad = folders.make(tmp_path / "bad") / "train"
    (bad / "cat/0.png").write_bytes(b"no image")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/cat").symlink_to(clean / "val/cat")
    for root, *words in (
        (*large, "its size is 30 x 41, expected 24 x 24"),
        ("nowhere", "--extra_data_dirs=nowhere does not exist", "tf deepaug"),
        (clean / "val", "holds the images that are measured on"),
        (tmp_path / "links", "holds the images that are measured on"),
        (tmp_path / "other", "has the classes emu,", "of the training set"),
        (bad, "Cannot read the image", "cat/0.png"),
    ):
        refused(load, *words, root=clean, extra_data_dirs=[root])
    said = "--train_data_dir=nowhere does not exist"
    refused(load, said, root=clean, train_data_dir="nowhere")
    # A bad image is named while it is read.
    root = folders.make(tmp_path / "changed")
    train = load(clean, extra_data_dirs=[root]).train
    (root / "train/dog/1.png").write_bytes(b"no image")
    refused(lambda: list(train.batches(4)), "dog/1.png")
    refused(train.check, "dog/1.png")
    train.check(range(6))


def arrays(number, start):
    images = noise(number, 8, 8, 3, seed=start)
    return data.ArraySplit(images, np.arange(start, start + number))


def test_joined_arrays_read_as_one_array():
    parts = [arrays(5, 0), arrays(3, 5), arrays(4, 8)]
    whole = np.concatenate([part.images for part in parts])
    joined, order = data.JoinedSplit(parts), np.array([11, 0, 7, 5, 0, 4, 8])
    same(joined.fetch(order), whole[order])
    assert_holds(joined, whole, range(12))
    # Crops are functions of seed and position.
    joined, crop = data.JoinedSplit(parts[2:] * 2), data.RandomResizedCrop()
    seed, order = tf.constant([3, 4]), tf.constant([6, 1, 3])
    cut = joined.fetch(tf.range(8), crop, seed).numpy()
    same(joined.fetch(order, crop, seed), cut[order])
    # One image in two parts is cropped in two ways.
    assert (cut[:4] != cut[4:]).any(axis=(1, 2, 3)).all()


def test_a_folder_for_each_class_whatever_their_names():
    """Two classes of one name shared a folder; `..` led out of the tree."""
    names, images = classes.folder_names, image_names
    found = ["crane_0", "owl", "crane_2", "_.", "_hidden", "_", "a_b"]
    assert names(["crane", "owl", "crane", "..", ".hidden", "", "a/b"]) == found
    assert names(["owl", "owl", "owl_0"]) == ["owl_0", "owl_1", "owl_0_2"]
    found = images(arrays(2, 0).subset([1, 0]), ["crane", "owl"], ".png")
    assert found == ["owl/0.png", "crane/1.png"]
    # `cat.jpg` and `cat.png` of one class keep what tells them apart.
    files = data.FileSplit(["x/a.jpg", "x/a.png", "x/b.png"], [0, 0, 0], 8)
    found = ["owl/a.jpg.webp", "owl/a.png.webp", "owl/b.webp"]
    assert images(files, ["owl"], ".webp") == found
    # Two of these three had one name; these two have no name to tell apart.
    for names in ("x/a.jpg x/a.png x/a.jpg.png", "x/a.png y/a.png"):
        files = data.FileSplit(names.split(), [0] * len(names.split()), 8)
        assert len({*images(files, ["owl"], ".png")}) == len(files)


WNIDS, WORDS = classes.imagenet_wnids(), [f"word_{i}" for i in range(1000)]
NAMED = {
    "no names": ("", {"ant": 0, "owl": 1}),
    "marked, twice": ("\ufeffowl\r\nbat\nbat\n\n", {"bat_2": 2, "owl": 0}),
    "synsets": ("\n".join(WNIDS), {WNIDS[7]: 7, WNIDS[3]: 3}),
    "words for synsets": ("\n".join(WORDS), {WNIDS[7]: 7, WNIDS[3]: 3}),
}


@pytest.mark.parametrize("names, classes", NAMED.values(), ids=NAMED)
def test_all_images_are_measured_among_the_names(tmp_path, names, classes):
    """A fifth was, and one image of a class was refused."""
    root = folders.make(tmp_path, 1, 0, classes=classes) / "train"
    root = root.rename(tmp_path / "my tree")
    order = sorted(classes, key=classes.get)
    images = [folders.read(root / name / "0.png") for name in order]
    (tmp_path / "names.txt").write_bytes(names.encode())
    options = {"class_names": tmp_path / "names.txt"} if names else {}
    tree = data.test_folder(root, **options)
    assert_holds(tree.test, images, sorted(classes.values()))
    assert tree.num_classes == len(names.split() or classes)
    assert tree.name == "my tree" and tree.train is None
    options |= {"test_examples": 1, "preprocess": "resize8-crop6"}
    part = data.test_folder(root.rename(tmp_path / "cifar10"), **options)
    assert part.image_shape == (6, 6, 3) and len(part.test) == 1
    assert part.name == "folder cifar10"  # Not that of another dataset.


def test_what_cannot_be_measured_is_one_line(tmp_path):
    tree = folders.make(tmp_path, 1, 0, classes=("ant", "bee")) / "train"
    synsets = folders.make(tmp_path / "b", 1, 0, classes=WNIDS[3:4]) / "train"
    (tmp_path / "2").write_text("ant\n\nbee")
    (tmp_path / "bad").write_bytes(b"\x80")
    for root, names, *words in (
        ("nowhere", None, "--test_dir=", "nowhere does not exist: give"),
        ("", None, "/train in it", "/val, or --dataset=folder"),
        (tree, "2", "--class_names=", "has nothing on line 2"),
        (tree, "bad", "can't decode byte"),
        (tree, ("bee", "ants", "owl"), "classes ant,", "(near: ants)"),
        (tree, ("owl", "zebu"), "ant, bee, which are", "(owl, zebu)"),
        # By their order they would be mislabelled, all of them.
        (synsets, sorted(WORDS), "order of the alphabet"),
    ):
        names = tmp_path / names if isinstance(names, str) else names
        given = {"path": tmp_path / root, "class_names": names}
        refused(data.test_folder, *words, **given)
    path = tree / "bee/0.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(lambda: data.test_folder(tree), "bee/0.png")
