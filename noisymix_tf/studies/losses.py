"""The losses of mixing and noise, means over all pairs of examples.

Nothing is sampled. The mean over noise is taken by a design: of `m` independent
numbers of unit variance, the `2m` points `±sqrt(m) e_j` have the means,
variances and covariances, and as all of them are symmetric, the third moments.
The loss that they give therefore is that of any such noise up to the fourth
order in `eps`.
"""

import numpy as np
import tensorflow as tf
from scipy.special import roots_jacobi

from noisymix_tf.checks import whole_number
from noisymix_tf.studies.tail import Tail, check, check_views
from noisymix_tf.training.losses import jensen_shannon


def noisymix_loss(
    model,
    x,
    y,
    eps,
    *,
    additive=1.0,
    multiplicative=1.0,
    jsd_weight=0.0,
    noise_per_view=(1.0, 2.0, 3.0),
    tap="input",
    from_logits=None,
):
    """Expected loss of a step that mixes in a share `eps` of a partner.

    All views of an example are equal but for noise. Labels are those of the
    first example of a pair; see `mixup_losses` for why. The cost grows with N
    squared and with the numbers at the tap.

    Args:
        model, x, y, tap, from_logits: See `noisymix_tf.theory`.
        eps: `1 - lam`, or a list of such.
        additive, multiplicative: Standard deviations of noise over `eps`.
        jsd_weight: Weight of the divergence of the views; without it only the
            first view is there.
        noise_per_view: Factors of `additive`, one for each view.

    Returns a float, or a list for a list.

    >>> exact = noisymix_loss(model, x, y, 0.01, jsd_weight=12.0)
    >>> near = regularizers(model, x, y).expansion(0.01, jsd_weight=12.0)
    """
    check(high=1.0, eps=eps)
    check(
        additive=additive, multiplicative=multiplicative, jsd_weight=jsd_weight
    )
    check_views(noise_per_view)
    tail = Tail(model, x, tap, from_logits)
    loss = _over_pairs(tail, tail.labels(y), jsd_weight)
    factors = np.array(noise_per_view if jsd_weight else noise_per_view[:1])
    scales = additive * factors, multiplicative * np.ones(len(factors))
    points = _design(np.stack(scales), tail.features.shape[1])

    def mean(eps):
        return np.mean([loss(eps, 0, eps * a, 1 + eps * m) for a, m in points])

    found = [float(mean(each)) for each in np.ravel(eps)]
    return found if np.ndim(eps) else found[0]


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

    Cross-entropy is linear in the label, and every pair of examples occurs in
    both orders. Hence, over all pairs, the loss with mixed labels and
    `lam ~ Beta(a, b)` is that with the labels of the first examples and

        lam ~ a / (a + b) Beta(a + 1, b) + b / (a + b) Beta(b + 1, a)

    (Carratino et al., On Mixup Regularization, arXiv:2006.06049). Means over
    the coefficient are by Gauss-Jacobi quadrature.

    Args:
        model, x, y, tap, from_logits: See `noisymix_tf.theory`.
        alpha: First parameter of the coefficient's Beta law, above 0.
        beta: Second parameter; by default as the first.
        nodes: Points of the quadrature. The more curved the network along the
            lines between examples, the more it takes.

    Returns `(mixed, own)`, two equal floats.
    """
    beta = alpha if beta is None else beta
    check(above_0=True, alpha=alpha, beta=beta)
    whole_number("nodes", nodes, 1)
    tail = Tail(model, x, tap, from_logits)
    loss = _over_pairs(tail, tail.labels(y))
    zero = np.zeros([1, tail.features.shape[1]])

    def mean(a, b, mixed=0.0):
        """Over `lam ~ Beta(a, b)`."""
        points, weights = roots_jacobi(nodes, b - 1.0, a - 1.0)
        shares = (1.0 - points) / 2.0
        values = [loss(s, mixed * s, zero, zero + 1.0) for s in shares]
        return float(np.average(values, weights=weights))

    share = alpha / (alpha + beta)
    own = share * mean(alpha + 1, beta) + (1 - share) * mean(beta + 1, alpha)
    return mean(alpha, beta, mixed=1.0), own


def _design(scales, size):
    """Points of noise `[2m, 2, V, D]`, additive and multiplicative.

    Standard deviations `[2, V]` hold for `size` numbers each, D.
    """
    all_scales = np.repeat(scales.ravel(), size)
    # A number that is zero needs no points.
    points = np.diag(all_scales)[all_scales > 0]
    points = np.sqrt(len(points)) * np.concatenate([points, -points])
    points = points if len(points) else np.zeros([1, all_scales.size])
    return points.reshape(-1, *scales.shape, size)


def _over_pairs(tail, labels, jsd_weight=0.0):
    """The loss as a compiled function.

    It takes the partner's share in the features, that in the labels, and what
    is added to and multiplied with the mixed features of the views, `[V, D]`.
    """
    h = tail.features
    pairs, size = len(h) ** 2, h.shape[1]

    def mixed(values, share):
        both = (1.0 - share) * values[:, None] + share * values
        return tf.reshape(both, [pairs, -1])

    @tf.function
    def loss(eps, label_eps, additions, multipliers):
        noisy = multipliers[:, None] * mixed(h, eps) + additions[:, None]
        logits = tail(tf.reshape(noisy, [-1, size]))
        views = tf.reshape(logits, [len(additions), pairs, -1])
        log_p = tf.nn.log_softmax(views)
        own = tf.reduce_sum(mixed(labels, label_eps) * log_p[0], axis=-1)
        total = -tf.reduce_mean(own)
        if jsd_weight:
            total += jsd_weight * tf.reduce_mean(jensen_shannon(log_p))
        return total

    def of_arrays(*arrays):
        return float(loss(*(tf.constant(each, h.dtype) for each in arrays)))

    return of_arrays
