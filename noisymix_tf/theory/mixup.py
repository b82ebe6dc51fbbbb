"""Mixed labels, and the law of the coefficient that makes do without them.

Cross-entropy is linear in the label, and every pair of examples occurs in both
orders. Hence, over all pairs, the loss with mixed labels and `lam ~ Beta(a, b)`
is that with the labels of the first examples and `lam ~ D`,

    D = a / (a + b) Beta(a + 1, b) + b / (a + b) Beta(b + 1, a).

Reference: Carratino et al., On Mixup Regularization, arXiv:2006.06049.
"""

import numpy as np
import tensorflow as tf

from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.theory.tail import Tail


def mixup_losses(
    model,
    x,
    y,
    *,
    alpha=1.0,
    beta=None,
    tap="input",
    from_logits=None,
    nodes=64,
):
    """The loss of mixup, with mixed labels and with labels left alone.

    Both are means over all pairs of examples, and over the coefficient by
    Gauss-Jacobi quadrature: nothing is sampled.

    Args:
        model: Keras classifier.
        x: Examples `[N, ...]`.
        y: Class numbers `[N]`, or rows `[N, K]`.
        alpha: First parameter of the coefficient's Beta law, above 0.
        beta: Second parameter; by default as the first.
        tap: Where examples are mixed, one name.
        from_logits: Whether the model gives logits.
        nodes: Points of the quadrature. The more curved the network along the
            lines between examples, the more it takes.

    Returns:
        `(mixed, own)`, two equal floats.

    Raises:
        UsageError: A parameter out of its range; a model, tap, examples or
            labels that cannot be used.
    """
    beta = alpha if beta is None else beta
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not is_real(value) or not value > 0:
            raise UsageError(f"{name}={value!r} must be a number above 0.")
    if not is_whole(nodes) or nodes < 1:
        raise UsageError(f"nodes={nodes!r} must be a whole number, at least 1.")
    tail = Tail(model, x, tap, from_logits)
    h = tail.features
    labels = tail.labels(y)

    def loss(lam, targets):
        """Mean over all pairs for one coefficient."""
        mixed = lam * h[:, None] + (1.0 - lam) * h
        logits = tail(tf.reshape(mixed, [-1, h.shape[1]]))
        targets = tf.reshape(targets, [-1, labels.shape[1]])
        return float(
            tf.reduce_mean(
                tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            )
        )

    def both(lam):
        return lam * labels[:, None] + (1.0 - lam) * labels

    own = tf.repeat(labels, len(h), axis=0)
    share = alpha / (alpha + beta)
    return (
        _expectation(lambda lam: loss(lam, both(lam)), alpha, beta, nodes),
        share * _expectation(lambda lam: loss(lam, own), alpha + 1, beta, nodes)
        + (1.0 - share)
        * _expectation(lambda lam: loss(lam, own), beta + 1, alpha, nodes),
    )


def mixing_moments(alpha, beta):
    """Mean and mean square of `1 - lam` for `lam ~ D`."""
    share = alpha / (alpha + beta)
    first = second = 0.0
    for weight, a, b in (
        (share, alpha + 1, beta),
        (1.0 - share, beta + 1, alpha),
    ):
        first += weight * b / (a + b)
        second += weight * b * (b + 1) / ((a + b) * (a + b + 1))
    return first, second


def _expectation(function, a, b, nodes):
    """Expectation of a function of `lam ~ Beta(a, b)`."""
    from scipy.special import roots_jacobi

    points, weights = roots_jacobi(nodes, b - 1.0, a - 1.0)
    values = [function(lam) for lam in (1.0 + points) / 2.0]
    return float(np.dot(weights, values) / weights.sum())
