"""Datasets by name, and the pipeline that feeds them to training.

>>> digits = noisymix_tf.data.load("digits")
>>> batches = noisymix_tf.data.views(digits.train, batch_size=64)
"""

import dataclasses
import functools

from noisymix_tf.checks import is_whole
from noisymix_tf.data import named, trees
from noisymix_tf.data.classes import balanced_subset
from noisymix_tf.data.corrupted import corrupted
from noisymix_tf.data.dataset import ArraySplit, Dataset, Split
from noisymix_tf.data.encoded import EncodedSplit, FileSplit
from noisymix_tf.data.joined import JoinedSplit
from noisymix_tf.data.pipeline import steps_per_epoch, views
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.random_crop import RandomResizedCrop
from noisymix_tf.data.resident import Resident
from noisymix_tf.data.sharding import distribute, distribute_whole
from noisymix_tf.data.trees import test_folder
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_data_dir, check_local
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
DATASETS.register("cifar10")(functools.partial(named.cifar, "cifar10"))
DATASETS.register("cifar100")(functools.partial(named.cifar, "cifar100"))
DATASETS.register("imagenet")(named.imagenet)
DATASETS.register("folder")(trees.load)


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
):
    """Loads a dataset.

    Args:
        name: `"digits"` (built in, needs nothing), `"cifar10"`, `"cifar100"`,
            `"imagenet"`, or `"folder"` for images of your own.
        data_dir: A directory of tensorflow-datasets for CIFAR and ImageNet
            (None for its default), the image folder for `"folder"`.
        image_size: For `"folder"` and `"imagenet"`: images are resized, their
            shorter side to this, and cropped to a square. None where all have
            one size already.
        preprocess: The same in a word of `Preprocess.parse`, such as
            `"resize256-crop224"`; None for what `image_size` says.
        train_examples: Use only so many training images, of every class the
            same number and at least one, see `classes.balanced_indices`.
        test_examples: The same for the test images.
        train_data_dir: Folder of a tree, `<class>/*` or `train/<class>/*`,
            whose images are trained on in place of the dataset's own; of the
            same classes, and brought to size as the dataset's are.
        extra_data_dirs: Folders of such trees whose images are trained on as
            well, all of them, whatever `train_examples`.
        read: `"random"`: any image at any time, from local files.
            `"sequential"`: whole files from start to end, see
            `noisymix_tf.data.sequential`, for hard disks and buckets; only of
            `"imagenet"` prepared as tfrecord, whose `data_dir` may then be an
            address such as `gs://bucket/data`.

    Returns:
        `noisymix_tf.data.Dataset`.

    Raises:
        UsageError: It is unknown, not there, or does not fit the arguments.

    Example:

    >>> len(noisymix_tf.data.load("digits", train_examples=500).train)
    500
    """
    check_local(train_data_dir=train_data_dir, extra_data_dirs=extra_data_dirs)
    names = "image_size", "train_examples", "test_examples"
    values = image_size, train_examples, test_examples
    for argument, value in zip(names, values):
        if value is not None and not is_whole(value):
            raise UsageError(
                f"{argument}={value!r} must be a whole number, or None."
            )
    check_data_dir(data_dir, read)
    how = {"image_size": image_size, "preprocess": preprocess}
    if read == "sequential":
        _check_sequential(name, train_examples, extra_data_dirs)
        how["read"] = read
    elif read != "random":
        raise UsageError(f"read={read!r}: give random or sequential.")
    dataset = DATASETS.get(name)(data_dir=data_dir, **how)
    train, classes = dataset.train, dataset.num_classes
    if train_data_dir is not None:
        train = trees.tree(train_data_dir, "train_data_dir", dataset)
    if train_examples is not None and 0 < train_examples < classes:
        raise UsageError(
            f"train_examples={train_examples} leaves some of the {classes} "
            f"classes without an image to learn from: give at least {classes}."
        )
    what = f"the {name} training set"
    train = balanced_subset(train, train_examples, classes, what)
    what = f"the {name} test set"
    test = balanced_subset(dataset.test, test_examples, classes, what)
    more = [trees.tree(d, "extra_data_dirs", dataset) for d in extra_data_dirs]
    train = JoinedSplit([train, *more]) if more else train
    return dataclasses.replace(dataset, train=train, test=test)


def _check_sequential(name, train_examples, extra_data_dirs):
    if name != "imagenet":
        raise UsageError(
            f"--read=sequential does not go with --dataset={name}: it is for "
            "imagenet prepared as tfrecord; leave it out (and copy what lies "
            "in a bucket)."
        )
    for flag, value in (
        ("train_examples", train_examples),
        ("extra_data_dirs", extra_data_dirs),
    ):
        if value:
            raise UsageError(
                f"--{flag} does not go with --read=sequential, which trains "
                "on whole files: leave one of them out."
            )
