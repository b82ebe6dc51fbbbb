"""Folders of images, one folder for each class: datasets, and trees to join."""

import contextlib
import hashlib
import os
import pathlib

import numpy as np

from noisymix_tf.checks import whole_number
from noisymix_tf.data.classes import balanced_subset, class_indices, listed
from noisymix_tf.data.dataset import (
    Dataset,
    EncodedSplit,
    kept,
    size_text,
)
from noisymix_tf.data.preprocess import BY_PILLOW, Preprocess
from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import Image, tf
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.places import check_local

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
TEST_FOLDERS = ("val", "validation", "test")
_LAYOUT = "the folder that holds train/ and val/, or one folder per class"
_MAKERS = (
    "python -m noisymix_tf stylize and python -m noisymix_tf deepaugment "
    "write such a tree"
)
# Up to these amounts all are decoded once, so that a bad file is named before
# training starts. 1,500 of 224 x 224 pixels take half a second of one core.
_CHECKED_FILES, _CHECKED_BYTES = 5_000, 200_000_000


class FileSplit(EncodedSplit):
    """A split of image files, of their paths: see `EncodedSplit`.

    >>> FileSplit(["a.png", "b.jpg"], [0, 1], image_size=224).image_shape
    (224, 224, 3)
    """

    _tensor = kept("paths", "string")

    def __init__(self, paths, labels, image_size):
        self.files = self.paths = tuple(map(str, paths))
        is_odd = any(path.lower().endswith(BY_PILLOW) for path in self.paths)
        super().__init__(labels, image_size, is_odd, len(self.paths))

    def read(self, index):
        return tf.io.read_file(tf.gather(self._tensor, index))

    def name(self, index):
        return self.paths[index]

    def subset(self, indices):
        indices = self.positions(indices)
        paths = [self.paths[i] for i in indices]
        return FileSplit(paths, self.labels[indices], self.image_size)


def load(*, data_dir=None, image_size=None, preprocess=None) -> Dataset:
    """A folder of images as a `Dataset`, with the folder's name.

    Classes are numbered in the order of their names. Two layouts:

    - `data_dir/train/<class>/*` and `data_dir/val/<class>/*` (or
      `validation`, or `test`; the first of the three that is there);
    - `data_dir/<class>/*`, of which a fifth of every class is for testing:
      always the same, whose names have the lowest SHA-256 digest.

    Hidden files and those without one of `EXTENSIONS` are ignored. Of more than
    5,000 files or 200 MB a damaged one is found only when it is read.
    """
    size, parts = given_size(image_size, preprocess), splits(data_dir)
    paths, labels = zip(*map(labelled, parts))
    size = size or _common_size([*paths[0], *paths[1]])
    train, test = map(_split, paths, labels, [size] * 2)
    return _dataset(data_dir, train, test, parts[0])


def test_folder(
    path,
    *,
    class_names=None,
    image_size=None,
    preprocess=None,
    test_examples=None,
) -> Dataset:
    """All images of a folder, `<class>/*`, to measure on; `train` is None.

    One image a class will do. `class_names` are what the outputs of the model
    mean, in their order: names, or a file with one on each line. Every class
    folder has one of them, or is a synset of ImageNet where they are its 1000
    classes; by default they are the class folders, in the order of their names.
    All else is as in `data.load`.
    """
    check_local(test_dir=path)
    expected = "a folder of one folder for each class"
    root = existing(path, expected, "--test_dir=")
    if _has_splits(root):
        raise UsageError(
            f"--test_dir={root} has {root}/train in it: give {expected}, such "
            f"as {root}/val, or --dataset=folder --data_dir={root}."
        )
    size, classes = given_size(image_size, preprocess), class_files(root)
    names, of = classes if class_names is None else class_names, "the model"
    if isinstance(class_names, str | os.PathLike):
        names, of = _lines(class_names), os.fspath(class_names)
    split = _split(*labelled(classes, names, root, of), size)
    part = balanced_subset(split, test_examples, root)
    return _dataset(root, None, part, names)


