"""The labelled images that cells are measured on."""

import functools
import types

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.predictor import count_outputs


def dataset_of(dataset, model):
    """A dataset as it is, or one made of `(images, labels)`."""
    if hasattr(dataset, "test"):
        return dataset
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        size = f" of {len(dataset)}" if hasattr(dataset, "__len__") else ""
        raise UsageError(
            f"evaluate takes a noisymix_tf.data Dataset or (images, labels), "
            f"got a {type(dataset).__name__}{size}."
        )
    arrays = ArraySplit(*dataset)
    if not len(arrays):
        raise UsageError("There are no images: nothing to evaluate.")
    # The classes are the model's.
    count = model and count_outputs(model, arrays.images[:1])
    count = count or int(max(arrays.labels)) + 1
    _check_labels(arrays.labels, "arrays", count)
    names = tuple(map(str, range(count)))
    return types.SimpleNamespace(
        name="arrays", test=arrays, num_classes=count, class_names=names
    )


class Images:
    """A split as the evaluation sees it.

    Args:
        split: Has `batches(batch_size)`, which yields `(images, labels)`, NumPy
            uint8 `[b, H, W, C]` and int `[b]`, always in the same order.
        name: For messages.
        num_classes: Labels are from 0 to `num_classes` - 1; 0 where they are
            not known.
        preprocess: What is done to images on reading, in words.
        examples: Take a class-balanced part of this size; None for all.
        classes: Names of what labels count, or their places among others.

    Attributes:
        n, available: Number of images, and before `examples` are taken.
        shape: (H, W, C).

    Raises:
        UsageError: If there are no images, or a part was asked of a split that
            has no labels to balance.
    """

    def __init__(
        self, split, name, num_classes, preprocess, examples=None, classes=()
    ):
        self.name, self.num_classes = name, num_classes
        self.preprocess, self._classes = preprocess, classes
        self.available = self.n = _count(split)
        if examples is not None and examples < self.available:
            need = f"{examples} examples of {name!r} are of all classes alike"
            require(split, need, "labels", "subset")
            split = split.subset(balanced_indices(split.labels, examples))
            self.n = examples
        self.split = split
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
    def fingerprint(self) -> str:
        """Their identity (`data.identity`), with what labels count."""
        return str(identity.of(self.split).labelled(self._classes))

    @property
    def labels(self) -> np.ndarray:
        """int `[n]`, where the split tells them without reading images."""
        return self.split.labels

    def chunks(self, size, starts):
        """Yields `(start, images, labels)`, each image read once.

        Args:
            size: Number of images in a chunk; the last one may have fewer.
            starts: Ascending multiples of it, those chunks that are wanted;
                of a split without `subset` others are read and left out.
        """
        if not starts:
            return
        split, order = self.split, list(range(0, self.n, size))
        if list(starts) != order and hasattr(split, "subset"):
            parts = [np.arange(s, min(s + size, self.n)) for s in starts]
            split, order = split.subset(np.concatenate(parts)), starts
        wanted, found = set(starts), 0
        for start, (images, labels) in zip(order, split.batches(size)):
            images, labels = np.asarray(images), np.asarray(labels)
            _check_labels(labels, self.name, self.num_classes)
            found += len(images)
            if start in wanted:
                yield start, images, labels
        expected = sum(min(size, self.n - start) for start in order)
        if found != expected:
            raise RuntimeError(
                f"{self.name}: {found} images came, of {expected} counted"
            )

    def probe(self, batch_size) -> np.ndarray:
        """The first `batch_size` images."""
        for images, _ in self.split.batches(batch_size):
            return np.asarray(images)
        raise UsageError(
            f"The dataset {self.name!r} has no test images: nothing to "
            "evaluate."
        )


class Reopened:
    """A split of which one is open at a time: each has a list of its files."""

    def __init__(self, opened):
        self._opened, self._number = opened, len(opened())

    def __len__(self):
        return self._number

    def __getattr__(self, name):
        return getattr(self._opened(), name)


def _check_labels(labels, name, num_classes):
    bad = (labels < 0) | (labels >= num_classes)
    for label in labels[bad] if num_classes else ():
        raise UsageError(
            f"The dataset {name!r} has a label {label}, but its {num_classes} "
            f"classes count from 0 to {num_classes - 1}: mend the labels, or "
            "choose the model that they belong to."
        )


def _count(split):
    if hasattr(split, "__len__"):
        return len(split)
    return sum(len(labels) for _, labels in split.batches(256))


def require(split, need, *names):
    """Refuses a split without these attributes of a `data.Split`."""
    if not all(hasattr(split, name) for name in names):
        raise UsageError(
            f"{need}, which a {type(split).__name__} without "
            f"{' and '.join(names)} cannot give: take a noisymix_tf.data "
            "Dataset."
        )
