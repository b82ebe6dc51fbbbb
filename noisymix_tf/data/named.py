"""Digits, and CIFAR and ImageNet as tensorflow-datasets prepares them."""

import os
import threading
import urllib.error
import urllib.request

import numpy as np

from noisymix_tf.data.dataset import (
    ArraySplit,
    Dataset,
    one_line,
    refuse_resizing,
)
from noisymix_tf.data.folder import given_size, must
from noisymix_tf.data.prepared_split import open_split
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.sequential import newest_version, open_splits
from noisymix_tf.errors import UsageError
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.places import check_local

_SHAPE = (32, 32, 3)
_HALF = (0.5, 0.5, 0.5)
_AGAIN = "Delete it and prepare it again"


def digits(*, data_dir=None, image_size=None, preprocess=None):
    """Handwritten digits that come with scikit-learn: real, never downloaded.

    1,797 images of 8 x 8 pixels with 17 grey levels, from the UCI "Optical
    Recognition of Handwritten Digits" set (Alpaydin and Kaynak, 1998), enlarged
    to 32 x 32 RGB. Every fifth of each class is for testing: the file holds one
    writer after another, so that every writer is on both sides.
    """
    from sklearn.datasets import load_digits

    refuse_resizing("digits", image_size, preprocess, _SHAPE)
    if data_dir is not None:
        raise UsageError(
            f"--data_dir={data_dir}: digits is built in; leave it out, or "
            "give --dataset=folder to read your own images."
        )
    source = load_digits()
    images, labels = np.stack([*map(_enlarge, source.images)]), source.target
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        is_test[np.flatnonzero(labels == label)[::5]] = True
    parts = [ArraySplit(images[p], labels[p]) for p in (~is_test, is_test)]
    names = tuple(map(str, range(10)))
    return Dataset("digits", *parts, names, _SHAPE, _HALF, _HALF, flip=False)


def _enlarge(digit):
    """8 x 8 values 0..16 -> uint8 `[32, 32, 3]`, by bicubic interpolation."""
    from PIL import Image

    # Resizing in floating point rounds once, at the end.
    image = Image.fromarray((digit * (255 / 16)).astype(np.float32))
    image = np.asarray(image.resize(_SHAPE[:2], Image.Resampling.BICUBIC))
    grey = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def cifar(name, *, data_dir=None, image_size=None, preprocess=None):
    """CIFAR (Krizhevsky, 2009), in the order of the released files.

    What is prepared is read without a word to the network; what is not is
    downloaded once, where the source can be reached.
    """
    refuse_resizing(name, image_size, preprocess, _SHAPE)
    root = prepared_root(data_dir)
    newest = newest_version(f"{root}/{name}")
    builder = open_builder(newest) if newest else _downloaded(name, root)
    parts = [_in_memory(builder, part) for part in ("train", "test")]
    names = tuple(builder.info.features["label"].names)
    return Dataset(name, *parts, names, _SHAPE, _HALF, _HALF, flip=True)


def _in_memory(builder, split):
    """One split, in the order of its example ids."""
    # One batch of everything: the images are to be one array anyway.
    with must(f"read the {split} split of {builder.data_dir}", _AGAIN):
        examples = builder.as_dataset(split=split, batch_size=-1)
    images, labels = examples["image"].numpy(), examples["label"].numpy()
    # The records are shuffled; an id such as "train_00042" is the position in
    # the released files. Versions without ids keep their order.
    if "id" in examples:
        order = np.argsort(examples["id"].numpy(), kind="stable")
        images, labels = images[order], labels[order]
    return ArraySplit(images, labels)


def imagenet(*, data_dir=None, image_size=None, preprocess=None, read="random"):
    """ImageNet (ILSVRC 2012; Russakovsky et al., 2015).

    Its test images are the validation set, by default `resize256-crop224`.
    Classes are named by their synsets. Images are decoded when they are needed,
    and memory holds where they lie: about 25 bytes each. Nothing is downloaded:
    the terms want that you fetch the files yourself.
    """
    size = given_size(image_size, preprocess)
    if size is None and preprocess is not None:
        raise UsageError(
            "preprocess=as_stored: ImageNet has several sizes; give another."
        )
    name, size = "imagenet2012", size or Preprocess(256, 224)
    splits = "train", "validation"
    if read == "sequential":
        root = prepared_root(data_dir, is_local=False)
        parts, names = open_splits(root, name, splits, size)
    else:
        builder = _prepared_imagenet(name, data_dir, splits)
        parts = [open_split(builder, split, size) for split in splits]
        names = builder.info.features["label"].names
    of = *parts, tuple(names), parts[0].image_shape, IMAGENET_MEAN, IMAGENET_STD
    return Dataset("imagenet", *of, flip=True, train_crop="resized")


def _prepared_imagenet(name, data_dir, splits):
    root = f"{prepared_root(data_dir)}/{name}"
    newest = newest_version(root)
    if newest is None:
        raise UsageError(
            f"No ImageNet is prepared in {root}: give --data_dir=DIR of a "
            "prepared copy, or put ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar into DIR/downloads/manual and run "
            f"{_command(name, 'DIR')}"
        )
    return open_builder(newest, *splits)


def prepared_root(data_dir, is_local=True):
    """The directory of tensorflow-datasets; its default for None."""
    if data_dir is None:
        data_dir = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    if is_local:
        check_local(data_dir=data_dir)
    return os.path.expanduser(data_dir)


def open_builder(folder, *splits):
    """The builder of a prepared version, which has these splits."""
    import tensorflow_datasets as tfds

    with must(f"use the prepared {folder}", _AGAIN):
        builder = tfds.builder_from_directory(folder)
        missing = sorted({*splits} - {*builder.info.splits})
        _ = builder.info.features["label"].names
    if missing:
        words = " and ".join(missing)
        raise UsageError(f"{folder} lacks the split {words}: prepare it again.")
    return builder


def _downloaded(name, root):
    """Downloads and prepares, or says within seconds why it cannot."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=root)
    try:
        # tensorflow-datasets retries a host that does not answer for minutes.
        for url in builder.url_infos:
            if not _reachable(url):
                raise ConnectionError(f"{url} cannot be reached from here")
        builder.download_and_prepare()
    except Exception as error:
        raise UsageError(
            f"{name} is not prepared in {root}, and the download failed "
            f"({one_line(error)}): give --data_dir=DIR of a prepared copy, or "
            f"run on a machine with a network: {_command(name, root)}"
        ) from error
    return builder


def _command(name, root):
    call = f"tfds.builder('{name}', data_dir='{root}').download_and_prepare()"
    return f'python -c "import tensorflow_datasets as tfds; {call}"'


def _reachable(url, timeout=2.0):
    """Whether a server answers, through proxies if any, within 5 seconds."""
    answered = threading.Event()

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # A refusal is an answer; the download will say more.
        except OSError:
            return
        answered.set()

    # The timeout does not cover the look-up of the name, hence the thread.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2.5 * timeout)
    return answered.is_set()
