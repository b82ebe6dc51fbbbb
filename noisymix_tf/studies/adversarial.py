"""NoisyMix's cross-entropy against the loss under attack.

For two classes and a network whose logit is linear around every example,
`f(x) = grad f . x`, with examples of mean zero that are all classified rightly,
let `eps_i = eps |cos(grad f_i, x_i)| |x_i|`. Then

    L(eps) - mean_i max_{|d| <= eps_i} loss(x_i + d)
        = eps^2 / 2 mean_i h''(f_i) [mean_r (grad f_i . x_r)^2
              + sa^2 |grad f_i|^2 + sm^2 |grad f_i * x_i|^2] + o(eps^2)

with `h'' = p (1 - p)`. It is not negative: to second order, a small loss with
mixing and noise is a small loss under attack and small gradients.

Following Lim et al., Noisy Feature Mixup, arXiv:2110.02180, and Zhang et al.,
How Does Mixup Help With Robustness and Generalization?, arXiv:2010.04819.
"""

import dataclasses

import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.studies.losses import noisymix_loss
from noisymix_tf.studies.tail import Tail, check, jacobian

_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class AdversarialGap:
    """The loss with noise, that at the worst points, and the predicted gap."""

    noisy: float
    adversarial: float
    predicted: float

    @property
    def gap(self):
        """The difference."""
        return self.noisy - self.adversarial


def adversarial_gap(model, x, y, eps, *, additive=1.0, multiplicative=1.0):
    """Compares the loss of mixing and noise with the loss under attack.

    The worst point of a ball is that against the gradient, which is exact as
    long as the network is linear in the ball, as it is for small `eps`.

    Args:
        model: Keras classifier of two classes (one logit or two) of dense
            layers without biases, with ReLU.
        x: Examples `[N, D]` of mean zero.
        y: Class numbers `[N]`, as the model predicts them.
        eps: `1 - lam`.
        additive, multiplicative: Standard deviations of noise over `eps`.

    >>> found = adversarial_gap(model, x - x.mean(axis=0), y, eps=1e-3)
    >>> found.gap / found.predicted
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
