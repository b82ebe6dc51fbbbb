"""Mean and deviation of every channel, and giving features those of others."""

from typing import NamedTuple

import tensorflow as tf

# Below this variance, of features of order 1 to 1000, a channel is constant.
_EPSILON = 1e-5


class Moments(NamedTuple):
    """Of the channels of one layer, over all positions.

    Attributes:
        mean: float32 `[B, C]`.
        std: float32 `[B, C]`, positive.
    """

    mean: tf.Tensor
    std: tf.Tensor

    def towards(self, other, share):
        """Linear interpolation: self at 0, `other` at 1."""
        return Moments(*(a + share * (b - a) for a, b in zip(self, other)))


def moments(features):
    """`Moments` of float32 features `[B, h, w, C]`."""
    mean, variance = tf.nn.moments(features, [1, 2])
    return Moments(mean, tf.sqrt(variance + _EPSILON))


def adapt(features, target):
    """Adaptive instance normalisation: features with the moments of others.

    Args:
        features: float32 `[B, h, w, C]`.
        target: `Moments` that the result has.

    Returns:
        float32 `[B, h, w, C]`.

    Example:

    >>> adapted = adapt(features, moments(of_style))
    """
    own = moments(features)
    scale = (target.std / own.std)[:, None, None]
    return (features - own.mean[:, None, None]) * scale + target.mean[
        :, None, None
    ]
