"""Shifted images of the same classes: ImageNet-R, and folders of one's own.

Such sets seldom have all classes of the dataset. The model chooses among those
that are there, and the clean images of the same classes are measured likewise,
so that the two accuracies can be compared (Hendrycks et al., 2021, "The Many
Faces of Robustness", section 4).
"""

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import restrict
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite

SHIFTED, CLEAN = "shifted", "clean"


@SUITES.register("r")
class Shifts(ImageSuite):
    """A shifted set, and the clean images of its classes."""

    def __init__(self):
        self._sets = {}

    def cells(self, job):
        cells = []
        for name, path in _paths(job.settings).items():
            shifted = _released(path, job.dataset, job.settings)
            images = {
                SHIFTED: _images(job, shifted),
                CLEAN: _clean_images(job, shifted.classes),
            }
            self._sets[name] = np.asarray(shifted.classes), images
            cells += [
                job.cell(
                    name,
                    images=images[setting],
                    source=_source(name, setting),
                    setting=f"{setting} {len(shifted.classes)} classes",
                )
                for setting in images
            ]
        return cells

    def images(self, cell, job):
        return self._sets[cell.suite][1][cell.setting.split()[0]]

    def class_names(self, cell, job):
        classes, _ = self._sets[cell.suite]
        return tuple(job.dataset.class_names[k] for k in classes)

    def answer(self, cell, job, images, labels, indices):
        classes, _ = self._sets[cell.suite]
        outputs = job.predictor(images)
        return restrict(outputs, classes, job.predictor.from_logits), images


def _paths(settings):
    """`{name of the cells' suite: path}` of the sets that are asked for."""
    paths = {"r": settings.r_dir, "shift": settings.shift_dir}
    paths = {name: path for name, path in paths.items() if path is not None}
    if not paths:
        raise UsageError(
            "Suite r needs images: give r_dir (ImageNet-R) or shift_dir (a "
            "folder for each class, named as in the dataset)."
        )
    return paths


def _released(path, dataset, settings):
    from noisymix_tf.data import released

    return released.shifted_images(
        path, dataset, preprocess=settings.released_preprocess
    )


def _source(name, setting):
    """Images of one's own are as they are, like the dataset's."""
    return "released" if (name, setting) == ("r", SHIFTED) else "original"


def _images(job, shifted):
    images = Images(
        shifted.split,
        f"{job.dataset.name}, shifted",
        len(shifted.classes),
        str(shifted.preprocess),
        job.settings.examples,
        shifted.classes,
    )
    if images.shape != job.images.shape:
        raise UsageError(
            f"The shifted images are {list(images.shape)}, the dataset's "
            f"{list(job.images.shape)}: give the preprocess that makes them "
            "fit, such as resize256-crop224."
        )
    return images


def _clean_images(job, classes):
    return Images(
        _OfClasses(job.dataset.test, classes),
        job.dataset.name,
        len(classes),
        job.images.preprocess,
        job.settings.examples,
        classes,
    )


class _OfClasses:
    """The part of a split that is of some classes, labels counted anew."""

    def __init__(self, split, classes):
        if not hasattr(split, "subset") or not hasattr(split, "labels"):
            raise UsageError(
                "Suite r measures the clean images of some classes, which a "
                f"{type(split).__name__} without labels and subset cannot "
                "give: take a noisymix_tf.data Dataset."
            )
        self._split = split.subset(
            np.flatnonzero(np.isin(split.labels, classes))
        )
        self._classes = np.asarray(classes)
        self.labels = np.searchsorted(self._classes, self._split.labels)

    def __len__(self):
        return len(self.labels)

    @property
    def identity(self):
        return identity.of(self._split)

    def subset(self, indices):
        part = object.__new__(_OfClasses)
        part._split = self._split.subset(indices)
        part._classes = self._classes
        part.labels = self.labels[indices]
        return part

    def batches(self, batch_size):
        for images, labels in self._split.batches(batch_size):
            yield images, np.searchsorted(self._classes, labels)
