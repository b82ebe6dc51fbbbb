"""Datasets that are trees of images, one folder for each class."""

import os

from noisymix_tf.data import folder
from noisymix_tf.data.classes import (
    balanced_subset,
    class_indices,
    folder_names,
)
from noisymix_tf.data.dataset import Dataset
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.errors import UsageError
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.places import check_local

_TREE = "a folder of one folder for each class"
_MAKERS = (
    "python -m noisymix_tf.stylize and python -m noisymix_tf.deepaugment write "
    "such a tree of your training images"
)


def load(*, data_dir=None, image_size=None, preprocess=None):
    """Returns a folder of images as a `Dataset`, with the folder's name.

    Either layout will do; classes are numbered in the order of their names:

    - `data_dir/train/<class>/*` and `data_dir/val/<class>/*` (or
      `validation`, or `test`; the first of the three that is there);
    - `data_dir/<class>/*`, of which a fifth of every class is for testing:
      always the same, whose names have the lowest SHA-256 digest.

    Hidden files and those without one of `folder.EXTENSIONS` are ignored. Grey,
    palette and alpha images become RGB. In folders of more than 5,000 files or
    200 MB one that cannot be decoded is found only when it is read.
    """
    check_local(data_dir=data_dir)
    size = folder.given_size(image_size, preprocess)
    train, test = folder.splits(data_dir)
    parts = [folder.labelled(enumerate(p.values())) for p in (train, test)]
    every = [path for paths, _ in parts for path in paths]
    size = size or folder.common_size(every)
    splits = [FileSplit(*part, size) for part in parts]
    for split in splits if folder.few(every) else ():
        split.check()
    return _dataset(data_dir, *splits, tuple(train))


def test_folder(
    path,
    *,
    class_names=None,
    image_size=None,
    preprocess=None,
    test_examples=None,
):
    """All images of a folder of classes, to measure on: nothing to train on.

    Args:
        path: Folder of `<class>/*`; one image a class will do.
        class_names: What the outputs of the model mean, in their order: names,
            or a file with one on each line. Every class folder has one of
            them, or is a synset of ImageNet where they are its 1000 classes.
            None for the class folders themselves, in the order of their names.
        image_size, preprocess, test_examples: As in `noisymix_tf.data.load`.

    Returns:
        `Dataset` with the folder's name, whose `train` is None.
    """
    check_local(test_dir=path)
    root = folder.existing(path, _TREE, "--test_dir=")
    if folder.has_splits(root):
        raise UsageError(
            f"--test_dir={root} has {root}/train in it: give {_TREE}, such "
            f"as {root}/val, or --dataset=folder --data_dir={root}."
        )
    size = folder.given_size(image_size, preprocess)
    classes = folder.own_classes(root)
    names, of = classes if class_names is None else class_names, "the model"
    if isinstance(class_names, str | os.PathLike):
        names, of = _lines(class_names), os.fspath(class_names)
    places = class_indices(classes, names, root, of)
    split = _split(sorted(zip(places, classes.values())), size)
    part = balanced_subset(split, test_examples, len(names), f"{root}")
    return _dataset(root, None, part, tuple(names))


def tree(root, flag, dataset):
    """A split of a tree, of the classes and size that a dataset trains on.

    `flag` names it. Its classes are in `root` or in `root/train`.
    """
    named = f"--{flag}={root}"
    root = folder.existing(root, f"a folder; {_MAKERS}", f"--{flag}=")
    if folder.has_splits(root):
        root = os.path.join(root, "train")
    # A folder without `train/` may be the one that test images are of.
    for path in getattr(dataset.test, "paths", ())[:1]:
        if os.path.samefile(root, os.path.dirname(os.path.dirname(path))):
            raise UsageError(
                f"{named} holds the images that are measured on: give a tree "
                f"of training images; {_MAKERS}."
            )
    classes = folder.own_classes(root)
    names = folder_names(dataset.class_names)
    rule = f"{named} must hold a folder for each class of the training set"
    folder.check_same(rule, (names, classes), ("missing", "not known"))
    size = getattr(dataset.train, "image_size", dataset.image_shape[:2])
    return _split(enumerate(classes[name] for name in names), size)


def _split(classes, size):
    """Of `(label, files)`; decoded once where they are few."""
    paths, labels = folder.labelled(classes)
    split = FileSplit(paths, labels, size or folder.common_size(paths))
    if folder.few(paths):
        split.check()
    return split


def _dataset(root, train, test, names):
    """Its name, for reports, is the folder's; never that of another dataset."""
    from noisymix_tf.data import DATASETS

    above, name = os.path.split(os.path.abspath(os.path.expanduser(root)))
    if name in ("train", *folder.TEST_FOLDERS):
        name = f"{os.path.basename(above)} {name}"
    name = f"folder {name}" if name in ("", *DATASETS.names()) else name
    norm = test.image_shape, IMAGENET_MEAN, IMAGENET_STD
    return Dataset(name, train, test, names, *norm, flip=True)


def _lines(path):
    remedy = "Give a text file with a class on each line"
    with folder.must(f"read --class_names={path}", remedy):
        with open(os.path.expanduser(path), encoding="utf-8-sig") as file:
            names = [line.strip() for line in file.read().rstrip().splitlines()]
    line = [*names, ""].index("") + 1
    if line <= max(1, len(names)):
        raise UsageError(
            f"--class_names={path} has nothing on line {line}: give the name "
            "of every output of the model, one on each line."
        )
    return names
