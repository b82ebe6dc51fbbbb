"""The losses of mixing and noise, of mixup, and under attack.

Nothing is sampled: losses of mixing are means over all pairs of examples, and
the mean over noise is taken by a design. Of `m` independent numbers of unit
variance, the `2m` points `±sqrt(m) e_j` have the means, variances and
covariances, and as all of them are symmetric, the third moments. The loss that
they give is that of any such noise up to the fourth order in `eps`.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from scipy.special import roots_jacobi

from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.studies.tail import Tail, check, check_views, jacobian
from noisymix_tf.training.losses import jensen_shannon

# Of what must be zero, relative to the largest.
_TOLERANCE = 1e-4


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
) -> float | list[float]:
    """Expected loss of a step that mixes in a share `eps` of a partner.

    All views of an example are equal but for noise. Labels are those of the
    first example of a pair; see `mixup_losses` for why. The cost grows with N
    squared and with the numbers at the tap.

    Args:
        eps: `1 - lam`, or a list of such, which has a list of losses.
        additive, multiplicative: Standard deviations of noise over `eps`.
        jsd_weight: Weight of the divergence of the views; without it only the
            first view is there.
        noise_per_view: Factors of `additive`, one for each view.
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
) -> tuple[float, float]:
    """The loss of mixup, with mixed labels and with labels left alone.

    Cross-entropy is linear in the label, and every pair of examples occurs in
    both orders. Hence, over all pairs, the loss with mixed labels and
    `lam ~ Beta(a, b)` is that with the labels of the first examples and

        lam ~ a / (a + b) Beta(a + 1, b) + b / (a + b) Beta(b + 1, a)

    (Carratino et al., On Mixup Regularization, arXiv:2006.06049). Means over
    the coefficient are by Gauss-Jacobi quadrature.

    Args:
        alpha: First parameter of the coefficient's Beta law, above 0.
        beta: Second parameter; by default as the first.
        nodes: Points of the quadrature. The more curved the network along the
            lines between examples, the more it takes.

    Returns `(mixed, own)`, two equal losses.
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


@dataclasses.dataclass(frozen=True)
class AdversarialGap:
    """The loss with noise, that at the worst points, and the predicted gap."""

    noisy: float
    adversarial: float
    predicted: float

    @property
    def gap(self) -> float:
        """The loss with noise minus that at the worst points."""
        return self.noisy - self.adversarial


def adversarial_gap(
    model, x, y, eps, *, additive=1.0, multiplicative=1.0
) -> AdversarialGap:
    """Compares the loss of mixing and noise with the loss under attack.

    For two classes and a network whose logit is linear around every example,
    `f(x) = grad f . x`, with examples of mean zero that are all classified
    rightly, let `eps_i = eps |cos(grad f_i, x_i)| |x_i|`. Then

        L(eps) - mean_i max_{|d| <= eps_i} loss(x_i + d)
            = eps^2 / 2 mean_i h''(f_i) [mean_r (grad f_i . x_r)^2
                  + sa^2 |grad f_i|^2 + sm^2 |grad f_i * x_i|^2] + o(eps^2)

    with `h'' = p (1 - p)`. It is not negative: to second order, a small loss
    with mixing and noise is a small loss under attack and small gradients (Lim
    et al., Noisy Feature Mixup, arXiv:2110.02180, and Zhang et al., How Does
    Mixup Help With Robustness and Generalization?, arXiv:2010.04819). The worst
    point of a ball is that against the gradient, exactly so as long as the
    network is linear in the ball, as it is for small `eps`.

    Args:
        model: Keras classifier of two classes (one logit or two) of dense
            layers without biases, with ReLU.
        x: Examples `[N, D]` of mean zero.
        y: Class numbers `[N]`, as the model predicts them.
        eps: `1 - lam`.
        additive, multiplicative: Standard deviations of noise over `eps`.
    """
    noise = {"additive": additive, "multiplicative": multiplicative}
    check(high=1.0, eps=eps)
    check(**noise)
    tail = Tail(model, x)
    if tail.num_classes != 2:
        raise UsageError(
            f"The model has {tail.num_classes} classes: give one with two."
        )
    h, sign = tail.features, 2.0 * tail.labels(y)[:, 1] - 1.0

    def margin(h):
        return tf.matmul(tail(h), tf.constant([[-1.0], [1.0]], h.dtype))

    f, slope = (found[:, 0] for found in jacobian(margin, h))
    _check(h, f, slope, sign)
    squares = tf.reduce_sum(slope**2, axis=1)
    worst = h - (eps * sign * tf.abs(f) / squares)[:, None] * slope
    under_attack = tf.math.softplus(-sign * margin(worst)[:, 0])
    bends = tf.reduce_mean(tf.matmul(slope, h, transpose_b=True) ** 2, axis=1)
    bends += additive**2 * squares
    bends += multiplicative**2 * tf.reduce_sum((slope * h) ** 2, axis=1)
    bends *= tf.sigmoid(f) * tf.sigmoid(-f)
    return AdversarialGap(
        noisy=noisymix_loss(model, x, y, eps, **noise),
        adversarial=float(tf.reduce_mean(under_attack)),
        predicted=float(eps**2 / 2.0 * tf.reduce_mean(bends)),
    )


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


def _check(h, f, slope, sign):
    """Refuses examples for which the comparison is not made."""

    def largest(values):
        return float(tf.reduce_max(tf.abs(values)))

    mean = largest(tf.reduce_mean(h, axis=0))
    if mean > _TOLERANCE * largest(h):
        raise UsageError(f"The mean of x is {mean:.3g}: give x minus its mean.")
    linear = tf.reduce_sum(slope * h, axis=1)
    if largest(f - linear) > _TOLERANCE * largest(f):
        raise UsageError(
            "The model's logit is not its gradient times x: give a model of "
            "ReLU or linear layers without biases."
        )
    wrong = int(tf.math.count_nonzero(sign * f <= 0))
    if wrong:
        raise UsageError(
            f"{wrong} of {len(f)} examples are classified wrongly: give only "
            f"those that the model gets right, with mean zero."
        )
