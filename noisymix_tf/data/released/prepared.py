"""Released sets as tensorflow-datasets prepares them."""

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.data import named
from noisymix_tf.data.classes import class_indices, imagenet_r_wnids
from noisymix_tf.data.prepared_split import open_split
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import cells
from noisymix_tf.errors import UsageError

CORRUPTED = _CIFAR, _IMAGENET = "cifar10_corrupted", "imagenet2012_corrupted"
# Where tensorflow-datasets uses another name than the released files.
_OTHER_NAMES = {
    (_CIFAR, "glass_blur"): "frosted_glass_blur",
    (_CIFAR, "elastic_transform"): "elastic",
}


def root_of(path, data_dir):
    """The directory of tensorflow-datasets that a path means; None if none."""
    word, _, root = str(path).partition(":")
    return named.prepared_root(root or data_dir) if word == "tfds" else None


def corrupted(data_dir, dataset, preprocess):
    """`cifar10_corrupted` and `imagenet2012_corrupted`, a folder for each."""
    kind = _CIFAR if dataset.name == "cifar10" else _IMAGENET
    if kind == _IMAGENET and dataset.num_classes != 1000:
        raise UsageError(
            "tensorflow-datasets has corrupted images of cifar10 and ImageNet, "
            f"but not of {dataset.name}: give the directory of released files."
        )
    root, places = f"{data_dir}/{kind}", {}
    for name in corruptions.names():
        stored = _OTHER_NAMES.get((kind, name), name)
        for severity in corruptions.SEVERITIES:
            place = named.newest_version(f"{root}/{stored}_{severity}")
            if place:
                places[f"{name}/{severity}"] = place
    if not places:
        raise UsageError(
            f"No {kind} is prepared in {root}: give tfds:DIR of a prepared "
            "copy; nothing is downloaded."
        )
    if preprocess is None:
        preprocess = cells.usual(dataset) if kind == _IMAGENET else Preprocess()

    def open_cell(_, place):
        def labels(names):
            if kind == _CIFAR:  # Stored with numbers for names.
                return range(len(names))
            return class_indices(
                names, dataset.class_names, place, dataset.name
            )

        return _split(place, preprocess, labels)

    what = "tfds", f"{kind} of tensorflow-datasets", preprocess
    return cells.CorruptedImages(root, dataset, *what, places, open_cell)


def shifted(data_dir, dataset, preprocess):
    """`imagenet_r`."""
    root = f"{data_dir}/imagenet_r"
    newest = named.newest_version(root)
    if newest is None:
        raise UsageError(
            f"No imagenet_r is prepared in {root}: give tfds:DIR of a "
            "prepared copy, or the directory of the released files."
        )
    names, how = imagenet_r_wnids(), preprocess
    how = how or cells.usual(dataset, is_square=True)

    def split_of(labels):
        # Stored are places among all 1000 classes.
        new = dict(zip(names, labels))
        return _split(newest, how, lambda all: [new.get(n, -1) for n in all])

    own = "tfds", "ImageNet-R", names, dataset, split_of
    return cells.ShiftedImages.of(newest, *own)


def _split(place, preprocess, places_of):
    """The test images of a version; `places_of` the names of its classes."""
    builder, again = named.open_builder(place), "delete it, prepare it again"
    info = builder.info
    parts = [n for n in ("test", "validation") if n in info.splits]
    if not parts or not info.splits[parts[0]].num_examples:
        raise UsageError(f"{place} has no images to test on: {again}.")
    size = preprocess if preprocess.side else info.features["image"].shape[:2]
    if size == (None, None):
        raise UsageError(
            f"The images in {place} have several sizes and cannot be as "
            "stored: give a preprocess, such as resize256-crop224."
        )
    split = open_split(builder, parts[0], size)
    places = np.array(places_of(info.features["label"].names), np.int32)
    labels = places[split.labels]
    if (labels < 0).any():
        odd = split.labels[labels < 0][0]
        raise UsageError(
            f"{place} has an image of the class {odd}, which does not belong "
            f"to this benchmark: {again}."
        )
    split.labels = labels
    return split
