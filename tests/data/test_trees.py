"""Trees of images: trained on, joined or alone, or only measured on."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import data
from noisymix_tf.data import ArraySplit, JoinedSplit, RandomResizedCrop, classes
from noisymix_tf.sets.trees import image_names
from support import picture_folders as folders
from support.released_sets import assert_holds, noise
from support.usage import assert_usage_error as refused


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return folders.make(tmp_path_factory.mktemp("clean"))


def load(clean, **options):
    return data.load("folder", data_dir=clean, **options)


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
    joined = load(clean, image_size=16, extra_data_dirs=large)
    assert joined.train.fetch(tf.range(8)).shape == (8, 16, 16, 3)
    (tmp_path / "empty").mkdir()
    folders.make(tmp_path / "other", classes=("cat", "emu"))
    bad = folders.make(tmp_path / "bad") / "train"
    (bad / "cat/0.png").write_bytes(b"no image")
    for root, *words in (
        (*large, "its size is 30 x 41, expected 24 x 24"),
        ("nowhere", "--extra_data_dirs=nowhere does not exist", "tf stylize"),
        (clean / "train/cat/0.png", "is a file", "tf deepaugment"),
        (clean / "val", "holds the images that are measured on"),
        (tmp_path / "other", "has the classes emu,", "of the training set"),
        (tmp_path / "empty", "holds 0 class folders"),
        (bad, "Cannot read the image", "cat/0.png"),
    ):
        call = functools.partial(load, clean, extra_data_dirs=[root])
        refused(call, *words)
    call = functools.partial(load, clean, train_data_dir="nowhere")
    refused(call, "--train_data_dir=nowhere does not exist")
    # A bad image is named while it is read.
    root = folders.make(tmp_path / "changed")
    train = load(clean, extra_data_dirs=[root]).train
    (root / "train/dog/1.png").write_bytes(b"no image")
    refused(lambda: list(train.batches(4)), "dog/1.png")
    refused(train.check, "dog/1.png")
    train.check(range(6))


def arrays(number, start):
    images = noise(number, 8, 8, 3, seed=start)
    return ArraySplit(images, np.arange(start, start + number))


def test_joined_arrays_read_as_one_array():
    parts = [arrays(5, 0), arrays(3, 5), arrays(4, 8)]
    whole = np.concatenate([part.images for part in parts])
    joined, order = JoinedSplit(parts), np.array([11, 0, 7, 5, 0, 4, 8])
    same(joined.fetch(order), whole[order])
    assert_holds(joined, whole, range(12))
    # Crops are functions of seed and position.
    joined, crop = JoinedSplit([arrays(4, 0)] * 2), RandomResizedCrop()
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
        call = functools.partial(data.test_folder, tmp_path / root)
        call = functools.partial(call, class_names=names)
        refused(call, *words)
    path = tree / "bee/0.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(lambda: data.test_folder(tree), "bee/0.png")
