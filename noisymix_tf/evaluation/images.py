"""The labelled images that cells are measured on."""

import functools

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.errors import UsageError


class Images:
    """A split as the evaluation sees it.

    Args:
        split: Has `batches(batch_size)`, which yields `(images, labels)`, NumPy
            uint8 `[b, H, W, C]` and int `[b]`, always in the same order.
        name: For messages.
        num_classes: Labels are from 0 to `num_classes` - 1.
        preprocess: What is done to images on reading, in words.
        examples: Take a class-balanced part of this size; None for all.
        classes: Names of what labels count, or their places among others.

    Attributes:
        n: Number of images.
        available: How many there are before `examples` are taken.
        shape: (H, W, C).

    Raises:
        UsageError: If there are no images, or a part was asked of a split that
            has no labels to balance.
    """

    def __init__(
        self, split, name, num_classes, preprocess, examples=None, classes=()
    ):
        self.name, self.num_classes = name, num_classes
        self.preprocess = preprocess
        self._classes = classes
        self.available = _count(split)
        if examples is not None and examples < self.available:
            split = _part(split, examples, name)
        self.split = split
        self.n = min(examples or self.available, self.available)
        self.shape = self.probe(1).shape[1:]

    @classmethod
    def of(cls, dataset, examples=None):
        """The test images of a dataset, as `evaluate` takes it."""
        return cls(
            dataset.test,
            dataset.name,
            dataset.num_classes,
            str(getattr(dataset.test, "preprocess", "as_stored")),
            examples,
            getattr(dataset, "class_names", ()),
        )

    @functools.cached_property
    def fingerprint(self):
        """Their identity (`data.identity`), with what labels count."""
        return str(identity.of(self.split).labelled(self._classes))

    @property
    def labels(self):
        """int `[n]`, where the split tells them without reading images."""
        return self.split.labels

    def chunks(self, size, starts):
        """Yields `(start, images, labels)`, each image read once.

        Args:
            size: Number of images in a chunk; the last one may have fewer.
            starts: Ascending multiples of it, those chunks that are wanted;
                of a split without `subset` others are read and left out.
        """
        split, order = self.split, range(0, self.n, size)
        if not starts:
            return
        if list(starts) != list(order) and hasattr(split, "subset"):
            split = split.subset(
                np.concatenate(
                    [np.arange(s, min(s + size, self.n)) for s in starts]
                )
            )
            order = starts
        wanted, found = set(starts), 0
        for start, (images, labels) in zip(order, split.batches(size)):
            images, labels = np.asarray(images), np.asarray(labels)
            self._check(labels)
            found += len(images)
            if start in wanted:
                yield start, images, labels
        expected = sum(min(size, self.n - start) for start in order)
        if found != expected:
            raise RuntimeError(
                f"{self.name}: {found} images came, of {expected} counted"
            )

    def probe(self, batch_size):
        """The first `batch_size` images."""
        for images, _ in self.split.batches(batch_size):
            return np.asarray(images)
        raise UsageError(
            f"The dataset {self.name!r} has no test images: nothing to "
            "evaluate."
        )

    def _check(self, labels):
        for label in labels[(labels < 0) | (labels >= self.num_classes)]:
            raise UsageError(
                f"The dataset {self.name!r} has the label {label}, but its "
                f"{self.num_classes} classes count from 0 to "
                f"{self.num_classes - 1}: mend its labels."
            )


def _count(split):
    """Number of images; reads them all only if there is no length."""
    if hasattr(split, "__len__"):
        return len(split)
    return sum(len(labels) for _, labels in split.batches(256))


def _part(split, examples, name):
    try:
        labels, subset = split.labels, split.subset
    except AttributeError as error:
        raise UsageError(
            f"{examples} examples of the dataset {name!r} cannot be taken, it "
            "has no labels to balance: give a noisymix_tf.data Dataset, or "
            "fewer images."
        ) from error
    return subset(balanced_indices(labels, examples))
