"""Real shifts by name, as tensorflow-datasets prepares them.

- ImageNet-R: renditions of 200 classes (Hendrycks et al., arXiv:2006.16241);
- ImageNet-A: photographs that networks err on, 200 classes (Hendrycks et al.,
  arXiv:1907.07174);
- ImageNetV2: a test set collected anew (Recht et al., arXiv:1902.10811);
- ImageNet-Sketch: drawings (Wang et al., arXiv:1905.13549);
- ImageNet-ReaL: the validation images with all labels that are right (Beyer et
  al., arXiv:2006.07159);
- CIFAR-10.1: a test set collected anew (Recht et al., arXiv:1806.00451).
"""

import typing

import numpy as np

from noisymix_tf.data.classes import listed
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


class Shift(typing.NamedTuple):
    """A set of shifted images."""

    title: str
    folder: str  # Of its versions, in a directory of tensorflow-datasets.
    label: str = "label"  # Feature with the class.
    right: str | None = None  # Feature with all classes that are right.
    classes: tuple = ()  # Names of the dataset's classes, if not synsets.


_V2, _CIFAR = "imagenet_v2", "cifar10_1"
_OF_CIFAR = "airplane automobile bird cat deer dog frog horse ship truck"
_OF_CIFAR = tuple(_OF_CIFAR.split())
SHIFTS = {
    "imagenet_r": Shift("ImageNet-R", "imagenet_r"),
    "imagenet_a": Shift("ImageNet-A", "imagenet_a"),
    _V2: Shift("ImageNetV2", f"{_V2}/matched-frequency"),
    f"{_V2}_threshold": Shift("ImageNetV2, threshold", f"{_V2}/threshold-0.7"),
    f"{_V2}_top": Shift("ImageNetV2, top images", f"{_V2}/topimages"),
    "imagenet_sketch": Shift("ImageNet-Sketch", "imagenet_sketch"),
    "imagenet2012_real": Shift(
        "ImageNet-ReaL", "imagenet2012_real", "original_label", "real_label"
    ),
    _CIFAR: Shift("CIFAR-10.1", f"{_CIFAR}/v6", classes=_OF_CIFAR),
    f"{_CIFAR}_v4": Shift("CIFAR-10.1 v4", f"{_CIFAR}/v4", classes=_OF_CIFAR),
}


def shift(name, dataset) -> Shift:
    """That of a name, whose classes are those of a dataset."""
    if name not in SHIFTS:
        raise UsageError(
            f"tensorflow-datasets has no shifted images {name!r}. Known: "
            f"{', '.join(SHIFTS)}: give NAME:tfds:DIR of one of them."
        )
    found = SHIFTS[name]
    if found.classes and found.classes != tuple(dataset.class_names):
        raise UsageError(
            f"{found.title} has the classes of CIFAR-10, those of "
            f"{dataset.name} are {listed(dataset.class_names)}: measure a "
            "model of CIFAR-10."
        )
    return found


def right_labels(split, feature) -> list[np.ndarray]:
    """All right labels of each image of a split of records, ints."""

    def labels(index):
        features = {feature: tf.io.VarLenFeature(tf.int64)}
        parsed = tf.io.parse_single_example(split.record(index), features)
        return tf.sparse.to_dense(parsed[feature])

    every = tf.data.Dataset.range(len(split)).map(labels, tf.data.AUTOTUNE)
    return list(every.as_numpy_iterator())


def best(outputs, right) -> np.ndarray:
    """Of each image's right labels the one that is scored highest, int `[b]`.

    Args:
        outputs: Float `[b, K]`.
        right: Right labels of each of the b images, ints.

    >>> best(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), [[0, 2], [1, 2]])
    array([2, 1])
    """
    pairs = zip(outputs, map(np.asarray, right))
    return np.array([own[np.argmax(row[own])] for row, own in pairs])
