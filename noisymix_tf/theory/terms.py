"""The second-order regularisers of the NoisyMix loss.

With `1 - lam = eps`, noise of standard deviation `eps * sigma`, `p` the
predicted probabilities and `J` the Jacobian of the logits, everything at the
tap, and partners `r` drawn from all examples:

    L(eps) = L + eps R1 + eps^2 [R2 + R3 + sa^2 (A2 + A3) + sm^2 (M2 + M3)]
             + O(eps^3)

The terms with a 2 penalise squared gradients of the probabilities (in the
metric of the Fisher information), those with a 3 the curvature of the logits.

Following Lim et al., Noisy Feature Mixup, arXiv:2110.02180, whose loss is the
cross-entropy part, and Erichson et al., NoisyMix, arXiv:2202.01263.
"""

import dataclasses

import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.theory.arguments import check, check_views
from noisymix_tf.theory.derivatives import hessian, jacobian
from noisymix_tf.theory.mixup import mixing_moments
from noisymix_tf.theory.tail import Tail

# Numbers of second derivatives that are held at once.
_MAX_HELD = 2**24
_LARGEST = 2048
# Second moments of a Beta(2, 5) amplitude, and with a uniform number.
_ADDITIVE_MOMENT = 3 / 28
_MULTIPLICATIVE_MOMENT = 1 / 28


@dataclasses.dataclass(frozen=True)
class Regularizers:
    """The standard loss and the terms that mixing and noise add.

    Attributes:
        loss: Mean cross-entropy without mixing or noise.
        r1: First-order term of mixing: the way to the mean of the examples.
        r2: Gradients along the differences between examples.
        r3: Curvature along them.
        a2: Gradients; by additive noise of unit variance.
        a3: Curvature, likewise.
        m2: Gradients, in units of the features; by multiplicative noise.
        m3: Curvature, likewise.
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
    ):
        """The loss to second order, what `noisymix_loss` computes exactly.

        Of equal views with noise of their own, the divergence is, to second
        order, a multiple of `a2` and `m2`: it asks for the small gradients that
        noise in the cross-entropy asks for, without regard to labels.

        Args:
            eps: `1 - lam`.
            additive, multiplicative: Standard deviations of noise over `eps`.
            jsd_weight: Weight of the divergence of the views.
            noise_per_view: Factors of `additive`, one for each view.

        Raises:
            UsageError: A number outside its range.
        """
        check(high=1.0, eps=eps)
        check(
            additive=additive,
            multiplicative=multiplicative,
            jsd_weight=jsd_weight,
        )
        check_views(noise_per_view)
        second = self.r2 + self.r3
        second += additive**2 * (self.a2 + self.a3)
        second += multiplicative**2 * (self.m2 + self.m3)
        shares = _stability_shares(noise_per_view)
        second += jsd_weight * shares[0] * additive**2 * self.a2
        second += jsd_weight * shares[1] * multiplicative**2 * self.m2
        return self.loss + eps * self.r1 + eps**2 * second


def regularizers(model, x, y, *, tap="input", from_logits=None):
    """Computes the regularisers of a model on data.

    Args:
        model: Keras classifier, small: second derivatives cost as many passes
            as the tap has numbers. Use float64 and a smooth activation (tanh,
            softplus) where the expansion is to be compared with the loss.
        x: Examples `[N, ...]`, as the model takes.
        y: Class numbers `[N]`, or rows `[N, K]`.
        tap: Where mixing and noise happen, as in `nm.NoisyMix`; one name.
        from_logits: Whether the model gives logits; by default its last layer
            tells.

    Returns:
        `Regularizers`, means over the examples.

    Raises:
        UsageError: A model that cannot be used; examples or labels that do not
            fit it; an unusable tap, or one with more than 2048 numbers.

    Example:

    >>> found = nm.theory.regularizers(model, x, y)
    >>> found.r2, found.expansion(eps=0.01, additive=0.5)
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
    return Regularizers(
        *(float(total) / len(h) for total in map(tf.add_n, zip(*sums)))
    )


def coefficients(
    alpha=1.0,
    additive_noise=0.5,
    multiplicative_noise=0.5,
    noise_sparsity=0.65,
    jsd_weight=12.0,
    noise_per_view=(1.0, 2.0, 3.0),
):
    """What each regulariser is multiplied by for settings of `nm.NoisyMix`.

    Noise is normal or uniform, times a Beta(2, 5) amplitude, in a share of the
    entries. Mixing coefficients are not small in training; these are the
    moments that stand where the expansion has powers of `eps`.

    Args:
        alpha, additive_noise, multiplicative_noise, noise_sparsity, jsd_weight,
            noise_per_view: As in `nm.NoisyMix`.

    Returns:
        Dict from name of a regulariser to number.

    Raises:
        UsageError: A number outside its range.

    Example:

    >>> round(coefficients(alpha=1.0)["r1"], 4)
    0.3333
    """
    check(
        alpha=alpha,
        additive_noise=additive_noise,
        multiplicative_noise=multiplicative_noise,
        jsd_weight=jsd_weight,
    )
    check(high=1.0, noise_sparsity=noise_sparsity)
    check_views(noise_per_view)
    first, second = mixing_moments(alpha, alpha) if alpha else (0.0, 0.0)
    kept = 1.0 - noise_sparsity
    additive = additive_noise**2 * _ADDITIVE_MOMENT * kept
    multiplicative = multiplicative_noise**2 * _MULTIPLICATIVE_MOMENT * kept
    shares = _stability_shares(noise_per_view)
    return {
        "r1": first,
        "r2": second,
        "r3": second,
        "a2": additive * (noise_per_view[0] ** 2 + jsd_weight * shares[0]),
        "a3": additive * noise_per_view[0] ** 2,
        "m2": multiplicative * (1.0 + jsd_weight * shares[1]),
        "m3": multiplicative,
    }


def _stability_shares(noise_per_view):
    """Divergence of V noisy views over `a2` and over `m2`.

    Half the variance over the views of what moves them, in the metric of the
    Fisher information, whose mean trace is twice `a2`.
    """
    num = len(noise_per_view)
    spread = (num - 1) / num**2
    return spread * sum(s**2 for s in noise_per_view), spread * num


def _sums(tail, h, labels, mean, covariance):
    """Loss and regularisers, summed over examples."""
    logits, slope = jacobian(tail, h)
    p = tf.nn.softmax(logits)
    error = p - labels
    curvature = hessian(
        lambda h: tf.reduce_sum(tf.stop_gradient(error) * tail(h), axis=1), h
    )
    away = mean - h
    spread = covariance + away[:, :, None] * away[:, None, :]
    unit = tf.eye(h.shape[1], batch_shape=[len(h)], dtype=h.dtype)
    loss = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    terms = [tf.reduce_sum(loss), tf.einsum("nc,ncd,nd->", error, slope, away)]
    for second in (spread, unit, tf.linalg.diag(h**2)):
        images = tf.einsum("ncd,nde,nke->nck", slope, second, slope)
        own = tf.einsum("nc,ncc->", p, images)
        terms.append(0.5 * (own - tf.einsum("nc,nck,nk->", p, images, p)))
        terms.append(0.5 * tf.reduce_sum(curvature * second))
    return terms
