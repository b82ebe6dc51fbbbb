"""Write corrupted copies of a dataset's test images.

In the layouts of CIFAR-10-C, CIFAR-10-P and ImageNet-C:

python -m noisymix_tf corrupt --dataset=cifar10 --output_dir=cifar10-c
python -m noisymix_tf corrupt --suite=p --output_dir=digits-p
"""

import dataclasses

from noisymix_tf import places
from noisymix_tf.commands import command
from noisymix_tf.corruptions import SEVERITIES as ALL_SEVERITIES
from noisymix_tf.corruptions import TABLES
from noisymix_tf.data.options import TestDataConfig
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    SEED,
    SEVERITIES,
    Options,
    option,
)
from noisymix_tf.progress import say
from noisymix_tf.sets import corrupted


@dataclasses.dataclass(frozen=True)
class SetsConfig(Options):
    """Which sets are written, and where to."""

    output_dir: str | None = option(
        None,
        "Directory of the sets. A command that was killed is continued by the "
        "same command; a directory made with other settings is refused.",
        first=True,
    )
    suite: str = option(
        "c",
        "c: corruptions at several severities; p: perturbations, a sequence of "
        "frames for each image.",
        choices=("c", "p"),
        first=True,
    )
    corruptions: tuple[str, ...] = option(
        (),
        "Names, or tags: common, extra, noise, blur, weather, digital, c_bar; "
        "of suite p cifar, imagenet, cifar_extra, imagenet_extra, noise, blur, "
        "weather, geometry. By default all.",
        first=True,
    )
    severities: tuple[int, ...] = option(
        ALL_SEVERITIES, "Severities of suite c.", SEVERITIES
    )
    difficulty: int = option(
        1,
        "How strong the noise of suite p is, 1 to 3; above 1 its files are "
        "called NAME_2.npy and NAME_3.npy.",
    )
    crop: int | None = option(
        None,
        "Side of the square cut from the centre of every frame of suite p. "
        "ImageNet-P has --image_size=256 --crop=224.",
        AT_LEAST_1,
    )
    seed: int = option(0, "Seed of everything random.", SEED)
    table: str = option(
        "auto",
        f"Severities, by the images that they were made for: "
        f"{', '.join(TABLES)}; auto: cifar below 64 pixels, else imagenet.",
        choices=("auto", *TABLES),
    )
    frost_folder: str | None = option(
        None,
        "Folder of pictures of frost, instead of those drawn by this package.",
    )
    layout: str = option(
        "auto",
        "arrays: NAME.npy and labels.npy, as CIFAR-10-C; tree: "
        "NAME/SEVERITY/CLASS/IMAGE.JPEG, as ImageNet-C; auto: a tree where the "
        "test images are files.",
        choices=("auto", "arrays", "tree"),
    )
    format: str = option(
        "jpeg",
        "Of a tree. jpeg: quality 85, as the released ImageNet-C, which "
        "softens noise a little; png: the very pixels, several times the size.",
        choices=("jpeg", "png"),
    )
    num_workers: int | None = option(
        None,
        "Processes that make images, by default one for each core; 0: none "
        "but this one.",
        AT_LEAST_0,
    )
    shard: str = option(
        "1/1",
        "Write part i/n of the images only, into an output_dir of its own; "
        "python -m noisymix_tf merge joins all parts.",
    )


@dataclasses.dataclass(frozen=True)
class CorruptionSetsConfig(TestDataConfig, SetsConfig):
    """Everything that determines corrupted sets."""


@command("corrupt", CorruptionSetsConfig)
def run(config: CorruptionSetsConfig) -> None:
    """Writes the sets that a configuration asks for."""
    places.check_writable(config.output_dir, "sets")
    # Here, so that --help needs no TensorFlow.
    from noisymix_tf.training import setup

    given = config.arguments(SetsConfig)
    given["names"] = given.pop("corruptions") or None
    given["image_format"] = given.pop("format")
    path = corrupted.write(setup.test_dataset(config), **given)
    say(f"Written: {path}")
