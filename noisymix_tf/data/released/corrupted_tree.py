"""The layout of ImageNet-C: corruption/severity/class/image."""

from noisymix_tf import corruptions
from noisymix_tf.corruptions import checks
from noisymix_tf.data import folder
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import sizes
from noisymix_tf.data.released.classes import (
    check_all_classes,
    class_indices,
    listed,
)
from noisymix_tf.errors import UsageError


class CorruptedTree:
    """Corrupted images in folders; see `corrupted_images`.

    Args:
        root: `Path` of the directory.
        places: `{name: Path}` of its corruptions.
        dataset: `noisymix_tf.data.Dataset`.
        preprocess: `Preprocess`, or None for the usual one.
        manifest: `Manifest`, or None.
    """

    layout = "tree"

    def __init__(self, root, places, dataset, preprocess, manifest):
        self._root = root
        self._places = places
        self._dataset = dataset
        self._manifest = manifest
        self.names = tuple(places)
        if preprocess is None:
            # Our own are of the dataset's size, they were made from it.
            preprocess = Preprocess()
            if manifest is None:
                preprocess = sizes.published_or(sizes.own, dataset)
        self.preprocess = preprocess
        self.source = "released" if manifest is None else "generated"
        origin = "released tree" if manifest is None else manifest.origin
        self.description = f"{root}: {origin}, preprocess {preprocess}"

    def severities(self, name):
        """Which of 1 to 5 are there."""
        there, _ = folder.list_folder(self._place(name))
        return tuple(n for n in corruptions.SEVERITIES if str(n) in there)

    def split(self, name, severity):
        """Test images of a corruption at a severity of 1 to 5."""
        checks.level("Severity", severity, corruptions.SEVERITIES)
        there = self.severities(name)
        place = self._place(name)
        if severity not in there:
            raise UsageError(
                f"{place} has no folder of severity {severity}, but "
                f"{listed(folder.list_folder(place)[0])}: unpack it again, or "
                "choose among the severities that are there."
            )
        cell = place / str(severity)
        classes = folder.class_files(cell)
        indices = class_indices(classes, self._dataset, str(cell))
        if self._manifest is None:
            check_all_classes(indices, self._dataset, str(cell))
        paths, labels = folder.labelled(sorted(zip(indices, classes.values())))
        self._check_finished(cell, f"{name}/{severity}", len(paths))
        return self._checked(paths, labels, cell)

    def _checked(self, paths, labels, cell):
        rule = self.preprocess
        stored = folder.header_size(paths[0]) if rule.side is None else ()
        shape = sizes.output_shape(rule, (*stored, 3))
        sizes.check_fits(shape, self._dataset, str(cell), rule)
        return FileSplit(paths, labels, rule if rule.side else stored)

    def _check_finished(self, cell, key, number):
        """Compares a cell that this package wrote with what it noted."""
        if self._manifest is None:
            return
        noted = self._manifest.files.get(key, {}).get("files")
        if noted != number:
            raise UsageError(
                f"{cell} has {number} images, but its manifest notes "
                f"{'none' if noted is None else noted}: the command that "
                "writes it has not finished, run it again."
            )

    def _place(self, name):
        corruptions.CORRUPTIONS.get(name)
        if name not in self._places:
            raise UsageError(
                f"{self._root} lacks the folder {name}: unpack its archive "
                "there, or choose among those that are there "
                f"({', '.join(self.names)})."
            )
        return self._places[name]
