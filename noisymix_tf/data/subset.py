"""A smaller split with the same share of every class."""

import bisect

import numpy as np

from noisymix_tf.errors import UsageError


def balanced_indices(labels, num_examples, num_classes):
    """Positions of a class-balanced part of a split.

    Of every class the first `num_examples // num_classes` examples are taken,
    and one more of the lowest class ids where the division leaves a
    remainder. A class that has fewer gives all it has, and the others make
    up for it evenly: every class gives `min(its size, level)` for the highest
    level that does not exceed `num_examples`, and what is then missing comes
    one by one from the lowest class ids that have more.

    Args:
        labels: ints `[N]`, values in `[0, num_classes)`.
        num_examples: How many to take, in `[1, N]`.
        num_classes: Number of classes.

    Returns:
        NumPy int64 `[num_examples]`, ascending: the order of the split.

    Example:

    >>> balanced_indices(np.array([1, 1, 1, 0, 0, 1]), 3, num_classes=2)
    array([0, 3, 4])
    """
    labels = np.asarray(labels)
    sizes = np.bincount(labels, minlength=num_classes)

    def taken(level):
        return np.minimum(sizes, level).sum()

    levels = range(sizes.max() + 1)
    level = bisect.bisect_right(levels, num_examples, key=taken) - 1
    share = np.minimum(sizes, level)
    larger = np.flatnonzero(sizes > level)
    share[larger[: num_examples - share.sum()]] += 1
    chosen = [
        np.flatnonzero(labels == label)[:number]
        for label, number in enumerate(share)
    ]
    return np.sort(np.concatenate(chosen))


def balanced_subset(split, num_examples, num_classes, what="the split"):
    """The class-balanced part of a split, see `balanced_indices`.

    Args:
        split: `noisymix_tf.data.Split`.
        num_examples: How many to take; None for the whole split.
        num_classes: Number of classes.
        what: What to call the split in a message, such as `"cifar10 train"`.

    Returns:
        A `Split`; `split` itself where nothing is left out.

    Raises:
        UsageError: If `num_examples` is below one or above `len(split)`.
    """
    if num_examples is None:
        return split
    if num_examples < 1:
        raise UsageError(
            f"{num_examples} examples of {what}: give a number from 1 to "
            f"{len(split)}."
        )
    if num_examples > len(split):
        raise UsageError(
            f"{num_examples} examples of {what} were asked for, but it has "
            f"only {len(split)}."
        )
    if num_examples == len(split):
        return split
    return split.subset(
        balanced_indices(split.labels, num_examples, num_classes)
    )
