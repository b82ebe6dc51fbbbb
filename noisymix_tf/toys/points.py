"""The noisy two-class problem: a curved class inside a broad cloud.

The published figure of the method shows about 500 points, a fifth of them in a
"U" in the middle of a broad cloud of the others. Its generator is not public;
this one is ours. Because it is known, so is the best possible classifier.
"""

import dataclasses

import numpy as np
import tensorflow as tf

CLOUD, CURVE = 0, 1
# The U: a half circle of radius 1 that is open above, with straight arms.
_ARM = 0.5
_LENGTH = np.pi + 2 * _ARM
# Points of the curve whose mean stands for the integral along it. They lie
# closer than half the smallest noise that a problem accepts.
_NODES = 400


@dataclasses.dataclass(frozen=True)
class Points:
    """Points and their classes.

    Attributes:
        x: float32 `[N, 2]`.
        y: int32 `[N]`, `CLOUD` or `CURVE`.
    """

    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem:
    """How points are drawn.

    Attributes:
        curve_share: Share of the points that belong to the curve, in (0, 1).
        position_noise: Standard deviation of the normal noise, in both
            directions, around the curve; at least 0.03.
        cloud_size: Standard deviation of the round normal cloud of the others.

    Example:

    >>> problem = Problem()
    >>> train, test = problem.draw(500, seed=0), problem.draw(20_000, seed=1)
    """

    curve_share: float = 0.2
    position_noise: float = 0.1
    cloud_size: float = 1.2

    def draw(self, num, seed, label_noise=0.0):
        """Draws points, with exactly the stated share of each class.

        Args:
            num: Number of points.
            seed: Seed of `np.random.default_rng`.
            label_noise: Share of the labels that are made wrong, whatever the
                class.

        Returns:
            `Points`, in random order.
        """
        rng = np.random.default_rng(seed)
        num_curve = round(num * self.curve_share)
        curve = _curve(rng.uniform(0.0, _LENGTH, num_curve))
        curve += self.position_noise * rng.normal(size=curve.shape)
        cloud = self.cloud_size * rng.normal(size=[num - num_curve, 2])
        x = np.concatenate([curve, cloud]).astype(np.float32)
        y = np.repeat([CURVE, CLOUD], [len(curve), len(cloud)])
        order = rng.permutation(num)
        y = y[order].astype(np.int32)
        wrong = rng.permutation(num)[: round(num * label_noise)]
        y[wrong] = CURVE + CLOUD - y[wrong]
        return Points(x[order], y)

    def posterior(self, x):
        """Probability that a point belongs to the curve, by Bayes' rule.

        No classifier has a higher expected accuracy than the one that asks
        whether this exceeds one half.

        Args:
            x: float32 `[N, 2]`.

        Returns:
            float32 tensor `[N]` in [0, 1].
        """
        nodes = (np.arange(_NODES) + 0.5) / _NODES * _LENGTH
        nodes = tf.constant(_curve(nodes), tf.float32)
        x = tf.convert_to_tensor(x, tf.float32)
        squares = tf.reduce_sum((x[:, None] - nodes) ** 2, axis=-1)
        log_curve = tf.reduce_logsumexp(
            -squares / (2.0 * self.position_noise**2), axis=1
        ) - np.log(_NODES * self.position_noise**2 / self.curve_share)
        log_cloud = -tf.reduce_sum(x**2, axis=-1) / (2.0 * self.cloud_size**2)
        log_cloud -= np.log(self.cloud_size**2 / (1.0 - self.curve_share))
        return tf.sigmoid(log_curve - log_cloud)


def _curve(s):
    """Points `[N, 2]` of the U at distances `s` from its left end."""
    angle = np.clip(s - _ARM, 0.0, np.pi)
    above = np.maximum(_ARM - s, 0.0) + np.maximum(s - _ARM - np.pi, 0.0)
    return np.stack([-np.cos(angle), above - np.sin(angle)], axis=-1)
