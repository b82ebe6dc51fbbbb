"""Trees of images, one folder for each class, to train or to measure on."""

import collections
import dataclasses
import os
import pathlib
import types

from noisymix_tf.data import folder
from noisymix_tf.data.dataset import Dataset
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.joined import JoinedSplit
from noisymix_tf.data.subset import balanced_subset
from noisymix_tf.errors import UsageError
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.places import check_local

_TREE = "a folder of one folder for each class"
_MAKERS = (
    "python -m noisymix_tf.stylize and python -m noisymix_tf.deepaugment write "
    "such a tree of your training images"
)


def with_tree(dataset, root):
    """The dataset with another training set, `--train_data_dir`.

    Args:
        dataset: `noisymix_tf.data.Dataset`; what is measured on stays.
        root: Folder of `<class>/*`, or of `train/<class>/*`.

    Raises:
        UsageError: If there is no such folder, its classes are not those of
            the dataset, or an image cannot be used.
    """
    return dataclasses.replace(
        dataset, train=_tree_split(root, "train_data_dir", dataset)
    )


def with_joined_trees(dataset, roots):
    """The dataset with longer training: its own images and those of trees.

    An epoch visits every image of the dataset and of each tree once. The test
    images stay what they are.

    Args:
        dataset: `noisymix_tf.data.Dataset`.
        roots: Folders, each as in `with_tree`.

    Raises:
        UsageError: As `with_tree`.
    """
    if not roots:
        return dataset
    trees = [_tree_split(root, "extra_data_dirs", dataset) for root in roots]
    return dataclasses.replace(
        dataset, train=JoinedSplit([dataset.train, *trees])
    )


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
        path: Folder of `<class>/*`; one image a class will do. The dataset
            has its name.
        class_names: What the outputs of the model mean, in their order: names,
            or a file with one on each line. Every class folder has one of
            them, or is a synset of ImageNet where they are its 1000 classes.
            None for the class folders themselves, in the order of their names.
        image_size, preprocess, test_examples: As in `noisymix_tf.data.load`.

    Returns:
        `Dataset` whose `train` is None.

    Raises:
        UsageError: There is no such folder or file, a class folder is none of
            the names, or images are of several sizes or cannot be decoded.

    Example:

    >>> photos = test_folder("photos", class_names="imagenet.txt")
    """
    check_local(test_dir=path)
    root = folder.existing(path, _TREE, "--test_dir=")
    if folder.has_splits(root):
        raise UsageError(
            f"--test_dir={root} has {root}/train in it: give {_TREE}, such "
            f"as {root}/val, or --dataset=folder --data_dir={root}."
        )
    size = folder.given_size(image_size, preprocess)
    classes = folder.class_files(
        root, what="images", remedy="fill or remove it"
    )
    names, places = tuple(classes), range(len(classes))
    if class_names is not None:
        names, places = _among(classes, class_names, root)
    paths, labels = folder.labelled(sorted(zip(places, classes.values())))
    split = FileSplit(paths, labels, size or folder.common_size(paths))
    if folder.few(paths):
        split.check()
    name = folder.name_of(root)
    return Dataset(
        name=name,
        train=None,
        test=balanced_subset(split, test_examples, len(names), name),
        class_names=names,
        image_shape=split.image_shape,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        flip=True,
    )


def image_names(split, class_names, suffix):
    """A file name for each image of a split, as `class/name`.

    Files keep their names; other images are numbered.

    Args:
        split: `noisymix_tf.data.Split`.
        class_names: Names of the classes.
        suffix: Ending of the new files, such as `".png"`.

    Returns:
        List of N different str.
    """
    names = folder_names(class_names)
    folders = [names[label] for label in split.labels]
    paths = getattr(split, "paths", None)
    if paths is None:
        width = len(str(len(split) - 1))
        return [
            f"{folder}/{place:0{width}}{suffix}"
            for place, folder in enumerate(folders)
        ]
    files = [pathlib.Path(path) for path in paths]
    stems = [f"{f}/{file.stem}" for f, file in zip(folders, files)]
    often = collections.Counter(stems)
    # `cat.jpg` and `cat.png` of one class keep what tells them apart.
    return [
        (stem if often[stem] == 1 else f"{folder}/{file.name}") + suffix
        for stem, folder, file in zip(stems, folders, files)
    ]


def folder_names(class_names):
    """A folder's name for each class, no two the same.

    Classes of one name get their numbers, too: `crane_134` and `crane_517` of
    ImageNet. No name is hidden or leads out of the folder above.
    """
    names = [str(name).replace(os.sep, "_") for name in class_names]
    names = [f"_{n[1:]}" if n[:1] in (".", "") else n for n in names]
    numbered = [f"{name}_{number}" for number, name in enumerate(names)]
    often = collections.Counter(names)
    found = [
        name if often[name] == 1 else other
        for name, other in zip(names, numbered)
    ]
    # Where a class is called as another is with its number.
    return found if len(set(found)) == len(found) else numbered


def _tree_split(root, flag, dataset):
    """A tree's images, labelled and brought to size as the dataset's are."""
    named = f"--{flag}={root}"
    root = folder.existing(root, f"a folder; {_MAKERS}", f"--{flag}=")
    if folder.has_splits(root):
        root = os.path.join(root, "train")
    _refuse_test_images(named, root, dataset.test)
    classes = folder.class_files(
        root, what="images", remedy="fill or remove it"
    )
    names = folder_names(dataset.class_names)
    folder.check_same_classes(
        f"{named} must hold a folder for each class of the training set",
        (names, classes),
        ("missing", "not known"),
    )
    paths, labels = folder.labelled(
        (label, classes[name]) for label, name in enumerate(names)
    )
    shape = dataset.image_shape[:2]
    size = getattr(dataset.train, "image_size", shape)
    split = FileSplit(paths, labels, size)
    if folder.few(split.paths):
        split.check()
    return split


def _refuse_test_images(named, root, test):
    """A folder without `train/` may be the one that test images are of."""
    for path in getattr(test, "paths", ())[:1]:
        if os.path.samefile(root, os.path.dirname(os.path.dirname(path))):
            raise UsageError(
                f"{named} holds the images that are measured on: give a tree "
                f"of training images; {_MAKERS}."
            )


def _among(classes, given, root):
    """All names that are given, and the places of class folders in them."""
    # Here, because the released sets are read by means of this package.
    from noisymix_tf.data.released.classes import class_indices

    names, where = given, "the model"
    if isinstance(given, str | os.PathLike):
        names, where = _lines(given), os.fspath(given)
    own = types.SimpleNamespace(
        name=where, class_names=tuple(names), num_classes=len(names)
    )
    return own.class_names, class_indices(classes, own, root)


def _lines(path):
    try:
        with open(os.path.expanduser(path), encoding="utf-8-sig") as file:
            names = [line.strip() for line in file.read().rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"--class_names={path} cannot be read ({reason}): give a text file "
            "with a class on each line."
        ) from error
    if "" in names or not names:
        line = names.index("") + 1 if names else 1
        raise UsageError(
            f"--class_names={path} has nothing on line {line}: give the name "
            "of every output of the model, one on each line."
        )
    return names
