"""Images of the same classes from another domain, such as ImageNet-R."""

import dataclasses
import pathlib

from noisymix_tf.data import folder
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import sizes
from noisymix_tf.data.released.classes import (
    IMAGENET_R_CLASSES,
    class_indices,
    imagenet_wnids,
    is_wnid,
)
from noisymix_tf.errors import UsageError

_EXPECTED = "a directory with one folder for each class, or tfds:DIR"
_LAYERS = ("val", "validation", "test")
_PREPARED = "imagenet_r"


@dataclasses.dataclass(frozen=True)
class ShiftedImages:
    """Test images of some of a dataset's classes; see `shifted_images`.

    Attributes:
        classes: Tuple of ints, ascending: places in `dataset.class_names`.
        split: Test images, as those of `noisymix_tf.data.Split`; a label is a
            position in `classes`.
        layout: `"tree"` or `"tfds"`.
        preprocess: `Preprocess`.
        description: All this in words, for a report.
    """

    classes: tuple
    split: object
    layout: str
    preprocess: Preprocess
    description: str


def shifted_images(path, dataset, *, preprocess=None, data_dir=None):
    """Opens a directory of images of a dataset's classes.

    - ImageNet-R, or any other: `<class>/*`, or the same in a folder `val`,
      `validation` or `test`. Class folders are named as the dataset's
      classes; for a dataset with the 1000 classes of ImageNet also as synsets.
      Not all classes have to be there: predict among `classes` alone.
    - `"tfds"`: the `imagenet_r` that tensorflow-datasets has prepared; nothing
      is downloaded.

    Args:
        path: The directory; `"tfds"`, or `"tfds:DIR"` for that directory of
            tensorflow-datasets.
        dataset: `noisymix_tf.data.Dataset`, for its classes and image size.
        preprocess: A word of `Preprocess.parse`. None or `"auto"`: synsets
            are resized to 256 and cropped to 224 where the dataset has images
            of 224 pixels, as is usual for ImageNet-R; other images are treated
            like the dataset's own.
        data_dir: Directory of tensorflow-datasets, for `"tfds"`; None for its
            default.

    Returns:
        `ShiftedImages`.

    Raises:
        UsageError: If it is not there, has a class that the dataset lacks, or
            fewer than two, or images of another size.

    Example:

    >>> shifted = shifted_images("imagenet-r", imagenet)
    >>> len(shifted.classes), len(shifted.split)
    (200, 30000)
    """
    preprocess = sizes.chosen(preprocess)
    if str(path).partition(":")[0] == "tfds":
        data_dir = str(path).partition(":")[2] or data_dir
        return _prepared(data_dir, dataset, preprocess)
    root = pathlib.Path(folder.existing(path, _EXPECTED))
    return _tree(_layer(root, dataset), dataset, preprocess)


def _layer(root, dataset):
    """The folder of class folders: `root`, or a layer in it."""
    there, _ = folder.list_folder(root)
    classes = set(map(str, dataset.class_names))
    if not classes & set(there):
        for name in _LAYERS:
            if name in there and folder.list_folder(root / name)[0]:
                return root / name
    return root


def _tree(root, dataset, preprocess):
    classes = folder.class_files(root)
    indices = class_indices(classes, dataset, str(root))
    present = _checked_classes(indices, root)
    paths, labels = folder.labelled(
        (present.index(index), files)
        for index, files in sorted(zip(indices, classes.values()))
    )
    synsets = all(map(is_wnid, classes))
    if preprocess is None:
        preprocess = (
            sizes.published_or(sizes.square, dataset)
            if synsets
            else sizes.square(dataset)
        )
    stored = folder.header_size(paths[0]) if preprocess.side is None else ()
    shape = sizes.output_shape(preprocess, (*stored, 3))
    sizes.check_fits(shape, dataset, str(root), preprocess)
    is_r = synsets and _is_imagenet_r(classes)
    what = "ImageNet-R" if is_r else "shifted images"
    return ShiftedImages(
        classes=present,
        split=FileSplit(paths, labels, stored or preprocess),
        layout="tree",
        preprocess=preprocess,
        description=_description(root, what, present, preprocess),
    )


def _is_imagenet_r(names):
    if len(names) != len(IMAGENET_R_CLASSES):
        return False
    wnids = imagenet_wnids()
    return sorted(names) == [wnids[i] for i in IMAGENET_R_CLASSES]


def _prepared(data_dir, dataset, preprocess):
    from noisymix_tf.data.released.prepared import (
        PreparedImages,
        newest_version,
        open_prepared,
        prepared_root,
    )

    root = prepared_root(data_dir) / _PREPARED
    newest = newest_version(root)
    if newest is None:
        raise UsageError(
            f"No {_PREPARED} is prepared in {root}: give tfds:DIR of a "
            "prepared copy, or the directory of the released files; nothing is "
            "downloaded."
        )
    builder, split, names = open_prepared(newest)
    if len(names) != 1000:
        raise UsageError(
            f"{newest} has {len(names)} classes, expected the 1000 of "
            "ImageNet: delete it and prepare it again."
        )
    # Labels are stored as places among all 1000 classes.
    indices = class_indices(
        [names[i] for i in IMAGENET_R_CLASSES], dataset, str(newest)
    )
    present = _checked_classes(indices, root)
    places = [-1] * len(names)
    for stored, index in zip(IMAGENET_R_CLASSES, indices):
        places[stored] = present.index(index)
    preprocess = preprocess or sizes.published_or(sizes.square, dataset)
    images = PreparedImages(builder, split, places, preprocess)
    sizes.check_fits(images.image_shape, dataset, str(newest), preprocess)
    return ShiftedImages(
        classes=present,
        split=images,
        layout="tfds",
        preprocess=preprocess,
        description=_description(newest, "ImageNet-R", present, preprocess),
    )


def _checked_classes(indices, root):
    classes = tuple(sorted(set(indices)))
    if len(classes) < 2:
        raise UsageError(
            f"{root} holds one class only: a classifier that chooses among "
            "the classes that are there needs two."
        )
    return classes


def _description(root, what, classes, preprocess):
    return f"{root}: {what}, {len(classes)} classes, preprocess {preprocess}"
