"""Flags of the data."""

import dataclasses

from noisymix_tf.data import DATASETS
from noisymix_tf.errors import UsageError
from noisymix_tf.options import AT_LEAST_0, AT_LEAST_1, Options, option
from noisymix_tf.places import check_data_dir

_READS = ("random", "sequential")


@dataclasses.dataclass(frozen=True)
class TestDataConfig(Options):
    """Which images are measured on."""

    dataset: str = option(
        "digits",
        "Dataset; imagenet is imagenet2012 of tensorflow-datasets.",
        choices=DATASETS,
        first=True,
    )
    data_dir: str | None = option(
        None,
        "Directory of prepared tensorflow-datasets (cifar10, cifar100, "
        "imagenet), or of the images (folder: class-per-directory, with or "
        "without train/ and val/ above).",
        free=True,
        address=True,
        first=True,
        exists=True,
    )
    read: str = option(
        "random",
        "How imagenet is read: random (any image at any time, from a local "
        "SSD), or sequential (whole tfrecord files from start to end, "
        "shuffled by blocks: for hard disks, and for a bucket as data_dir).",
        choices=_READS,
    )
    image_size: int | None = option(
        None,
        "Resize the shorter side of images of a folder to this and crop the "
        "centre; without it all images must have one size.",
        AT_LEAST_1,
    )
    preprocess: str | None = option(
        None,
        "In place of image_size: resize256-crop224 (shorter side, then the "
        "centre), resize224 (both sides), crop224 or as_stored.",
    )
    test_examples: int | None = option(
        None,
        "Take a class-balanced, deterministic subset of this size.",
        AT_LEAST_1,
    )

    def __post_init__(self):
        super().__post_init__()
        check_data_dir(self.data_dir, self.read, "--data_dir")

    def data_words(self, name):
        """Which data, for people: `"photos in /home/photos"`."""
        place = getattr(self, "test_dir", None) or self.data_dir
        return name if place is None else f"{name} in {place}"


@dataclasses.dataclass(frozen=True)
class EvaluatedDataConfig(TestDataConfig):
    """Which images are measured on; by default those of the model's run."""

    dataset: str | None = option(
        None,
        "Dataset. Without it the model's run says it, and the flags below "
        "override the run's.",
        choices=DATASETS,
        first=True,
    )
    read: str | None = option(
        None,
        "How imagenet is read: random or sequential; see train.",
        choices=_READS,
    )
    test_dir: str | None = option(
        None,
        "In place of a dataset: measure on all images of this tree "
        "(class-per-directory; one image a class will do).",
        exists=True,
        tree=True,
    )
    class_names: str | None = option(
        None,
        "For test_dir: a text file with the name of every output of the "
        "model, one on each line; each class of the tree must have one of "
        "them. Without it they are those that the model's card has, or the "
        "tree's.",
        exists=True,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.test_dir is None and self.class_names is not None:
            raise UsageError(
                f"--class_names={self.class_names} does nothing without "
                "--test_dir=DIR: give both, or leave it out."
            )
        given = {n: getattr(self, n) for n in ("dataset", "data_dir", "read")}
        for name in filter(given.get, given if self.test_dir else ()):
            raise UsageError(
                f"--{name}={given[name]} does nothing where the images of "
                f"--test_dir={self.test_dir} are measured on: leave one out."
            )


@dataclasses.dataclass(frozen=True)
class DataConfig(TestDataConfig):
    """Which images, and the standard crop and flip."""

    train_data_dir: str | None = option(
        None,
        "Train on the images of this tree (class-per-directory) in place of "
        "the dataset's own; its test images stay.",
        tree=True,
    )
    extra_data_dirs: tuple[str, ...] = option(
        (),
        "Train on the images of these trees (class-per-directory) as well: an "
        "epoch is longer by all of them.",
        tree=True,
    )
    train_examples: int | None = option(
        None,
        "Train on a class-balanced, deterministic subset of this size (and on "
        "all images of extra_data_dirs).",
        AT_LEAST_1,
    )
    temperature_examples: int = option(
        0,
        "Training images, as many of each class, that are kept out of training "
        "and to which a temperature is fitted, by which logits are divided "
        "where probabilities are to be calibrated; 0: none.",
        AT_LEAST_0,
    )
    train_crop: str | None = option(
        None,
        "Crop of training images: pad (from black borders, see crop_padding) "
        "or resized (RandomResizedCrop: 8 to 100 % of the area); by default "
        "the dataset's own (resized for imagenet, pad for others).",
        choices=("pad", "resized"),
    )
    crop_padding: int | None = option(
        None,
        "Black pixels around the image from which a random crop is taken; by "
        "default the dataset's own (4).",
        AT_LEAST_0,
    )
    flip: bool | None = option(
        None,
        "Flip half of the images left to right; by default the dataset's own "
        "(not for digits).",
    )
