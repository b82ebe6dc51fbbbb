"""Stability terms, smoothed cross-entropy, and labels mixed in pairs."""

import keras
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# The reference clamps the mixture before taking its logarithm.
_MIXTURE_MIN = 1e-7
_PROBABILITY_MIN = 1e-7
# Stability terms by the name that a flag or an argument gives.
STABILITIES = Registry("stability")


def jensen_shannon(log_probabilities) -> tf.Tensor:
    """Jensen-Shannon divergence `[B, ...]` of V distributions.

        JSD(p_1..p_V) = 1/V sum_v KL(p_v || m),    m = 1/V sum_v p_v

    with natural logarithms, so that it lies in [0, log V]; that of equal
    distributions can be about -1e-8 in float32. As in the reference, `m` is
    clamped to [1e-7, 1].

    Args:
        log_probabilities: Float `[V, B, ..., K]`, normalised over axis -1.
    """
    probabilities = tf.exp(log_probabilities)
    mixture = tf.clip_by_value(
        tf.reduce_mean(probabilities, axis=0), _MIXTURE_MIN, 1.0
    )
    terms = probabilities * (log_probabilities - tf.math.log(mixture))
    return tf.reduce_mean(tf.reduce_sum(terms, axis=-1), axis=0)


def kullback_leibler(log_probabilities) -> tf.Tensor:
    """The same of `1 / (V - 1) sum_{v > 0} KL(p_0 || p_v)`."""
    clean, others = log_probabilities[:1], log_probabilities[1:]
    terms = tf.exp(clean) * (clean - others)
    return tf.reduce_mean(tf.reduce_sum(terms, axis=-1), axis=0)


def log_probabilities(predictions, from_logits, multi_label=False) -> tf.Tensor:
    """Of logits or probabilities `[..., K]`, in at least float32.

    Where each of them is a yes or no of its own, those of both, `[..., K, 2]`.
    """
    if predictions.dtype != tf.float64:
        predictions = tf.cast(predictions, tf.float32)
    if from_logits and multi_label:
        pair = [-tf.nn.softplus(-predictions), -tf.nn.softplus(predictions)]
        return tf.stack(pair, axis=-1)
    if from_logits:
        return tf.nn.log_softmax(predictions)
    if multi_label:
        predictions = tf.stack([predictions, 1.0 - predictions], axis=-1)
    return tf.math.log(tf.clip_by_value(predictions, _PROBABILITY_MIN, 1.0))


class _Divergence(keras.losses.Loss):
    """A divergence of the predictions for several views of an image."""

    def __init__(
        self, from_logits=True, multi_label=False, name=None, **kwargs
    ):
        super().__init__(name=name or self._default_name, **kwargs)
        self.from_logits = from_logits
        self.multi_label = multi_label

    def call(self, y_true, y_pred):
        views = tf.concat([y_true[:, None], y_pred], axis=1)
        views = tf.transpose(views, [1, 0, 2])
        is_multi = self.multi_label or views.shape[-1] == 1
        found = self._of_views(
            log_probabilities(views, self.from_logits, is_multi)
        )
        return tf.reduce_mean(found, axis=-1) if is_multi else found

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "multi_label": self.multi_label,
        }


@STABILITIES.register("jsd")
@keras.saving.register_keras_serializable("noisymix_tf")
class JensenShannon(_Divergence):
    """Jensen-Shannon divergence of a clean and several augmented predictions.

    Args:
        from_logits: Whether predictions are logits or probabilities.
        multi_label: Whether each of the K outputs is a yes or no of its own
            (sigmoid), as a single one always is, instead of one of K classes
            (softmax). The divergence is then the mean over the outputs.

    Call arguments:
        y_true: Predictions for the clean view, `[B, K]`.
        y_pred: Predictions for the other views, `[B, V - 1, K]`.
        sample_weight: `[B]`, or None.

    >>> clean, augmented = tf.zeros([8, 10]), tf.zeros([8, 2, 10])
    >>> float(JensenShannon()(clean, augmented))
    0.0

    Reference: Hendrycks et al., AugMix, arXiv:1912.02781, section 3.
    """

    _default_name = "jensen_shannon"
    _of_views = staticmethod(jensen_shannon)


