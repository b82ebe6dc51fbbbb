"""The NoisyMix loss for a fixed coefficient, without any sampling.

The mean over all pairs of examples is taken as it is. That over noise is taken
by a design: of `m` independent numbers of unit variance, the `2m` points
`±sqrt(m) e_j` have the means, variances and covariances, and as all of them are
symmetric, the third moments. The loss that they give therefore is that of any
such noise up to the fourth order in `eps`.
"""

import numpy as np
import tensorflow as tf

from noisymix_tf.theory.arguments import check, check_views
from noisymix_tf.theory.tail import Tail
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
    first example of a pair; see `mixup_losses` for why.

    Args:
        model: Keras classifier.
        x: Examples `[N, ...]`; the cost grows with N squared and with the
            numbers at the tap.
        y: Class numbers `[N]`, or rows `[N, K]`.
        eps: `1 - lam`, or a list of such.
        additive: Standard deviation of additive noise over `eps`.
        multiplicative: That of multiplicative noise.
        jsd_weight: Weight of the divergence of the views; without it only
            the first view is there.
        noise_per_view: Factors of `additive`, one for each view.
        tap: Where mixing and noise happen, one name.
        from_logits: Whether the model gives logits.

    Returns:
        float, or a list for a list.

    Raises:
        UsageError: A number outside its range; a model, tap, examples or labels
            that cannot be used.

    Example:

    >>> exact = noisymix_loss(model, x, y, 0.01, jsd_weight=12.0)
    >>> near = regularizers(model, x, y).expansion(0.01, jsd_weight=12.0)
    """
    for each in eps if np.ndim(eps) else [eps]:
        check(high=1.0, eps=each)
    check(
        additive=additive, multiplicative=multiplicative, jsd_weight=jsd_weight
    )
    check_views(noise_per_view)
    tail = Tail(model, x, tap, from_logits)
    labels = tail.labels(y)
    factors = noise_per_view if jsd_weight else noise_per_view[:1]
    additions, multipliers = _design(
        additive * np.array(factors),
        multiplicative * np.ones(len(factors)),
        int(tail.features.shape[1]),
    )
    loss = _mean_loss(tail, labels, jsd_weight)

    def expected(eps):
        dtype = tail.features.dtype
        values = [
            loss(
                tf.constant(eps, dtype),
                tf.constant(eps * add, dtype),
                tf.constant(1.0 + eps * mult, dtype),
            )
            for add, mult in zip(additions, multipliers)
        ]
        return float(np.mean(values))

    if np.ndim(eps):
        return [expected(each) for each in eps]
    return expected(eps)


def _design(additive, multiplicative, dimension):
    """Noise of all views, point by point of the design.

    Args:
        additive, multiplicative: Standard deviations, `[V]`.
        dimension: Numbers at the tap, D.

    Returns:
        Two arrays `[2m, V, D]`, additive and multiplicative noise.
    """
    scales = np.stack([additive, multiplicative])
    shape = [*scales.shape, dimension]
    scales = np.broadcast_to(scales[:, :, None], shape).ravel()
    scales = scales[:, None] * np.eye(scales.size)
    # A number that is zero needs no points.
    points = scales[scales.any(axis=1)]
    if not len(points):
        return np.zeros([2, 1, *shape[1:]])
    points = np.sqrt(len(points)) * np.concatenate([points, -points])
    return points.reshape(-1, *shape).swapaxes(0, 1)


def _mean_loss(tail, labels, jsd_weight):
    """Compiled loss, mean over pairs, given the noise of the views."""
    h = tail.features
    num, dimension = h.shape
    own = tf.repeat(labels, num, axis=0)

    @tf.function
    def loss(eps, additions, multipliers):
        mixed = (1.0 - eps) * h[:, None] + eps * h
        mixed = tf.reshape(mixed, [1, -1, dimension])
        noisy = multipliers[:, None] * mixed + additions[:, None]
        views = len(additions)
        logits = tail(tf.reshape(noisy, [-1, dimension]))
        log_p = tf.nn.log_softmax(tf.reshape(logits, [views, num * num, -1]))
        total = -tf.reduce_mean(tf.reduce_sum(own * log_p[0], axis=-1))
        if jsd_weight:
            total += jsd_weight * tf.reduce_mean(jensen_shannon(log_p))
        return total

    return loss
