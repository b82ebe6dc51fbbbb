"""The layout of ImageNet-C: corruption/severity/class/image."""

import functools
import os

import numpy as np

from noisymix_tf.corruption_sets.image_files import SUFFIXES, make_files
from noisymix_tf.data.trees import image_names

# Images that a worker is given at once; each is written at every severity.
_CALL_IMAGES = 4


class Tree:
    """Writes one image file for each image and severity.

    A file takes its name when it is complete; a killed writer goes on with the
    files that are not there.

    Args:
        folder: `SetFolder`.
        dataset: Whose test images are taken, and whose classes are folders.
        workers: `Workers`.
        image_format: `"jpeg"` (quality 85) or `"png"`.
    """

    def __init__(self, folder, dataset, workers, image_format):
        self._folder = folder
        self._split = dataset.test
        self._workers = workers
        self._format = image_format
        self._names = image_names(
            dataset.test, dataset.class_names, SUFFIXES[image_format]
        )

    def labels(self, levels):
        """Does nothing: the folders are the labels."""

    def total(self, recipe):
        """Number of images that a recipe makes."""
        return len(recipe.levels) * len(self._split)

    def write(self, recipe, advance):
        """Makes the files of a recipe that are missing.

        Args:
            recipe: `Corrupted`.
            advance: Called with the number of images that are there.
        """
        root = self._folder.path / recipe.stem
        missing = {}
        for level in recipe.levels:
            there = _present(root / str(level))
            for place, name in enumerate(self._names):
                if name not in there:
                    missing.setdefault(place, []).append(level)
        done = self.total(recipe) - sum(map(len, missing.values()))
        advance(done)
        function = functools.partial(make_files, recipe, self._format)
        for made in self._workers.ordered(function, self._calls(root, missing)):
            done += made
            advance(done)
        for level in recipe.levels:
            entry = {"files": len(self._split)}
            if self._folder.files.get(f"{recipe.stem}/{level}") != entry:
                self._folder.record(f"{recipe.stem}/{level}", entry)

    def _calls(self, root, missing):
        """Yields `(images, places, files)`, files by level for each image."""
        if not missing:
            return
        places = np.array(sorted(missing))
        whole = len(places) == len(self._split)
        split = self._split if whole else self._split.subset(places)
        start = 0
        for images, _ in split.batches(_CALL_IMAGES):
            part = places[start : start + len(images)]
            files = [
                {n: root / str(n) / self._names[p] for n in missing[p]}
                for p in part
            ]
            yield images, part, files
            start += len(images)


def _present(root):
    """Finished files below a folder of classes, as `class/name`."""
    if not root.is_dir():
        return set()
    return {
        f"{entry.name}/{file.name}"
        for entry in os.scandir(root)
        if entry.is_dir()
        for file in os.scandir(entry.path)
        # What a crash of the machine left empty is not finished.
        if file.stat().st_size
    }