def tree(root, flag, dataset) -> FileSplit:
    """A tree of the classes, and in the size, of a dataset's training images.

    `flag` names it. The classes are in `root` or in `root/train`.
    """
    check_local(**{flag: root})
    root = existing(root, f"a folder; {_MAKERS}", f"--{flag}=")
    root = f"{root}/train" if _has_splits(root) else root
    # A folder without `train/` may be the one that test images are of, or hold
    # links to its class folders.
    tested = {*map(os.path.dirname, getattr(dataset.test, "paths", ()))}
    own = (f"{root}/{name}" for name in list_folder(root)[0])
    if {*map(os.path.realpath, tested)} & {*map(os.path.realpath, own)}:
        raise UsageError(
            f"--{flag}={root} holds the images that are measured on: give a "
            f"tree to train on; {_MAKERS}."
        )
    own = dataset.class_names, root, "the training set", True
    size = getattr(dataset.train, "image_size", dataset.image_shape[:2])
    return _split(*labelled(class_files(root), *own), size)


def splits(data_dir) -> tuple[dict, dict]:
    """`{class: files}` for training and for testing, see `load`."""
    if data_dir is None:
        raise UsageError(f"--dataset=folder needs --data_dir=DIR, {_LAYOUT}.")
    root = existing(data_dir, _LAYOUT, "--data_dir=")
    if not _has_splits(root):
        return _divided(class_files(root, least=2))
    names = [n for n in TEST_FOLDERS if n in list_folder(root)[0]]
    train = f"{root}/train"
    if not names:
        remedy = f"add one of {', '.join(TEST_FOLDERS)}"
        raise UsageError(f"{train} has nothing beside it to test on: {remedy}.")
    test = f"{root}/{names[0]}"
    parts = class_files(train, least=2), class_files(test, least=2)
    class_indices(parts[1], parts[0], test, train, complete=True)
    return parts


def _has_splits(root):
    # A class may be called "train" too; its folder then holds images only.
    is_there = "train" in list_folder(root)[0]
    return is_there and bool(list_folder(f"{root}/train")[0])


def _divided(classes):
    """A fifth of each class is for testing."""
    parts = {}, {}
    for name, files in classes.items():
        if len(files) < 2:
            one = f"{name!r} has one image, {files[0]!r}"
            raise UsageError(f"{one}: two are needed, one to test on.")
        order = sorted(files, key=_digest)
        chosen = {*order[: max(1, round(0.2 * len(files)))]}
        for is_test, part in enumerate(parts):
            part[name] = [f for f in files if (f in chosen) == is_test]
    return parts


def _digest(path):
    return hashlib.sha256(os.path.basename(path).encode()).digest()


def _split(paths, labels, size):
    """Its images are decoded once where they are few."""
    split = FileSplit(paths, labels, size or _common_size(paths))
    if few(paths):
        split.check()
    return split


def _dataset(root, train, test, names):
    """Its name, for reports, is the folder's; never that of another dataset."""
    from noisymix_tf.data import DATASETS

    above, name = os.path.split(os.path.abspath(os.path.expanduser(root)))
    if name in ("train", *TEST_FOLDERS):
        name = f"{os.path.basename(above)} {name}"
    name = f"folder {name}" if name in ("", *DATASETS.names()) else name
    norm = test.image_shape, IMAGENET_MEAN, IMAGENET_STD
    return Dataset(name, train, test, tuple(names), *norm, flip=True)


def _lines(path):
    with must(f"read --class_names={path}", "Give a class on each line"):
        text = pathlib.Path(path).expanduser().read_text("utf-8-sig")
    names = [line.strip() for line in text.rstrip().splitlines()] or [""]
    if "" in names:
        raise UsageError(
            f"--class_names={path} has nothing on line {names.index('') + 1}: "
            "give the name of every output of the model, one on each line."
        )
    return names


@contextlib.contextmanager
def must(act, remedy="Replace or remove it"):
    """Turns what goes wrong, say in "read the file x", into a `UsageError`."""
    try:
        yield
    except Exception as error:
        why = f"Cannot {act}: {one_line(error)}. {remedy}."
        raise UsageError(why) from error


