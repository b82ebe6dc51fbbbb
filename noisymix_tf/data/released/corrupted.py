"""Released corrupted images: CIFAR-10-C, CIFAR-100-C, ImageNet-C."""

import os
import pathlib

from noisymix_tf import corruptions
from noisymix_tf.data.folder import existing, list_folder
from noisymix_tf.data.released import folders, sizes
from noisymix_tf.data.released.corrupted_arrays import CorruptedArrays
from noisymix_tf.data.released.corrupted_tree import CorruptedTree
from noisymix_tf.data.released.manifest import read_manifest
from noisymix_tf.errors import UsageError

_EXPECTED = (
    "the directory of CIFAR-10-C (fog.npy, ..., labels.npy) or of ImageNet-C "
    "(fog/1/<class>/*), or tfds:DIR"
)


def corrupted_images(path, dataset, *, preprocess=None, data_dir=None):
    """Opens a directory of corrupted test images.

    - Arrays, as CIFAR-10-C and CIFAR-100-C: `<corruption>.npy`, uint8
      `[5 n, 32, 32, 3]`, the severities one after the other, and `labels.npy`,
      `[5 n]` (the same n labels five times) or `[n]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/*`, or the same
      below the folders of its archives, `noise`, `blur`, `weather`, `digital`
      and `extra`.
    - What `noisymix_tf.corruption_sets.write` made, of either layout.
    - `"tfds"`: the `cifar10_corrupted` or `imagenet2012_corrupted` that
      tensorflow-datasets has prepared; nothing is downloaded.

    Files are read when they are needed, so this takes no time; a file that is
    damaged is named when its split is asked for, an image when it is read.

    Args:
        path: The directory; `"tfds"`, or `"tfds:DIR"` for that directory of
            tensorflow-datasets.
        dataset: `noisymix_tf.data.Dataset`, for its classes and image size.
        preprocess: A word of `Preprocess.parse`. None or `"auto"`: arrays and
            what this package wrote are taken as stored; other images are
            resized to 256 and cropped to 224 where the dataset has images of
            224 pixels, as for the published tables, and otherwise treated like
            the dataset's own.
        data_dir: Directory of tensorflow-datasets, for `"tfds"`; None for its
            default.

    Returns:
        An object with

        - `names`: corruptions that are there, in the benchmark's order;
        - `severities(name)`: which of 1 to 5 are there;
        - `split(name, severity)`: test images with `labels`, `image_shape`,
          `batches(batch_size)`, `subset(indices)` and `check()`, as those of
          `noisymix_tf.data.Split`;
        - `layout`: `"arrays"`, `"tree"` or `"tfds"`;
        - `source`: `"released"`, or `"generated"` for what this package wrote;
        - `preprocess`: the `Preprocess`;
        - `description`: all this in words, for a report.

    Raises:
        UsageError: If it is not there, in none of the layouts, or does not fit
            the dataset.

    Example:

    >>> shifted = corrupted_images("CIFAR-10-C", data.load("cifar10"))
    >>> images, labels = next(shifted.split("fog", 5).batches(100))
    """
    preprocess = sizes.chosen(preprocess)
    if str(path).partition(":")[0] == "tfds":
        from noisymix_tf.data.released.corrupted_prepared import (
            CorruptedPrepared,
        )

        data_dir = str(path).partition(":")[2] or data_dir
        return CorruptedPrepared(data_dir, dataset, preprocess)
    root = pathlib.Path(existing(path, _EXPECTED))
    manifest = read_manifest(root, "c")
    arrays = folders.named_arrays(root, corruptions.names())
    if arrays:
        return CorruptedArrays(root, arrays, dataset, preprocess, manifest)
    places = folders.named_folders(root, corruptions.names())
    if places:
        return CorruptedTree(root, places, dataset, preprocess, manifest)
    raise UsageError(
        f"{root} holds no corrupted images: {folders.contents(root)}; give "
        f"{_EXPECTED}.{_hint(root)}"
    )


def _hint(root):
    prepared = {"cifar10_corrupted", "imagenet2012_corrupted"}
    if prepared & set(list_folder(root)[0]):
        return f" This one is tfds:{os.fspath(root)}."
    return ""
