"""Further trees of images, one folder for each class, to train on."""

import collections
import dataclasses
import os
import pathlib

from noisymix_tf.data import folder
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.joined import JoinedSplit
from noisymix_tf.errors import UsageError

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
    root = os.path.expanduser(root)
    if not os.path.isdir(root):
        state = "is a file" if os.path.exists(root) else "does not exist"
        raise UsageError(f"{named} {state}: give a folder; {_MAKERS}.")
    if folder.has_splits(root):
        root = os.path.join(root, "train")
    _refuse_test_images(named, root, dataset.test)
    classes = folder.class_files(
        root, what="images", remedy="fill or remove it"
    )
    names = folder_names(dataset.class_names)
    _check_classes(named, classes, names)
    paths, labels = [], []
    for label, name in enumerate(names):
        paths += classes[name]
        labels += [label] * len(classes[name])
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


def _check_classes(named, found, expected):
    parts = []
    for words, names, others in (
        ("missing", expected, found),
        ("not known", found, expected),
    ):
        odd = [name for name in names if name not in others]
        if odd:
            more = ", ..." if odd[5:] else ""
            parts.append(f"{words}: {', '.join(odd[:5])}{more}")
    if parts:
        raise UsageError(
            f"{named} must hold a folder for each class of the training set; "
            f"{'; '.join(parts)}."
        )
