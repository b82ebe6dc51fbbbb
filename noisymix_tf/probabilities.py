"""Tells probabilities from logits by their values."""

import numpy as np

# How far from one a row of probabilities may sum: bfloat16 rounds each of them
# by up to one part in 256.
_ROW_SUM_TOLERANCE = 1 / 256


def are_probabilities(outputs):
    """Whether all rows of `[B, K]` are non-negative and sum to one."""
    sums = outputs.sum(axis=-1, dtype=np.float64)
    near_one = np.abs(sums - 1.0) <= _ROW_SUM_TOLERANCE
    return bool((outputs >= 0.0).all() and near_one.all())
