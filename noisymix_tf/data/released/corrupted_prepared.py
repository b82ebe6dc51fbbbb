"""`cifar10_corrupted` and `imagenet2012_corrupted` of tensorflow-datasets."""

from noisymix_tf import corruptions
from noisymix_tf.corruptions import checks
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import sizes
from noisymix_tf.data.released.classes import class_indices, listed
from noisymix_tf.data.released.prepared import (
    PreparedImages,
    newest_version,
    open_prepared,
    prepared_root,
)
from noisymix_tf.errors import UsageError

# Where tensorflow-datasets uses another name than the released files.
_OTHER_NAMES = {
    "cifar10_corrupted": {
        "glass_blur": "frosted_glass_blur",
        "elastic_transform": "elastic",
    }
}


class CorruptedPrepared:
    """Corrupted images of tensorflow-datasets; see `corrupted_images`.

    Args:
        data_dir: Directory of tensorflow-datasets; None for its default.
        dataset: `noisymix_tf.data.Dataset`.
        preprocess: `Preprocess`, or None for the usual one.
    """

    layout = "tfds"
    source = "released"

    def __init__(self, data_dir, dataset, preprocess):
        self._dataset = dataset
        self._kind = _kind(dataset)
        self._root = prepared_root(data_dir) / self._kind
        self._cells = {
            name: {
                severity: version
                for severity in corruptions.SEVERITIES
                if (version := newest_version(self._folder(name, severity)))
            }
            for name in corruptions.names()
        }
        self.names = tuple(name for name, cells in self._cells.items() if cells)
        if not self.names:
            raise UsageError(
                f"No {self._kind} is prepared in {self._root}: give "
                "tfds:DIR of a prepared copy; nothing is downloaded."
            )
        if preprocess is None:
            preprocess = Preprocess()
            if self._kind != "cifar10_corrupted":
                preprocess = sizes.published_or(sizes.own, dataset)
        self.preprocess = preprocess
        self.description = (
            f"{self._root}: {self._kind} of tensorflow-datasets, preprocess "
            f"{preprocess}"
        )

    def severities(self, name):
        """Which of 1 to 5 are there."""
        corruptions.CORRUPTIONS.get(name)
        return tuple(self._cells[name])

    def split(self, name, severity):
        """Test images of a corruption at a severity of 1 to 5."""
        checks.level("Severity", severity, corruptions.SEVERITIES)
        if severity not in self.severities(name):
            raise UsageError(
                f"{self._folder(name, severity)} is not prepared: prepare it, "
                f"or choose among those that are there "
                f"({listed(self.names, most=19)})."
            )
        folder = self._cells[name][severity]
        builder, split, labels = open_prepared(folder)
        if len(labels) != self._dataset.num_classes:
            raise UsageError(
                f"{folder} has {len(labels)} classes, but {self._dataset.name} "
                f"has {self._dataset.num_classes}: prepare it again."
            )
        # CIFAR-10 is stored with numbers for names.
        places = range(len(labels))
        if self._kind != "cifar10_corrupted":
            places = class_indices(labels, self._dataset, str(folder))
        images = PreparedImages(builder, split, places, self.preprocess)
        sizes.check_fits(
            images.image_shape, self._dataset, str(folder), self.preprocess
        )
        return images

    def _folder(self, name, severity):
        stored = _OTHER_NAMES.get(self._kind, {}).get(name, name)
        return self._root / f"{stored}_{severity}"


def _kind(dataset):
    if dataset.name == "cifar10":
        return "cifar10_corrupted"
    if dataset.num_classes == 1000:
        return "imagenet2012_corrupted"
    raise UsageError(
        "tensorflow-datasets has corrupted images of cifar10 and of the 1000 "
        f"classes of ImageNet, but not of {dataset.name}: give the directory "
        "of the released files instead of tfds."
    )
