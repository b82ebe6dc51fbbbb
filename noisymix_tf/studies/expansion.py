"""The second-order regularisers of the NoisyMix loss.

With `1 - lam = eps`, noise of standard deviation `eps * sigma`, `p` the
predicted probabilities and `J` the Jacobian of the logits, everything at the
tap, and partners `r` drawn from all examples:

    L(eps) = L + eps R1 + eps^2 [R2 + R3 + sa^2 (A2 + A3) + sm^2 (M2 + M3)]
             + O(eps^3)

The terms with a 2 penalise squared gradients of the probabilities (in the
metric of the Fisher information), those with a 3 the curvature of the logits.
Of equal views with noise of their own the divergence is a multiple of `A2` and
`M2`: it asks for the small gradients that noise in the cross-entropy asks for,
without regard to labels.

Following Lim et al., Noisy Feature Mixup, arXiv:2110.02180, whose loss is the
cross-entropy part, and Erichson et al., NoisyMix, arXiv:2202.01263.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.mixing.noise import second_moments
from noisymix_tf.studies.tail import (
    ZERO,
    Tail,
    as_array,
    check,
    check_views,
    jacobian,
)

# Numbers of second derivatives that are held at once.
_MAX_HELD = 2**24
_LARGEST = 2048

MEANINGS = {
    "r1": "mixing: towards the mean of the examples",
    "r2": "mixing: squared gradients along differences of examples",
    "r3": "mixing: curvature along differences of examples",
    "a2": "additive noise: squared gradients",
    "a3": "additive noise: curvature",
    "m2": "multiplicative noise: squared gradients",
    "m3": "multiplicative noise: curvature",
}


@dataclasses.dataclass(frozen=True)
class Regularizers:
    """The standard loss, and the terms that mixing and noise add to it.

    `loss` is the mean cross-entropy without mixing or noise; what the others
    penalise is in `MEANINGS`. They are for noise of unit variance, which is in
    units of the features where it is multiplicative.
    """

    loss: float
    r1: float
    r2: float
    r3: float
    a2: float
    a3: float
    m2: float
    m3: float

    def expansion(
        self,
        eps,
        additive=1.0,
        multiplicative=1.0,
        jsd_weight=0.0,
        noise_per_view=(1.0, 2.0, 3.0),
    ) -> float:
        """The loss to second order, what `noisymix_loss` computes exactly."""
        check(high=1.0, eps=eps)
        check(additive=additive, multiplicative=multiplicative)
        noise = (eps * additive) ** 2, (eps * multiplicative) ** 2
        weights = _weights(eps, eps**2, noise, jsd_weight, noise_per_view)
        terms = [each * getattr(self, name) for name, each in weights.items()]
        return self.loss + sum(terms)


def regularizers(model, x, y, *, tap="input", from_logits=None) -> Regularizers:
    """Computes the terms of a small model, means over the examples.

    Second derivatives cost as many passes as the tap has numbers, at most 2048.
    Use a smooth activation (tanh, softplus) where the expansion is to be
    compared with the loss. Arguments: see `noisymix_tf.theory`.
    """
    tail = Tail(model, x, tap, from_logits)
    h = tail.features
    dimension = int(h.shape[1])
    if dimension > _LARGEST:
        raise UsageError(
            f"tap={tap!r} has {dimension} numbers, and second derivatives need "
            f"the square of that: choose a tap of at most {_LARGEST}."
        )
    labels = tail.labels(y)
    mean = tf.reduce_mean(h, axis=0)
    covariance = tf.matmul(h - mean, h - mean, transpose_a=True) / len(h)
    step = max(1, _MAX_HELD // dimension**2)
    sums = [
        _sums(tail, h[i : i + step], labels[i : i + step], mean, covariance)
        for i in range(0, len(h), step)
    ]
    totals = map(tf.add_n, zip(*sums))
    return Regularizers(*(float(total) / len(h) for total in totals))


def coefficients(
    alpha=1.0,
    additive_noise=0.5,
    multiplicative_noise=0.5,
    noise_sparsity=0.65,
    jsd_weight=12.0,
    noise_per_view=(1.0, 2.0, 3.0),
) -> dict[str, float]:
    """What each regulariser is multiplied by for settings of `nm.NoisyMix`.

    Noise is normal or uniform, times a Beta(2, 5) amplitude, in a share of the
    entries. Mixing coefficients are not small in training; these are the
    moments that stand where the expansion has powers of `eps`.

    >>> round(coefficients(alpha=1.0)["r1"], 4)
    0.3333
    """
    levels = {"additive_noise": additive_noise}
    levels["multiplicative_noise"] = multiplicative_noise
    check(alpha=alpha, **levels)
    check(high=1.0, noise_sparsity=noise_sparsity)
    noise = second_moments(*levels.values(), noise_sparsity)
    # With labels left alone (see `mixup_losses`) 1 - lam ~ Beta(alpha, alpha +
    # 1): this is its mean, and twice the mean of its square.
    mixing = alpha / (2.0 * alpha + 1.0)
    return _weights(mixing, mixing / 2.0, noise, jsd_weight, noise_per_view)


def stability(
    model, x, displacements, *, weights=None, tap="input", from_logits=None
) -> tuple[float, float]:
    """The divergence of displaced views, and what it is to second order.

    Half the variance of the displacements, in the metric of the Fisher
    information `F = J' (diag p - p p') J` of the predictions:

        JSD = 1/2 [sum_v w_v d_v' F d_v - d' F d] + O(|d|^3), d = sum_v w_v d_v

    The stability term of NoisyMix is of this kind; the formula was derived for
    this package.

    Args:
        displacements: `[V, N, D]`, how far each view is from the example, in
            numbers at the tap.
        weights: `[V]`, positive and of sum one; by default equal.

    Returns `(exact, second_order)`, means over examples.
    """
    tail = Tail(model, x, tap, from_logits)
    h = tail.features
    moves = as_array("displacements", displacements)
    if moves.ndim != 3 or moves.shape[1:] != h.shape or not len(moves):
        raise UsageError(
            f"displacements have the shape {list(moves.shape)}; give "
            f"[V, {h.shape[0]}, {h.shape[1]}]."
        )
    num = len(moves)
    w = as_array("weights", [1 / num] * num if weights is None else weights)
    if w.shape != (num,) or (w <= 0).any() or not np.isclose(w.sum(), 1):
        raise UsageError(
            f"weights={weights!r} must be {num} positive numbers of sum 1."
        )
    w, moves = tf.constant(w, h.dtype), tf.constant(moves, h.dtype)

    def mean(values):
        """Over the views, by their weights."""
        return tf.tensordot(w, values, 1)

    def fisher(change):
        """`d' F d` of changes of logits `[..., N, K]`."""
        first = tf.reduce_sum(p * change, axis=-1)
        return tf.reduce_sum(p * change**2, axis=-1) - first**2

    logits, slope = jacobian(tail, h)
    p = tf.nn.softmax(logits)
    moved = tf.einsum("ncd,vnd->vnc", slope, moves)
    near = (mean(fisher(moved)) - fisher(mean(moved))) / 2.0
    views = tail(tf.reshape(h + moves, [-1, h.shape[1]]))
    log_p = tf.nn.log_softmax(tf.reshape(views, [num, len(h), -1]))
    ratios = log_p - tf.math.log(mean(tf.exp(log_p)))
    exact = mean(tf.reduce_sum(tf.exp(log_p) * ratios, axis=-1))
    return float(tf.reduce_mean(exact)), float(tf.reduce_mean(near))


def _weights(first, second, noise, jsd_weight, noise_per_view):
    """What each regulariser is multiplied by.

    It takes the means of `1 - lam` and of its square, and two variances of
    noise. The divergence of noisy views is half their variance in the metric of
    the Fisher information (see `stability`), whose mean trace is twice `a2`.
    """
    check(jsd_weight=jsd_weight)
    check_views(noise_per_view)
    num = len(noise_per_view)
    share = jsd_weight * (num - 1) / num**2
    additive, multiplicative = noise
    squares = [factor**2 for factor in noise_per_view]
    return {
        "r1": first,
        "r2": second,
        "r3": second,
        "a2": additive * (squares[0] + share * sum(squares)),
        "a3": additive * squares[0],
        "m2": multiplicative * (1.0 + share * num),
        "m3": multiplicative,
    }


def _sums(tail, h, labels, mean, covariance):
    """Loss and regularisers, summed over examples."""
    logits, slope = jacobian(tail, h)
    p = tf.nn.softmax(logits)
    error = p - labels

    def gradient(h):
        with tf.GradientTape() as tape:
            tape.watch(h)
            wrong = tf.reduce_sum(error * tail(h))
        return tape.gradient(wrong, h, None, ZERO)

    _, curvature = jacobian(gradient, h)
    common = tf.einsum("nc,ncd->nd", p, slope)
    fisher = tf.einsum("nc,ncd,nce->nde", p, slope, slope)
    fisher -= common[:, :, None] * common[:, None]
    loss = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    away = mean - h
    terms = [tf.reduce_sum(loss), tf.einsum("nc,ncd,nd->", error, slope, away)]
    # Second moments of the ways to partners, and of noise.
    ways = covariance + away[:, :, None] * away[:, None]
    unit = tf.eye(h.shape[1], dtype=h.dtype)
    for moments in (ways, unit, unit * h[:, None] ** 2):
        terms.append(0.5 * tf.reduce_sum(fisher * moments))
        terms.append(0.5 * tf.reduce_sum(curvature * moments))
    return terms