@STABILITIES.register("kl")
@keras.saving.register_keras_serializable("noisymix_tf")
class KullbackLeibler(_Divergence):
    """The mean over the perturbed views of `KL(p_clean || p_perturbed)`.

    Gradients flow through both. Arguments are those of `JensenShannon`.

    Reference: Zheng et al., stability training, arXiv:1604.04326.
    """

    _default_name = "kullback_leibler"
    _of_views = staticmethod(kullback_leibler)


@keras.saving.register_keras_serializable("noisymix_tf")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with class numbers as labels, smoothed over all classes.

        loss = -(1 - s) log p_y - s / K sum_k log p_k

    It is linear in the label: two of these losses mix to that of a mixed label.

    Args:
        label_smoothing: Share `s` in [0, 1) that goes to all K classes alike.
        from_logits: Whether predictions are logits or probabilities.

    Call arguments:
        y_true: Int `[B]` or `[B, 1]`.
        y_pred: Float `[B, K]`; computed in float32 whatever comes.

    >>> loss = SmoothedCrossEntropy(0.1)
    >>> float(loss(tf.constant([0]), tf.zeros([1, 10])))  # log(10)
    2.3025851249694824

    Reference: Szegedy et al., arXiv:1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing=0.1,
        from_logits=True,
        name="smoothed_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise UsageError(
                f"label_smoothing={label_smoothing!r} must be in [0, 1): it is "
                f"the share of a label that goes to all classes."
            )
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        log_p = log_probabilities(y_pred, self.from_logits)
        labels = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        own = tf.gather(log_p, labels, batch_dims=1)
        everyone = tf.reduce_mean(log_p, axis=-1)
        share = self.label_smoothing
        return -(1.0 - share) * own - share * everyone

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
        }


class Partners:
    """Labels and weights of a batch and of everyone's mixing partner.

    Args:
        plan: The step's `MixPlan`.
        labels: `[B]` or `[B, 1]` class numbers, or `[B, K]` shares of classes.
        weight: Of each example, `[B]` or `[B, 1]`, or `None`.
    """

    def __init__(self, plan, labels, weight):
        if weight is not None and len(weight.shape) == 2:
            weight = tf.squeeze(weight, 1)
        self._lam, self._permutation = plan.lam, plan.permutation
        self._labels = [labels, tf.gather(labels, plan.permutation)]
        self._weights = [weight, _gathered(weight, plan.permutation)]

    def mix(self, loss) -> tf.Tensor:
        """`lam loss(own) + (1 - lam) loss(partner's)`.

        The loss is a function of labels and weights: a mean of weighted losses
        of the examples, plus what does not depend on them.
        """
        if len(self._lam.shape) == 0:
            own, partner = map(loss, self._labels, self._weights)
            lam = tf.cast(self._lam, own.dtype)
            return lam * own + (1.0 - lam) * partner
        # A coefficient for each example goes into its weight: halves of doubled
        # ones, so that regularisation counts once.
        shares = 2.0 * self._lam, 2.0 - 2.0 * self._lam
        weights = map(_scaled, self._weights, shares)
        own, partner = map(loss, self._labels, weights)
        return 0.5 * own + 0.5 * partner

    def weight(self) -> tf.Tensor | None:
        """Of the mixed examples, `lam w + (1 - lam) w_partner`, or `None`."""
        if self._weights[0] is None:
            return None
        shares = self._lam, 1.0 - self._lam
        return tf.add(*map(_scaled, self._weights, shares))

    def dominant(self) -> list:
        """Labels and weights of whoever has the larger share, for metrics."""
        own = tf.range(tf.size(self._permutation))
        rows = tf.where(self._lam >= 0.5, own, self._permutation)
        return [_gathered(x[0], rows) for x in (self._labels, self._weights)]


def _gathered(values, rows):
    return None if values is None else tf.gather(values, rows)


def _scaled(weight, share):
    return share if weight is None else tf.cast(weight, share.dtype) * share
