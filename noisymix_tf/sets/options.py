"""Flags that the commands which write trees of training images share."""

import dataclasses

from noisymix_tf.options import AT_LEAST_1, SEED, Options, option


@dataclasses.dataclass(frozen=True)
class ImageSourceConfig(Options):
    """Which training images are taken."""

    dataset: str = option(
        "folder",
        "Dataset: folder, digits, cifar10, cifar100 or imagenet. Only its "
        "training images are taken.",
    )
    data_dir: str | None = option(
        None,
        "The folder of images (class-per-directory, with or without train/ and "
        "val/ above), or the directory of prepared tensorflow-datasets.",
    )
    image_size: int | None = option(
        None,
        "Bring images to this size: the shorter side, then the centre. By "
        "default those of a folder keep their sizes.",
        range=AT_LEAST_1,
    )
    train_examples: int | None = option(
        None,
        "Take a class-balanced, deterministic subset of this size.",
        range=AT_LEAST_1,
    )


@dataclasses.dataclass(frozen=True)
class TreeConfig(Options):
    """What is written, and where to."""

    output_dir: str | None = option(
        None,
        "Directory of the tree, CLASS/IMAGE. A command that was killed is "
        "continued by the same command.",
    )
    format: str = option(
        "png",
        "png: the very pixels; jpeg: quality 85, a fraction of the size.",
        choices=("png", "jpeg"),
    )
    batch_size: int = option(
        8, "Images of one size that are made together.", range=AT_LEAST_1
    )
    seed: int = option(0, "Seed of everything random.", range=SEED)
