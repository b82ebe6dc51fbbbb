"""Points of two classes: a curve inside a broad cloud, and two clouds.

The published figure of the method shows about 500 points, a fifth of them in a
"U" in the middle of a broad cloud of the others. Its generator is not public;
this one is ours. Because it is known, so is the best possible classifier.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from noisymix_tf.lazy import tf
from noisymix_tf.options import Options, Range, option

_SHARE = Range(lambda v: 0 < v < 1, "between 0 and 1")
_PART = Range(lambda v: 0 <= v < 1, "at least 0 and below 1")
_RESOLVED = Range(lambda v: 0.03 <= v <= 100, "from 0.03 to 100")
_SEVERAL = Range(lambda v: v >= 2, "at least 2")


@dataclasses.dataclass(frozen=True)
class ToyProblemConfig(Options):
    """The points."""

    train_points: int = option(500, "Training points.", _SEVERAL)
    test_points: int = option(20_000, "Test points.", _SEVERAL)
    label_noise: float = option(
        0.0, "Share of the training labels that are wrong.", _PART
    )
    curve_share: float = option(
        0.2, "Share of the points on the curve.", _SHARE
    )
    position_noise: float = option(
        0.1,
        "Standard deviation of the noise around the curve, whose radius is 1.",
        _RESOLVED,
    )
    cloud_size: float = option(
        1.2, "Standard deviation of the cloud of the others.", _RESOLVED
    )


CLOUD, CURVE = 0, 1
# The U: a half circle of radius 1 that is open above, with straight arms.
_ARM = 0.5
_LENGTH = np.pi + 2 * _ARM
# Points of the curve whose mean stands for the integral along it. They lie
# closer than half the smallest noise that a problem accepts.
_NODES = 400
# Of two clouds: so far apart that a network of any training separates them.
_DISTANCE, _SPREAD = 3.0, 0.4


class Points(NamedTuple):
    """Points `x`, float `[N, 2]`, and their classes `y`, int `[N]`."""

    x: np.ndarray
    y: np.ndarray


def draw(problem, num, seed, label_noise=0.0) -> Points:
    """Draws points in random order, the stated share of each class.

    A share `label_noise` of the labels is made wrong, whatever the class.

    >>> draw(ToyProblemConfig(), 500, seed=0).x.shape
    (500, 2)
    """
    rng = np.random.default_rng(seed)
    num_curve = round(num * problem.curve_share)
    curve = _curve(rng.uniform(0.0, _LENGTH, num_curve))
    curve += problem.position_noise * rng.normal(size=curve.shape)
    cloud = problem.cloud_size * rng.normal(size=[num - num_curve, 2])
    x = np.concatenate([curve, cloud]).astype(np.float32)
    y = np.repeat([CURVE, CLOUD], [len(curve), len(cloud)])
    order = rng.permutation(num)
    y = y[order].astype(np.int32)
    wrong = rng.permutation(num)[: round(num * label_noise)]
    y[wrong] = CURVE + CLOUD - y[wrong]
    return Points(x[order], y)


def posterior(problem, x) -> "tf.Tensor":
    """Probability of the curve, float32 `[N]`, at points `x` `[N, 2]`.

    By Bayes' rule: no classifier has a higher expected accuracy than the one
    that asks whether this exceeds one half.
    """
    nodes = (np.arange(_NODES) + 0.5) / _NODES * _LENGTH
    nodes = tf.constant(_curve(nodes), tf.float32)
    x = tf.convert_to_tensor(x, tf.float32)
    near, far = problem.position_noise**2, problem.cloud_size**2
    squares = tf.reduce_sum((x[:, None] - nodes) ** 2, axis=-1)
    log_curve = tf.reduce_logsumexp(-squares / (2.0 * near), axis=1)
    log_curve -= np.log(_NODES * near / problem.curve_share)
    log_cloud = -tf.reduce_sum(x**2, axis=-1) / (2.0 * far)
    log_cloud -= np.log(far / (1.0 - problem.curve_share))
    return tf.sigmoid(log_curve - log_cloud)


def two_clouds(num, seed=0) -> Points:
    """Draws two round clouds far apart, float64, of mean zero."""
    y, rng = np.arange(num) % 2, np.random.default_rng(seed)
    x = _SPREAD * rng.normal(size=[num, 2])
    x[:, 0] += _DISTANCE * (y - 0.5)
    return Points(x - x.mean(axis=0), y)


def _curve(s):
    """Points `[N, 2]` of the U at distances `s` from its left end."""
    angle = np.clip(s - _ARM, 0.0, np.pi)
    above = np.maximum(_ARM - s, 0.0) + np.maximum(s - _ARM - np.pi, 0.0)
    return np.stack([-np.cos(angle), above - np.sin(angle)], axis=-1)
