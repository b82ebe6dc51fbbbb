"""Digits, and CIFAR and ImageNet as tensorflow-datasets prepares them."""

import contextlib
import os
import urllib.error
import urllib.request

import numpy as np

from noisymix_tf.data.dataset import ArraySplit, Dataset
from noisymix_tf.data.folder import given_size, must
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.records import open_split
from noisymix_tf.data.sequential import newest_version, open_splits
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import Image
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.places import check_data_dir

_SHAPE = (32, 32, 3)
_HALF = (0.5, 0.5, 0.5)
_AGAIN = "Delete it and prepare it again"
# The command `tfds build` would need apache_beam.
_COMMAND = (
    'python -c "import tensorflow_datasets as tfds; '
    "tfds.builder('{}', data_dir='{}').download_and_prepare()\""
)


def digits(*, data_dir=None, image_size=None, preprocess=None) -> Dataset:
    """Handwritten digits that come with scikit-learn.

    1,797 images of 8 x 8 pixels with 17 grey levels (Alpaydin and Kaynak,
    1998, UCI), enlarged to 32 x 32 RGB. Every fifth of each class is for
    testing: every writer is on both sides, as the file holds them in turn.
    """
    from sklearn.datasets import load_digits

    _refuse_resizing("digits", image_size, preprocess)
    if data_dir is not None:
        why = "digits is built in: leave it out, or give --dataset=folder"
        raise UsageError(f"--data_dir={data_dir}: {why}.")
    source = load_digits()
    images, labels = np.stack([*map(_enlarge, source.images)]), source.target
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        is_test[np.flatnonzero(labels == label)[::5]] = True
    parts = [ArraySplit(images[p], labels[p]) for p in (~is_test, is_test)]
    names = tuple(map(str, range(10)))
    return Dataset("digits", *parts, names, _SHAPE, _HALF, _HALF, flip=False)


def _refuse_resizing(name, image_size, preprocess):
    given = {f"--image_size={image_size}": image_size not in (None, _SHAPE[0])}
    if preprocess:
        given[f"preprocess={preprocess}"] = Preprocess.parse(preprocess).side
    for option in filter(given.get, given):
        raise UsageError(
            f"{option}: {name} images are 32 x 32 and are taken as they are; "
            "leave it out (it belongs to --dataset=folder)."
        )


def _enlarge(digit):
    """8 x 8 values 0..16 -> uint8 `[32, 32, 3]`, by bicubic interpolation."""
    # Resizing in floating point rounds once, at the end.
    image = Image.fromarray((digit * (255 / 16)).astype(np.float32))
    image = np.asarray(image.resize(_SHAPE[:2], Image.Resampling.BICUBIC))
    grey = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def cifar(name, *, data_dir=None, image_size=None, preprocess=None) -> Dataset:
    """CIFAR (Krizhevsky, 2009), in the order of the released files.

    What is not prepared is downloaded once, where the source can be reached.
    """
    _refuse_resizing(name, image_size, preprocess)
    root = prepared_root(data_dir)
    newest = newest_version(f"{root}/{name}")
    builder = open_builder(newest) if newest else _downloaded(name, root)
    parts = [_in_memory(builder, part) for part in ("train", "test")]
    names = tuple(builder.info.features["label"].names)
    return Dataset(name, *parts, names, _SHAPE, _HALF, _HALF, flip=True)


def _in_memory(builder, split):
    with must(f"read the {split} split of {builder.data_dir}", _AGAIN):
        # One batch of everything: the images are to be one array anyway.
        examples = builder.as_dataset(split=split, batch_size=-1)
    images, labels = examples["image"].numpy(), examples["label"].numpy()
    # The records are shuffled; an id such as "train_00042" is the position in
    # the released files. Versions without ids keep their order.
    if "id" in examples:
        order = np.argsort(examples["id"].numpy(), kind="stable")
        images, labels = images[order], labels[order]
    return ArraySplit(images, labels)


def imagenet(
    *, data_dir=None, image_size=None, preprocess=None, read="random"
) -> Dataset:
    """ImageNet (ILSVRC 2012; Russakovsky et al., 2015).

    Its test images are the validation set, by default `resize256-crop224`.
    Classes are named by their synsets. Nothing is downloaded: the terms want
    that you fetch the files yourself.
    """
    size = given_size(image_size, preprocess)
    if size is None and preprocess is not None:
        raise UsageError("preprocess=as_stored: ImageNet has several sizes.")
    name, size = "imagenet2012", size or Preprocess(256, 224)
    parts, root = ("train", "validation"), prepared_root(data_dir, read)
    if read == "sequential":
        splits, names = open_splits(root, name, parts, size)
    else:
        newest = newest_version(f"{root}/{name}")
        if newest is None:
            raise UsageError(
                f"No ImageNet is prepared in {root}/{name}: give --data_dir="
                "DIR of a prepared copy, or put ILSVRC2012_img_train.tar and "
                "ILSVRC2012_img_val.tar into DIR/downloads/manual and run "
                f"{_COMMAND.format(name, 'DIR')}"
            )
        builder = open_builder(newest, *parts)
        splits = [open_split(builder, part, size) for part in parts]
        names = builder.info.features["label"].names
    of = *splits, tuple(names), splits[0].image_shape
    norm = IMAGENET_MEAN, IMAGENET_STD
    return Dataset("imagenet", *of, *norm, flip=True, train_crop="resized")


def prepared_root(data_dir, read="random") -> str:
    """The directory of tensorflow-datasets; its default for None."""
    if data_dir is None:
        data_dir = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    check_data_dir(data_dir, read)
    return os.path.expanduser(data_dir)


def open_builder(folder, *splits, label="label"):
    """The builder of a prepared version, which has these splits."""
    import tensorflow_datasets as tfds

    with must(f"use the prepared {folder}", _AGAIN):
        builder = tfds.builder_from_directory(folder)
        _ = builder.info.features[label].names
        _ = [builder.info.splits[split] for split in splits]
    return builder


def _downloaded(name, root):
    """Downloads and prepares, or says within seconds why it cannot."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=root)
    remedy = "Give --data_dir=DIR of a prepared copy, or run with a network: "
    remedy += _COMMAND.format(name, root)
    with must(f"download {name}, which is not prepared in {root}", remedy):
        # tensorflow-datasets retries a host that does not answer for minutes.
        for url in builder.url_infos:
            request = urllib.request.Request(url, method="HEAD")
            # A refusal is an answer; the download will say more.
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=5).close()
        builder.download_and_prepare()
    return builder
