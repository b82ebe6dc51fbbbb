"""The stability terms and smoothed cross-entropy."""

import keras
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# The reference clamps the mixture before taking its logarithm.
_MIXTURE_MIN = 1e-7
_PROBABILITY_MIN = 1e-7


def jensen_shannon(log_probabilities):
    """Jensen-Shannon divergence of V distributions with equal weights.

        JSD(p_1..p_V) = 1/V sum_v KL(p_v || m),    m = 1/V sum_v p_v

    with natural logarithms, so that it lies in [0, log V] (AugMix,
    arXiv:1912.02781, section 3; as in the reference, `m` is clamped to
    [1e-7, 1]).

    Args:
        log_probabilities: Float `[V, B, ..., K]`, normalised over axis -1.

    Returns:
        Tensor `[B, ...]` of the same dtype. In float32 the divergence of equal
        distributions can be about -1e-8.
    """
    probabilities = tf.exp(log_probabilities)
    mixture = tf.clip_by_value(
        tf.reduce_mean(probabilities, axis=0), _MIXTURE_MIN, 1.0
    )
    terms = probabilities * (log_probabilities - tf.math.log(mixture))
    return tf.reduce_mean(tf.reduce_sum(terms, axis=-1), axis=0)


def kullback_leibler(log_probabilities):
    """Divergence of the first of V distributions from the others, on average.

        1 / (V - 1) sum_{v > 0} KL(p_0 || p_v)

    with natural logarithms (stability training, arXiv:1604.04326).

    Args:
        log_probabilities: Float `[V, B, ..., K]`, normalised over axis -1.

    Returns:
        Tensor `[B, ...]` of the same dtype. In float32 the divergence of equal
        distributions can be about -1e-8.
    """
    clean, others = log_probabilities[:1], log_probabilities[1:]
    terms = tf.exp(clean) * (clean - others)
    return tf.reduce_mean(tf.reduce_sum(terms, axis=-1), axis=0)


def log_probabilities(predictions, from_logits):
    """Log-probabilities from logits or from probabilities, in full precision.

    Args:
        predictions: Float `[..., K]`. Half precisions are cast to float32.
        from_logits: Whether `predictions` are logits.
    """
    predictions = _at_least_float32(predictions)
    if from_logits:
        return tf.nn.log_softmax(predictions)
    return tf.math.log(tf.clip_by_value(predictions, _PROBABILITY_MIN, 1.0))


def binary_log_probabilities(predictions, from_logits):
    """Log-probabilities of yes and no, for outputs that are one each.

    Args:
        predictions: Float `[..., K]`, as for `log_probabilities`.
        from_logits: Whether `predictions` are logits.

    Returns:
        Tensor `[..., K, 2]`.
    """
    predictions = _at_least_float32(predictions)
    if from_logits:
        pair = [-tf.nn.softplus(-predictions), -tf.nn.softplus(predictions)]
        return tf.stack(pair, axis=-1)
    pair = tf.stack([predictions, 1.0 - predictions], axis=-1)
    return tf.math.log(tf.clip_by_value(pair, _PROBABILITY_MIN, 1.0))


def _at_least_float32(x):
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


class _Divergence(keras.losses.Loss):
    """A divergence of the predictions for several views of an image."""

    def __init__(
        self,
        from_logits=True,
        multi_label=False,
        reduction="sum_over_batch_size",
        name=None,
        dtype=None,
    ):
        name = name or self._default_name
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.multi_label = multi_label

    def call(self, y_true, y_pred):
        views = tf.concat([y_true[:, None], y_pred], axis=1)
        views = tf.transpose(views, [1, 0, 2])
        if self.multi_label or views.shape[-1] == 1:
            divergences = self._of_views(
                binary_log_probabilities(views, self.from_logits)
            )
            return tf.reduce_mean(divergences, axis=-1)
        return self._of_views(log_probabilities(views, self.from_logits))

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "multi_label": self.multi_label,
        }


@keras.saving.register_keras_serializable("noisymix_tf")
class JensenShannon(_Divergence):
    """Jensen-Shannon divergence of a clean and several augmented predictions.

    Args:
        from_logits: Whether predictions are logits (default) or probabilities.
        multi_label: Whether each of the K outputs is a yes or no of its own
            (sigmoid) instead of one of K classes (softmax). The divergence is
            then the mean over the outputs. A single output is always a yes or
            no.
        reduction, name, dtype: As in `keras.losses.Loss`.

    Call arguments:
        y_true: Predictions for the clean view, `[B, K]`.
        y_pred: Predictions for the other views, `[B, V - 1, K]`.
        sample_weight: Optional `[B]`.

    Example:

    >>> clean, augmented = tf.zeros([8, 10]), tf.zeros([8, 2, 10])
    >>> float(JensenShannon()(clean, augmented))
    0.0

    Reference: Hendrycks et al., AugMix, arXiv:1912.02781, section 3.
    """

    _default_name = "jensen_shannon"
    _of_views = staticmethod(jensen_shannon)


@keras.saving.register_keras_serializable("noisymix_tf")
class KullbackLeibler(_Divergence):
    """Divergence of the perturbed predictions from the clean one.

    The mean over the perturbed views of `KL(p_clean || p_perturbed)`. Gradients
    flow through both.

    Args:
        from_logits, multi_label, reduction, name, dtype: As for
            `JensenShannon`.

    Call arguments:
        y_true, y_pred, sample_weight: As for `JensenShannon`.

    Example:

    >>> clean, perturbed = tf.zeros([8, 10]), tf.zeros([8, 1, 10])
    >>> float(KullbackLeibler()(clean, perturbed))
    0.0

    Reference: Zheng et al., stability training, arXiv:1604.04326.
    """

    _default_name = "kullback_leibler"
    _of_views = staticmethod(kullback_leibler)


# Stability terms by the name that a flag or an argument gives.
STABILITIES = Registry("stability")
STABILITIES.register("jsd")(JensenShannon)
STABILITIES.register("kl")(KullbackLeibler)


@keras.saving.register_keras_serializable("noisymix_tf")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with class numbers as labels, smoothed over all classes.

        loss = -(1 - s) log p_y - s / K sum_k log p_k

    It is linear in the label, so that mixing two of these losses is the loss of
    the mixed label.

    Args:
        label_smoothing: Share `s` in [0, 1) that goes to all K classes alike.
        from_logits: Whether predictions are logits (default) or probabilities.
        reduction, name, dtype: As in `keras.losses.Loss`.

    Call arguments:
        y_true: Int `[B]` or `[B, 1]`.
        y_pred: Float `[B, K]`; computed in float32 whatever comes.

    Example:

    >>> loss = SmoothedCrossEntropy(0.1)
    >>> float(loss(tf.constant([0]), tf.zeros([1, 10])))  # log(10)
    2.3025851249694824

    Reference: Szegedy et al., arXiv:1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing=0.1,
        from_logits=True,
        reduction="sum_over_batch_size",
        name="smoothed_cross_entropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
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
