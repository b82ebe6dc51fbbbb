"""The divergence of predictions for examples that have moved a little.

    JSD = 1/2 [sum_v w_v d_v' F d_v - d' F d] + O(|d|^3),   d = sum_v w_v d_v

with the Fisher information `F = J' (diag p - p p') J` of the predictions: half
the variance of the displacements in its metric. The stability term of NoisyMix
(arXiv:2202.01263) is of this kind; the formula was derived for this package.
"""

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.theory.arguments import as_array
from noisymix_tf.theory.derivatives import jacobian
from noisymix_tf.theory.tail import Tail

_SUM_TOLERANCE = 1e-6


def stability(
    model, x, displacements, *, weights=None, tap="input", from_logits=None
):
    """The divergence of displaced views, and its second-order form.

    Args:
        model: Keras classifier.
        x: Examples `[N, ...]`.
        displacements: `[V, N, D]`, how far each view is from the example, in
            numbers at the tap.
        weights: `[V]`, positive and of sum one; by default equal.
        tap: Where the displacement happens, one name.
        from_logits: Whether the model gives logits.

    Returns:
        `(exact, second_order)`, floats, means over examples.

    Raises:
        UsageError: Displacements or weights of another shape, weights that are
            not positive with sum one.

    Example:

    >>> step = 0.01 * np.ones([3, *x.shape])
    >>> exact, near = stability(model, x, step * [[[1]], [[2]], [[3]]])
    """
    tail = Tail(model, x, tap, from_logits)
    h = tail.features
    moves = as_array("displacements", displacements)
    if moves.ndim != 3 or moves.shape[1:] != h.shape or not len(moves):
        raise UsageError(
            f"displacements have the shape {list(moves.shape)}; give "
            f"[V, {h.shape[0]}, {h.shape[1]}]."
        )
    w = tf.constant(_weights(weights, len(moves)), h.dtype)[:, None]
    moves = tf.constant(moves, h.dtype)
    logits, slope = jacobian(tail, h)
    p = tf.nn.softmax(logits)
    moved = tf.einsum("ncd,vnd->vnc", slope, moves)

    def fisher(change):
        """`d' F d` of changes of logits `[..., N, K]`."""
        mean = tf.reduce_sum(p * change, axis=-1)
        return tf.reduce_sum(p * change**2, axis=-1) - mean**2

    common = tf.reduce_sum(w[:, :, None] * moved, axis=0)
    near = tf.reduce_sum(w * fisher(moved), axis=0) - fisher(common)
    log_p = tf.nn.log_softmax(
        tf.reshape(
            tail(tf.reshape(h + moves, [-1, h.shape[1]])), [len(w), len(h), -1]
        )
    )
    mixture = tf.reduce_sum(w[:, :, None] * tf.exp(log_p), axis=0)
    terms = tf.exp(log_p) * (log_p - tf.math.log(mixture))
    exact = tf.reduce_sum(w * tf.reduce_sum(terms, axis=-1), axis=0)
    return float(tf.reduce_mean(exact)), float(tf.reduce_mean(near)) / 2.0


def _weights(weights, num):
    if weights is None:
        return np.full([num], 1.0 / num)
    w = as_array("weights", weights)
    if w.shape != (num,) or (w <= 0).any() or abs(w.sum() - 1) > _SUM_TOLERANCE:
        raise UsageError(
            f"weights={weights!r} must be {num} positive numbers of sum 1."
        )
    return w