def existing(path, expected, flag="") -> str:
    """The path of a folder that is there, `~` expanded."""
    root = os.path.expanduser(str(path)).rstrip(os.sep) or os.sep
    if not os.path.isdir(root):
        state = "does not exist"
        if os.path.exists(root):
            state = "is a file (unpack it if it is an archive)"
        raise UsageError(f"{flag}{root} {state}: give {expected}.")
    return root


def list_folder(folder) -> tuple[list[str], list[str]]:
    """Sorted names of the folders and of the files in it, but hidden ones."""
    folders, files = [], []
    with must(f"list {folder}", "Make it readable"):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in (each for each in entries if each.name[0] != "."):
        check_name(entry.path)
        if not entry.is_file() and not entry.is_dir():
            why = "is neither a file nor a folder, nor a link that leads to one"
            raise UsageError(f"{entry.path!r} {why}: remove it.")
        (files if entry.is_file() else folders).append(entry.name)
    return folders, files


def check_name(path) -> None:
    """Refuses a name that TensorFlow, a report or a list cannot say."""
    path = os.fspath(path)
    is_text = path.encode(errors="replace").decode() == path
    if not is_text or path.splitlines() != [path]:
        raise UsageError(f"{path!r} is no line of UTF-8 text: rename it.")


def class_files(root, extensions=EXTENSIONS, least=1) -> dict[str, list[str]]:
    """`{class folder: files}` of a folder of classes, both sorted."""
    classes, kinds = {}, ", ".join(extensions)
    for name in list_folder(root)[0]:
        folder = f"{root}/{name}"
        files = (f"{folder}/{file}" for file in list_folder(folder)[1])
        classes[name] = [f for f in files if f.lower().endswith(extensions)]
        if not classes[name]:
            remedy = "fill it, unpack it again, or remove it"
            raise UsageError(f"{folder} holds no files ({kinds}): {remedy}.")
    if len(classes) < least:
        raise UsageError(
            f"{root} holds {len(classes)} class folders ({listed([*classes])})"
            f", not {least} or more: give {root}/<class>/* ({kinds})."
        )
    return classes


def labelled(classes, *own) -> tuple[list[str], np.ndarray]:
    """Files of `{class: files}` in the order of labels, and their labels.

    A label is the class's place in the dict, or what `class_indices` says.
    """
    places = class_indices(classes, *own) if own else range(len(classes))
    labels, files = zip(*sorted(zip(places, classes.values())))
    paths = [path for own in files for path in own]
    return paths, np.repeat(labels, [*map(len, files)])


def given_size(image_size, preprocess) -> int | Preprocess | None:
    """What an `EncodedSplit` is given; None where images are as stored."""
    if image_size is not None:
        image_size = whole_number("--image_size", image_size, 1)
    if preprocess is None:
        return image_size
    preprocess = Preprocess.parse(preprocess)
    if image_size not in (None, preprocess.side):
        pair = f"--image_size={image_size} does not go with preprocess"
        raise UsageError(f"{pair}={preprocess}: leave one of them out.")
    return preprocess if preprocess.side else None


def _common_size(paths):
    """The (height, width) of every image, from the headers of the files."""
    (size, path), *others = {header_size(p): p for p in paths}.items()
    for other, odd in others:
        other = f"{odd!r} is {size_text(other)}: give --image_size=N to bring"
        raise UsageError(
            f"{path!r} is {size_text(size)} (height x width) and {other} all "
            "to N x N, or a preprocess such as resize256-crop224."
        )
    return size


def header_size(path) -> tuple[int, int]:
    """The (height, width) of an image, from the header of its file."""
    with must(f"read the image {path!r}"), Image.open(path) as image:
        return image.height, image.width


def few(paths) -> bool:
    """Whether so few files can all be decoded before they are needed."""
    if len(paths) > _CHECKED_FILES:
        return False
    return sum(map(os.path.getsize, paths)) <= _CHECKED_BYTES
