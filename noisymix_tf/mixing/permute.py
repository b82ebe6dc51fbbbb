"""Reordering of examples with a gradient that is a reordering too."""

import tensorflow as tf


@tf.custom_gradient
def permute(x, permutation):
    """Returns `x` with the examples of its axis 1 in another order.

    The gradient of `tf.gather` is a scatter-add, which is slow because indices
    might repeat. A permutation's do not, so that its gradient is the gather by
    the inverse permutation.

    Args:
        x: Tensor `[V, B, ...]`.
        permutation: int32 `[B]`, a permutation of `range(B)`.

    Returns:
        Tensor of the shape and dtype of `x`; entry `[v, i]` is
        `x[v, permutation[i]]`.
    """

    def gradient(upstream):
        return tf.gather(upstream, tf.argsort(permutation), axis=1), None

    return tf.gather(x, permutation, axis=1), gradient
