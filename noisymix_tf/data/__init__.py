"""Datasets by name, and the pipeline that feeds them to training.

>>> from noisymix_tf import data
>>> digits = data.load("digits")
>>> batches = data.views(digits.train, batch_size=64)
"""

import dataclasses
import functools
import os

from noisymix_tf.data import folder, named
from noisymix_tf.data.classes import balanced_subset
from noisymix_tf.data.dataset import (
    ArraySplit,
    Dataset,
    EncodedSplit,
    JoinedSplit,
    Split,
)
from noisymix_tf.data.folder import FileSplit, test_folder
from noisymix_tf.data.pipeline import (
    corrupted,
    distribute,
    distribute_whole,
    steps_per_epoch,
    views,
)
from noisymix_tf.data.preprocess import Preprocess, RandomResizedCrop
from noisymix_tf.data.resident import Resident
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_data_dir
from noisymix_tf.registry import Registry

__all__ = [
    "DATASETS",
    "ArraySplit",
    "Dataset",
    "EncodedSplit",
    "FileSplit",
    "JoinedSplit",
    "Preprocess",
    "RandomResizedCrop",
    "Resident",
    "Split",
    "corrupted",
    "distribute",
    "distribute_whole",
    "load",
    "steps_per_epoch",
    "test_folder",
    "views",
]

DATASETS = Registry("dataset")
"""Name -> function `(*, data_dir, image_size, preprocess) -> Dataset`."""

DATASETS.register("digits")(named.digits)
for _name in ("cifar10", "cifar100"):
    DATASETS.register(_name)(functools.partial(named.cifar, _name))
DATASETS.register("imagenet")(named.imagenet)
DATASETS.register("folder")(folder.load)


def load(
    name,
    *,
    data_dir=None,
    image_size=None,
    preprocess=None,
    train_examples=None,
    test_examples=None,
    train_data_dir=None,
    extra_data_dirs=(),
    read="random",
) -> Dataset:
    """Loads a dataset.

    Args:
        name: `"digits"` (built in), `"cifar10"`, `"cifar100"`, `"imagenet"`, or
            `"folder"` for images of your own.
        data_dir: A directory of tensorflow-datasets for CIFAR and ImageNet
            (None for its default), the image folder for `"folder"`.
        image_size, preprocess: For `"folder"` and `"imagenet"`: images are
            resized, their shorter side to this, and cropped to a square; or a
            word of `Preprocess.parse`, such as `resize256-crop224`.
        train_examples, test_examples: Use only so many images, as
            `classes.balanced_indices` chooses; of every training class one.
        train_data_dir: Tree, `<class>/*` or `train/<class>/*`, to train on in
            place of the dataset's own images, of whose classes and size it is.
        extra_data_dirs: Such trees, or one, to train on as well, all of their
            images.
        read: `"random"`: any image at any time, from local files.
            `"sequential"`: whole files, see `noisymix_tf.data.sequential`, of
            `"imagenet"` as tfrecord; `data_dir` may be `gs://bucket/data`.

    >>> len(load("digits", train_examples=500).train)
    500
    """
    check_data_dir(data_dir, read)
    if isinstance(extra_data_dirs, str | os.PathLike):
        extra_data_dirs = [extra_data_dirs]
    how = {"image_size": image_size, "preprocess": preprocess}
    if read != "random":
        _check_sequential(read, name, train_examples, extra_data_dirs)
        how["read"] = read
    dataset = DATASETS.get(name)(data_dir=data_dir, **how)
    train, classes = dataset.train, dataset.num_classes
    if train_data_dir is not None:
        train = folder.tree(train_data_dir, "train_data_dir", dataset)
    what = f"the {name} training set"
    train = balanced_subset(train, train_examples, what, classes)
    test = balanced_subset(dataset.test, test_examples, f"the {name} test set")
    more = [folder.tree(d, "extra_data_dirs", dataset) for d in extra_data_dirs]
    train = JoinedSplit([train, *more]) if more else train
    return dataclasses.replace(dataset, train=train, test=test)


def _check_sequential(read, name, train_examples, extra_data_dirs):
    if read != "sequential":
        raise UsageError(f"read={read!r}: give random or sequential.")
    given = {f"--dataset={name}": name != "imagenet"}
    given["--train_examples"] = train_examples
    given["--extra_data_dirs"] = extra_data_dirs
    for flag in filter(given.get, given):
        raise UsageError(
            f"{flag} does not go with --read=sequential, which reads whole "
            "tfrecord files of imagenet: leave one of them out."
        )
