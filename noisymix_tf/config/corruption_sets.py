"""Flags of the door that writes corrupted sets."""

import dataclasses

from noisymix_tf.config import TestDataConfig
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    SEED,
    SEVERITIES,
    Group,
    field,
)
from noisymix_tf.corruptions import SEVERITIES as ALL_SEVERITIES
from noisymix_tf.corruptions import TABLES


@dataclasses.dataclass(frozen=True)
class SourceConfig(TestDataConfig):
    """Which images are taken: those that a dataset has to measure on."""


@dataclasses.dataclass(frozen=True)
class SetsConfig(Group):
    """Which sets are written, and where to."""

    output_dir: str | None = field(
        None,
        "Directory of the sets. A command that was killed is continued by the "
        "same command; a directory made with other settings is refused.",
        kind=str,
    )
    suite: str = field(
        "c",
        "c: corruptions at several severities; p: perturbations, a sequence of "
        "frames for each image.",
        choices=("c", "p"),
    )
    corruptions: tuple = field(
        (),
        "Names, or tags: common, extra, noise, blur, weather, digital; of "
        "suite p cifar, imagenet, cifar_extra, imagenet_extra, noise, blur, "
        "weather, geometry. By default all.",
    )
    severities: tuple = field(
        ALL_SEVERITIES, "Severities of suite c.", item=int, range=SEVERITIES
    )
    difficulty: int = field(
        1,
        "How strong the noise of suite p is, 1 to 3; above 1 its files are "
        "called NAME_2.npy and NAME_3.npy.",
    )
    crop: int | None = field(
        None,
        "Side of the square cut from the centre of every frame of suite p. "
        "ImageNet-P has --image_size=256 --crop=224.",
        kind=int,
        range=AT_LEAST_1,
    )
    seed: int = field(0, "Seed of everything random.", range=SEED)
    table: str = field(
        "auto",
        f"Severities, by the images that they were made for: "
        f"{', '.join(TABLES)}; auto: cifar below 64 pixels, else imagenet.",
        choices=("auto", *TABLES),
    )
    frost_folder: str | None = field(
        None,
        "Folder of pictures of frost, instead of those drawn by this package.",
        kind=str,
    )
    layout: str = field(
        "auto",
        "arrays: NAME.npy and labels.npy, as CIFAR-10-C; tree: "
        "NAME/SEVERITY/CLASS/IMAGE.JPEG, as ImageNet-C; auto: a tree where the "
        "test images are files.",
        choices=("auto", "arrays", "tree"),
    )
    format: str = field(
        "jpeg",
        "Of a tree. jpeg: quality 85, as the released ImageNet-C, which "
        "softens noise a little; png: the very pixels, several times the size.",
        choices=("jpeg", "png"),
    )
    num_workers: int | None = field(
        None,
        "Processes that make images, by default one for each core; 0: none "
        "but this one.",
        kind=int,
        range=AT_LEAST_0,
    )
    shard: str = field(
        "1/1",
        "Write part i/n of the images only, into an output_dir of its own; "
        "python -m noisymix_tf.merge joins all parts.",
    )


@dataclasses.dataclass(frozen=True)
class CorruptionSetsConfig:
    """Everything that determines corrupted sets."""

    data: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    sets: SetsConfig = dataclasses.field(default_factory=SetsConfig)
