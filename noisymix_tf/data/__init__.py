"""Datasets by name, and the pipeline that feeds them to training.

>>> digits = noisymix_tf.data.load("digits")
>>> batches = noisymix_tf.data.views(digits.train, batch_size=64)
"""

import dataclasses
import importlib

from noisymix_tf.checks import is_whole
from noisymix_tf.data.corrupted import corrupted
from noisymix_tf.data.dataset import ArraySplit, Dataset, Split
from noisymix_tf.data.encoded import EncodedSplit, FileSplit
from noisymix_tf.data.joined import JoinedSplit
from noisymix_tf.data.pipeline import steps_per_epoch, views
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.random_crop import RandomResizedCrop
from noisymix_tf.data.sharding import distribute, distribute_whole
from noisymix_tf.data.subset import balanced_subset
from noisymix_tf.data.trees import test_folder, with_joined_trees, with_tree
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local
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
):
    """Loads a dataset.

    Args:
        name: `"digits"` (built in, needs nothing), `"cifar10"`, `"cifar100"`,
            `"imagenet"`, or `"folder"` for images of your own.
        data_dir: Where the dataset lies: a directory of tensorflow-datasets
            for CIFAR and ImageNet, the image folder for `"folder"`.
        image_size: For `"folder"` and `"imagenet"`: size of the square that
            images are resized and cropped to.
        preprocess: For the same: how images are brought to one size, in a
            word of `Preprocess.parse`, such as `"resize256-crop224"`; None for
            what `image_size` says.
        train_examples: Use only so many training images, of every class the
            same number and at least one; see
            `noisymix_tf.data.subset.balanced_indices`.
        test_examples: The same for the test images.
        train_data_dir: Folder of a tree, `<class>/*`, whose images are trained
            on in place of the dataset's own; of the same classes. They are
            brought to size as the dataset's are.
        extra_data_dirs: Folders of such trees whose images are trained on as
            well. They are all taken, whatever `train_examples`.

    Returns:
        `noisymix_tf.data.Dataset`.

    Raises:
        UsageError: In one line, if the dataset is unknown, is not there, or
            does not fit the other arguments.

    Example:

    >>> digits = noisymix_tf.data.load("digits", train_examples=500)
    >>> len(digits.train), digits.image_shape, digits.num_classes
    (500, (32, 32, 3), 10)
    """
    for argument, value in (
        ("image_size", image_size),
        ("train_examples", train_examples),
        ("test_examples", test_examples),
    ):
        if value is not None and not is_whole(value):
            raise UsageError(
                f"{argument}={value!r} must be a whole number, or None."
            )
    check_local(
        data_dir=data_dir,
        train_data_dir=train_data_dir,
        extra_data_dirs=extra_data_dirs,
    )
    dataset = DATASETS.get(name)(
        data_dir=data_dir, image_size=image_size, preprocess=preprocess
    )
    if train_data_dir is not None:
        dataset = with_tree(dataset, train_data_dir)
    classes = dataset.num_classes
    if train_examples is not None and 0 < train_examples < classes:
        raise UsageError(
            f"train_examples={train_examples} leaves some of the {classes} "
            f"classes of {name} without an image to learn from: give at least "
            f"{classes}."
        )
    dataset = dataclasses.replace(
        dataset,
        train=balanced_subset(
            dataset.train, train_examples, classes, f"the {name} training set"
        ),
        test=balanced_subset(
            dataset.test, test_examples, classes, f"the {name} test set"
        ),
    )
    return with_joined_trees(dataset, extra_data_dirs)


def _imported(module, *first):
    """The `load` of a module that is imported when it is called."""

    def load(**arguments):
        path = f"noisymix_tf.data.{module}"
        return importlib.import_module(path).load(*first, **arguments)

    return load


DATASETS.register("digits")(_imported("digits"))
DATASETS.register("cifar10")(_imported("cifar", "cifar10"))
DATASETS.register("cifar100")(_imported("cifar", "cifar100"))
DATASETS.register("imagenet")(_imported("imagenet"))
DATASETS.register("folder")(_imported("folder"))
