"""Labelled images to measure on, out of whatever holds them."""

import typing

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.data import Dataset, Split
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.errors import UsageError


class Examples(typing.NamedTuple):
    """Images in memory.

    Attributes:
        images: NumPy uint8 `[n, H, W, C]`.
        labels: NumPy int64 `[n]`, class numbers.
        positions: NumPy int64 `[n]`, their places in the source.
    """

    images: np.ndarray
    labels: np.ndarray
    positions: np.ndarray


def take(source, labels=None, max_examples=None):
    """Takes a class-balanced part of a source, always the same one.

    Args:
        source: uint8 `[N, H, W, C]` with `labels`; or, with the labels in it, a
            `noisymix_tf.data.Dataset` (its test split is taken), a `Split`, or
            a finite `tf.data.Dataset` of batches `(images, labels)`.
        labels: ints `[N]`, or one-hot `[N, K]`; only for images given as an
            array.
        max_examples: How many to take at most, see `balanced_indices`; `None`
            for all.

    Returns:
        `Examples`, in the order of the source.

    Raises:
        UsageError: The source holds no such images, or none at all.
    """
    if max_examples is not None and not is_count(max_examples):
        raise UsageError(
            f"max_examples={max_examples!r} must be an int of at least 1, or "
            f"None for all."
        )
    batches = _batches(source, labels, max_examples)
    kept = None
    for images, labels, positions in batches:
        part = Examples(
            _checked_images(images), _class_numbers(labels), positions
        )
        if len(part.images) != len(part.labels):
            raise UsageError(
                f"{len(part.images)} images but {len(part.labels)} labels; "
                f"give one label for each image."
            )
        # Of a long stream no more than what is wanted is held: an example that
        # is left out among some is left out among more.
        kept = _balanced(_joined(kept, part), max_examples)
    if kept is None or not len(kept.images):
        raise UsageError("There are no images to measure on: give some.")
    return kept


def _batches(source, labels, max_examples):
    """Yields `(images, labels, positions)`, as the source has them."""
    import tensorflow as tf

    if isinstance(source, Dataset | Split | tf.data.Dataset):
        if labels is not None:
            raise UsageError(
                f"labels were given beside a {type(source).__name__}, which "
                f"has its own: leave one of them out."
            )
        if isinstance(source, tf.data.Dataset):
            return _of_tf_data(source)
        split = source.test if isinstance(source, Dataset) else source
        return _of_split(split, max_examples)
    if labels is None:
        raise UsageError(
            f"Images came without labels, as {type(source).__name__}: give "
            f"labels, or a noisymix_tf.data Dataset or Split, or a "
            f"tf.data.Dataset of (images, labels)."
        )
    images = np.asarray(source)
    return [(images, labels, np.arange(len(images)))]


def _of_split(split, max_examples):
    positions = np.arange(len(split))
    if max_examples is not None and max_examples < len(split):
        # Chosen first, so that no other image is decoded.
        positions = balanced_indices(split.labels, max_examples)
        split = split.subset(positions)
    start = 0
    for images, labels in split.batches(256):
        yield images, labels, positions[start : start + len(labels)]
        start += len(labels)


def _of_tf_data(dataset):
    import tensorflow as tf

    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UsageError(
            "The tf.data.Dataset of images to measure on is endless: leave "
            "out .repeat(), or add .take(...)."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise UsageError(
            f"The tf.data.Dataset holds {spec}; expected batches of (images, "
            f"labels)."
        )
    start = 0
    for images, labels, *_ in dataset.as_numpy_iterator():
        yield images, labels, np.arange(start, start + len(images))
        start += len(images)


def _joined(kept, part):
    if kept is None:
        return part
    return Examples(*(np.concatenate(pair) for pair in zip(kept, part)))


def _balanced(examples, max_examples):
    if max_examples is None or len(examples.labels) <= max_examples:
        return examples
    chosen = balanced_indices(examples.labels, max_examples)
    return Examples(*(array[chosen] for array in examples))


def _checked_images(images):
    images = np.asarray(images)
    fits = images.ndim == 4 and images.shape[-1] in (1, 3)
    if images.dtype != np.uint8 or not fits:
        raise UsageError(
            f"Corruptions are made of uint8 images [N, H, W, C] of pixels "
            f"0..255, C = 1 or 3; got {images.dtype} {list(images.shape)}: "
            f"give the images as they are before any scaling or batching of "
            f"views."
        )
    return images


def _class_numbers(labels):
    """Labels as ints `[N]`; of one-hot rows, the places of the ones."""
    labels = np.asarray(labels)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(-1)
    numeric = np.issubdtype(labels.dtype, np.number) and labels.ndim == 1
    if not numeric or np.any(labels != np.floor(labels)) or np.any(labels < 0):
        raise UsageError(
            f"labels must be class numbers [N] from 0, or one-hot [N, K]; got "
            f"{labels.dtype} of shape {list(labels.shape)}."
        )
    return labels.astype(np.int64)


def is_count(value):
    """Whether a value is an int of at least 1."""
    return is_whole(value) and value >= 1
