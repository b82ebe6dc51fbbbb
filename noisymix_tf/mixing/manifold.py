"""Mixup at the input or at a randomly chosen hidden layer.

Manifold Mixup: Verma et al., arXiv:1806.05236. Mixup: Zhang et al.,
arXiv:1710.09412, which is the case of a single tap at the input.
"""

from typing import NamedTuple

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.mixing.permute import permute


class MixPlan(NamedTuple):
    """Who is mixed with whom, where and how much, for one step.

    Attributes:
        tap: int32 scalar, index of the tap at which to mix.
        lam: float32 scalar, weight of the example itself; `1 - lam` is the
            weight of its partner, for features and labels alike.
        permutation: int32 `[B]`, the partner of each example.
    """

    tap: tf.Tensor
    lam: tf.Tensor
    permutation: tf.Tensor


class ManifoldMixing:
    """One coefficient, one permutation and one tap for each step.

    Args:
        num_taps: From how many taps one is chosen, uniformly.
        alpha: `lam ~ Beta(alpha, alpha)`. Zero means no mixing: `lam = 1`. A
            number, or a function without arguments that returns a scalar, for
            a value that changes in the course of training.
    """

    def __init__(self, num_taps, alpha):
        self.num_taps = num_taps
        self.alpha = alpha

    def plan(self, seed, batch_size):
        """Draws the `MixPlan` of a step.

        Args:
            seed: int `[2]`.
            batch_size: Number of examples `B`, static.
        """
        tap_seed, lam_seed, permutation_seed = tf.unstack(rng.split(seed, 3))
        alpha = self.alpha() if callable(self.alpha) else self.alpha
        alpha = tf.convert_to_tensor(alpha, tf.float32)
        lam = rng.beta(lam_seed, [], *[tf.maximum(alpha, 1e-3)] * 2)
        return MixPlan(
            tf.random.stateless_uniform(
                [], tap_seed, 0, self.num_taps, dtype=tf.int32
            ),
            tf.where(alpha > 0.0, lam, 1.0),
            rng.permutation(permutation_seed, batch_size),
        )

    def mix(self, x, plan):
        """Returns `lam x + (1 - lam) x[permutation]` for every view.

        Args:
            x: Float tensor `[V, B, ...]`.
            plan: The step's `MixPlan`.
        """
        lam = tf.cast(plan.lam, x.dtype)
        return lam * x + (1.0 - lam) * permute(x, plan.permutation)


class NoMixing:
    """Leaves examples alone; noise, if any, goes in at the first tap."""

    def plan(self, seed, batch_size):
        """Returns the plan that changes nothing."""
        del seed
        return MixPlan(tf.constant(0), tf.constant(1.0), tf.range(batch_size))

    def mix(self, x, plan):
        """Returns `x`."""
        del plan
        return x
