"""Class-balanced subsets."""

import numpy as np
import pytest

from noisymix_tf.data.dataset import ArraySplit
from noisymix_tf.data.subset import balanced_indices, balanced_subset
from support.usage import assert_usage_error


@pytest.mark.parametrize(
    "sizes, num_examples, expected",
    [
        ((50, 50, 50), 30, (10, 10, 10)),
        ((50, 50, 50), 32, (11, 11, 10)),  # the remainder: lowest ids
        ((50, 50, 50), 2, (1, 1, 0)),
        ((50, 4, 50), 31, (14, 4, 13)),  # a small class: the others fill up
        ((10, 50, 50), 31, (10, 11, 10)),  # remainder passes over a full class
        ((1, 2, 50, 0), 40, (1, 2, 37, 0)),  # filled up twice
        ((5, 6, 7), 18, (5, 6, 7)),
    ],
)
def test_takes_the_first_of_each_class(sizes, num_examples, expected):
    """As many as the classes allow, in the order of the split."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(0).permutation(labels)
    indices = balanced_indices(labels, num_examples, len(sizes))
    assert (np.diff(indices) > 0).all()
    for label, number in enumerate(expected):
        mine = indices[labels[indices] == label]
        all_of_it = np.flatnonzero(labels == label)
        np.testing.assert_array_equal(mine, all_of_it[:number])


def test_subset_of_a_split():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    split = ArraySplit(np.tile(images, [1, 2, 2, 3]), np.arange(10) % 2)
    part = balanced_subset(split, 4, 2)
    np.testing.assert_array_equal(part.labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(part.images[:, 0, 0, 0], [0, 1, 2, 3])
    assert balanced_subset(split, None, 2) is split
    assert balanced_subset(split, 10, 2) is split
    words = "11 examples of toy were asked for, but it has only 10"
    assert_usage_error(lambda: balanced_subset(split, 11, 2, "toy"), words)
