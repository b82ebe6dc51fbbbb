"""Flags that the doors which write trees of training images share."""

import dataclasses

from noisymix_tf.config.fields import AT_LEAST_1, SEED, Group, field


@dataclasses.dataclass(frozen=True)
class ImageSourceConfig(Group):
    """Which training images are taken."""

    dataset: str = field(
        "folder",
        "Dataset: folder, digits, cifar10, cifar100 or imagenet. Only its "
        "training images are taken.",
    )
    data_dir: str | None = field(
        None,
        "The folder of images (class-per-directory, with or without train/ and "
        "val/ above), or the directory of prepared tensorflow-datasets.",
        kind=str,
    )
    image_size: int | None = field(
        None,
        "Bring images to this size: the shorter side, then the centre. By "
        "default those of a folder keep their sizes.",
        kind=int,
        range=AT_LEAST_1,
    )
    train_examples: int | None = field(
        None,
        "Take a class-balanced, deterministic subset of this size.",
        kind=int,
        range=AT_LEAST_1,
    )


@dataclasses.dataclass(frozen=True)
class TreeConfig(Group):
    """What is written, and where to."""

    output_dir: str | None = field(
        None,
        "Directory of the tree, CLASS/IMAGE. A command that was killed is "
        "continued by the same command.",
        kind=str,
    )
    format: str = field(
        "png",
        "png: the very pixels; jpeg: quality 85, a fraction of the size.",
        choices=("png", "jpeg"),
    )
    batch_size: int = field(
        8, "Images of one size that are made together.", range=AT_LEAST_1
    )
    seed: int = field(0, "Seed of everything random.", range=SEED)
