"""Class-balanced subsets."""

import numpy as np
import pytest

from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.data.subset import balanced_indices, balanced_subset
from noisymix_tf.errors import UsageError


def labels_of(*sizes, seed=0):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


@pytest.mark.parametrize(
    ("sizes", "num_examples", "expected"),
    [
        ((50, 50, 50), 30, (10, 10, 10)),
        ((50, 50, 50), 32, (11, 11, 10)),  # the remainder: lowest ids
        ((50, 50, 50), 2, (1, 1, 0)),
        ((50, 4, 50), 30, (13, 4, 13)),  # a small class: the others fill up
        ((50, 4, 50), 31, (14, 4, 13)),
        ((10, 50, 50), 31, (10, 11, 10)),  # remainder passes over a full class
        ((1, 2, 50, 0), 40, (1, 2, 37, 0)),  # filled up twice
        ((5, 6, 7), 18, (5, 6, 7)),
    ],
)
def test_number_of_each_class(sizes, num_examples, expected):
    labels = labels_of(*sizes)
    indices = balanced_indices(labels, num_examples, len(sizes))
    counts = np.bincount(labels[indices], minlength=len(sizes))
    assert tuple(counts) == expected


def test_takes_the_first_of_each_class_in_the_order_of_the_split():
    labels = labels_of(20, 30, 25)
    indices = balanced_indices(labels, 24, 3)
    assert (np.diff(indices) > 0).all()
    for label in range(3):
        mine = indices[labels[indices] == label]
        np.testing.assert_array_equal(mine, np.flatnonzero(labels == label)[:8])


def test_every_count_is_as_even_as_the_classes_allow():
    rng = np.random.default_rng(1)
    for _ in range(50):
        sizes = rng.integers(0, 20, size=6)
        sizes[0] += 1
        labels = labels_of(*sizes)
        number = int(rng.integers(1, sizes.sum() + 1))
        indices = balanced_indices(labels, number, 6)
        counts = np.bincount(labels[indices], minlength=6)
        assert counts.sum() == number
        # Two classes differ by more than one only where one is exhausted.
        level = counts.max()
        assert all((counts >= level - 1) | (counts == sizes))


def test_subset_of_a_split():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    split = ArraySplit(np.tile(images, [1, 2, 2, 3]), np.arange(10) % 2)
    part = balanced_subset(split, 4, 2)
    np.testing.assert_array_equal(part.labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(part.images[:, 0, 0, 0], [0, 1, 2, 3])
    assert balanced_subset(split, None, 2) is split
    assert balanced_subset(split, 10, 2) is split


@pytest.mark.parametrize(
    ("number", "message"),
    [(11, "11 examples of toy .* has only 10"), (0, "number from 1 to 10")],
)
def test_refuses_impossible_sizes(number, message):
    split = ArraySplit(np.zeros([10, 2, 2, 3], np.uint8), np.arange(10) % 2)
    with pytest.raises(UsageError, match=message):
        balanced_subset(split, number, 2, "toy")
