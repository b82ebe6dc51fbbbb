"""The labelled images that cells are measured on."""

import functools

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.subset import balanced_indices
from noisymix_tf.errors import UsageError

# Images held in memory, so that their decoding is paid once for all cells.
_CACHE_BYTES = 512 << 20


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
        self,
        split,
        name,
        num_classes,
        preprocess="as_stored",
        examples=None,
        classes=(),
    ):
        self.name = name
        self.num_classes = num_classes
        self.preprocess = preprocess
        self._classes = classes
        self.available = _count(split)
        if examples is not None and examples < self.available:
            split = _part(split, examples, num_classes, name)
        self.split = split
        self.n = min(examples or self.available, self.available)
        self._cache = None
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
        """Word for the images, their labels and what these count.

        See `noisymix_tf.data.identity`; of a split that does not know its
        identity, all that a pass yields is hashed.
        """
        return str(identity.of(self.split).labelled(self._classes))

    def batches(self, batch_size, keep=False):
        """Yields `(images, labels)`.

        Args:
            batch_size: Number of images in a batch.
            keep: Whether to hold images in memory for the next pass, if all of
                them are small; that pass must have the same `batch_size`.
        """
        if self._cache is not None and self._cache[0] == batch_size:
            yield from self._cache[1]
            return
        kept, size = [], 0
        for images, labels in self.split.batches(batch_size):
            images, labels = np.asarray(images), np.asarray(labels)
            self._check(labels)
            size += images.nbytes
            if size > _CACHE_BYTES:
                keep, kept = False, []
            if keep:
                kept.append((images, labels))
            yield images, labels
        if keep:
            self._cache = batch_size, kept

    def probe(self, batch_size):
        """The first `batch_size` images."""
        for images, _ in self.split.batches(batch_size):
            return np.asarray(images)
        raise UsageError(
            f"The dataset {self.name!r} has no test images: nothing to "
            "evaluate."
        )

    def _check(self, labels):
        for label in (labels.min(), labels.max()):
            if not 0 <= label < self.num_classes:
                raise UsageError(
                    f"The dataset {self.name!r} has the label {label}, but its "
                    f"{self.num_classes} classes count from 0 to "
                    f"{self.num_classes - 1}: mend its labels."
                )


def _count(split):
    """Number of images; reads them all only if there is no length."""
    try:
        return len(split)
    except TypeError:
        return sum(len(labels) for _, labels in split.batches(256))


def _part(split, examples, num_classes, name):
    try:
        labels, subset = split.labels, split.subset
    except AttributeError as error:
        raise UsageError(
            f"{examples} examples of the dataset {name!r} cannot be taken, it "
            "has no labels to balance: give a noisymix_tf.data Dataset, or "
            "fewer images."
        ) from error
    return subset(balanced_indices(labels, examples, num_classes))
