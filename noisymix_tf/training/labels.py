"""Labels and weights of a batch whose examples are mixed in pairs."""

import tensorflow as tf


class Partners:
    """Labels and weights of a batch and of everyone's mixing partner.

    Args:
        plan: The step's `MixPlan`.
        labels: `[B]` or `[B, 1]` class numbers, or `[B, K]` shares of classes.
        sample_weight: `[B]`, or `None`.
    """

    def __init__(self, plan, labels, sample_weight):
        self.lam = plan.lam
        self.labels = labels
        self.sample_weight = sample_weight
        self.partner_labels = tf.gather(labels, plan.permutation)
        self.partner_weight = (
            None
            if sample_weight is None
            else tf.gather(sample_weight, plan.permutation)
        )

    def mix(self, loss):
        """`lam loss(own) + (1 - lam) loss(partner's)`.

        Args:
            loss: Function of labels and weights: a mean of weighted losses of
                the examples, plus what does not depend on them.
        """
        if len(self.lam.shape) == 1:
            return self._mix_each(loss)
        own = loss(self.labels, self.sample_weight)
        partner = loss(self.partner_labels, self.partner_weight)
        lam = tf.cast(self.lam, own.dtype)
        return lam * own + (1.0 - lam) * partner

    def _mix_each(self, loss):
        """The same with a coefficient for each example, in its weight."""
        # Halves of doubled weights, so that regularisation counts once.
        own = loss(self.labels, _scaled(self.sample_weight, 2.0 * self.lam))
        partner = loss(
            self.partner_labels,
            _scaled(self.partner_weight, 2.0 - 2.0 * self.lam),
        )
        return 0.5 * own + 0.5 * partner

    def dominant(self):
        """Labels and weights of whoever has the larger share, for metrics."""
        own = self.lam >= 0.5
        rows = own
        if len(own.shape) == 1:
            rows = tf.reshape(own, [-1] + [1] * (len(self.labels.shape) - 1))
        labels = tf.where(rows, self.labels, self.partner_labels)
        if self.sample_weight is None:
            return labels, None
        return labels, tf.where(own, self.sample_weight, self.partner_weight)


def _scaled(weight, factor):
    if weight is None:
        return factor
    return tf.cast(weight, factor.dtype) * factor
