"""The layout of CIFAR-10-C: one array for each corruption."""

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruptions import checks
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import sizes
from noisymix_tf.data.released.classes import listed
from noisymix_tf.data.released.mapped import MappedImages
from noisymix_tf.data.released.npy import map_images, read_labels
from noisymix_tf.errors import UsageError

# From so many images of a class on, a class without any is no coincidence.
_IMAGES_OF_A_CLASS = 10


class CorruptedArrays:
    """Corrupted images in arrays; see `corrupted_images`.

    Args:
        root: `Path` of the directory.
        paths: `{name: Path}` of its arrays.
        dataset: `noisymix_tf.data.Dataset`.
        preprocess: `Preprocess`, or None for as stored.
        manifest: `Manifest`, or None.
    """

    layout = "arrays"

    def __init__(self, root, paths, dataset, preprocess, manifest):
        self._root = root
        self._paths = paths
        self._dataset = dataset
        self._levels = corruptions.SEVERITIES
        if manifest is not None:
            self._levels = tuple(manifest.settings.get("severities", ()))
        self.names = tuple(paths)
        self.preprocess = preprocess or Preprocess()
        self.source = "released" if manifest is None else "generated"
        origin = "released arrays" if manifest is None else manifest.origin
        self._labels = _checked_labels(
            root / "labels.npy", len(self._levels), dataset
        )
        self.description = f"{root}: {origin}, preprocess {self.preprocess}"

    def severities(self, name):
        """Which of 1 to 5 are there."""
        self._path(name)
        return self._levels

    def split(self, name, severity):
        """Test images of a corruption at a severity of 1 to 5."""
        path = self._path(name)
        checks.level("Severity", severity, corruptions.SEVERITIES)
        if severity not in self._levels:
            raise UsageError(
                f"{self._root} holds no severity {severity}, but "
                f"{listed(self._levels)}: choose among these."
            )
        images = map_images(path, rank=4)
        labels = self._labels_of_one(path, len(images))
        start = self._levels.index(severity) * len(labels)
        rows = np.arange(start, start + len(labels))
        split = MappedImages(images, labels, rows, self.preprocess)
        sizes.check_fits(
            split.image_shape, self._dataset, str(path), self.preprocess
        )
        return split

    def _labels_of_one(self, path, rows):
        """The labels of one severity, of an array of so many rows."""
        labels, levels = self._labels, len(self._levels)
        if rows == levels * len(labels):
            return labels
        if rows != len(labels) or rows % levels:
            raise UsageError(
                f"{path} holds {rows} images for the {len(labels)} labels of "
                f"{self._root / 'labels.npy'}: expected a label for every "
                f"image, or for every image of one of the {levels} severities; "
                "download both again."
            )
        tiled = labels.reshape(levels, -1)
        if (tiled != tiled[0]).any():
            raise UsageError(
                f"{self._root / 'labels.npy'} does not repeat the same labels "
                f"{levels} times: the rows of an array are {levels} severities "
                "of the same images in the same order, so the labels must "
                "repeat; download it again."
            )
        return tiled[0]

    def _path(self, name):
        corruptions.CORRUPTIONS.get(name)
        if name not in self._paths:
            raise UsageError(
                f"{self._root} lacks {name}.npy: download it, or choose among "
                f"those that are there ({', '.join(self.names)})."
            )
        return self._paths[name]


def _checked_labels(path, levels, dataset):
    """What `labels.npy` holds, if it fits the dataset's classes."""
    labels = read_labels(path)
    last, classes = labels.max(), dataset.num_classes
    if last >= classes:
        raise UsageError(
            f"{path} has the label {last}, but {dataset.name} has only "
            f"{classes} classes (0 to {classes - 1}): give the dataset that "
            "the images belong to."
        )
    enough = _IMAGES_OF_A_CLASS * classes * levels
    if last < classes - 1 and len(labels) >= enough:
        raise UsageError(
            f"The {len(labels)} labels in {path} end at {last}, but "
            f"{dataset.name} has {classes} classes: give the dataset that the "
            "images belong to."
        )
    return labels
