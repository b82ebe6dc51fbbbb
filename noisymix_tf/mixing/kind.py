"""What every kind of mixing is: options, a plan for each step, and mixing."""

import abc
import copy
from typing import NamedTuple

import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing.permute import permute

# What is folded into a step's seed for draws beyond tap, coefficient and
# partners; those stay the same whatever else a kind draws.
_CHANCE, _MORE = 1, 2


class MixPlan(NamedTuple):
    """Who is mixed with whom, where and how much, for one step.

    Attributes:
        tap: int32 scalar, index of the tap at which to mix.
        lam: float32, weight of the example itself; `1 - lam` is the weight of
            its partner, for features and labels alike. A scalar, or `[B]`
            where examples differ.
        permutation: int32 `[B]`, the partner of each example.
    """

    tap: tf.Tensor
    lam: tf.Tensor
    permutation: tf.Tensor


class Mixing(abc.ABC):
    """A kind of mixing: its options and what it does in a step.

    A step draws a plan (`plan`), lets the kind look at the clean images
    (`settle`), and mixes every view at the plan's tap (`mix`). The labels are
    mixed with the settled plan's `lam`. How strongly and at how many places is
    the trainer's: `bind` gives both to a copy.

    A new kind is a subclass in the registry `MIXINGS`; nothing else has to
    know it.

    Attributes:
        hidden: Whether it may happen at any tap, or only at the first.
        per_example: Whether `lam` is `[B]`, one for each example.

    Args:
        probability: Share of the steps that mix, in [0, 1].

    Raises:
        UsageError: An option out of its range.
    """

    hidden = False
    per_example = False

    def __init__(self, probability=1.0):
        check_option("probability", probability, 0.0, 1.0)
        self.probability = float(probability)
        self.num_taps = 1
        self.alpha = 1.0

    def bind(self, num_taps, alpha):
        """A copy for a trainer.

        Args:
            num_taps: Number of taps that the trainer has.
            alpha: `lam ~ Beta(alpha, alpha)`; 0 means no mixing. A number, or a
                function without arguments that returns a scalar, for a value
                that changes in the course of training.
        """
        bound = copy.copy(self)
        bound.num_taps = num_taps if self.hidden else 1
        bound.alpha = alpha
        return bound

    def check(self, shape):
        """Refuses examples that cannot be mixed like this.

        Args:
            shape: Shape of an example, as the classifier takes it.

        Raises:
            UsageError: With the reason.
        """
        del shape

    def plan(self, seed, batch_size):
        """Draws what happens in a step.

        Args:
            seed: int `[2]`.
            batch_size: Number of examples `B`, static.

        Returns:
            `MixPlan`, or a tuple that has its fields among others.
        """
        tap_seed, lam_seed, permutation_seed = tf.unstack(rng.split(seed, 3))
        alpha = self.alpha() if callable(self.alpha) else self.alpha
        alpha = tf.convert_to_tensor(alpha, tf.float32)
        lam = rng.beta(lam_seed, [], *[tf.maximum(alpha, 1e-3)] * 2)
        mixes = alpha > 0.0
        if self.probability < 1.0:
            chance = tf.random.stateless_uniform([], _folded(seed, _CHANCE))
            mixes &= chance < self.probability
        return MixPlan(
            tf.random.stateless_uniform(
                [], tap_seed, 0, self.num_taps, dtype=tf.int32
            ),
            tf.where(mixes, lam, 1.0),
            rng.permutation(permutation_seed, batch_size),
        )

    def settle(self, plan, clean):
        """Finishes a plan with what is seen in the clean images.

        Args:
            plan: What `plan` returned.
            clean: The clean view of the batch; it has the attributes

                * `images`: float32 `[B, ...]`, as the classifier takes them;
                * `features(images)`: what is at the first tap;
                * `gradient(features)`: float32, the gradient of each example's
                  loss there, each up to a positive factor. It costs one pass
                  through the network and back;
                * `seed`: int `[2]`, another one on each replica.

        Returns:
            The plan that `mix` takes, with the final `lam`.
        """
        del clean
        return plan

    @abc.abstractmethod
    def mix(self, x, plan):
        """Mixes what is at the plan's tap, alike in every view.

        Args:
            x: Float tensor `[V, B, ...]`.
            plan: What `settle` returned.
        """

    def get_config(self):
        return {"probability": self.probability}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def more_seed(seed):
    """A seed for what a kind draws beyond a `MixPlan`, int `[2]`."""
    return _folded(seed, _MORE)


def blend(x, permutation, weight):
    """`weight x + (1 - weight) x[permutation]`.

    Args:
        x: Float tensor `[V, B, ...]`.
        permutation: int32 `[B]`.
        weight: Float, to be broadcast against `x`.
    """
    weight = tf.cast(weight, x.dtype)
    return weight * x + (1.0 - weight) * permute(x, permutation)


def check_option(name, value, low, high):
    """Refuses anything but a number in [low, high]."""
    if not is_real(value) or not low <= value <= high:
        raise UsageError(
            f"{name}={value!r} must be a number in [{low:g}, {high:g}]."
        )


def check_images(kind, shape):
    """Refuses anything but images for a kind that mixes regions of them."""
    if len(shape) != 3:
        raise UsageError(
            f"{kind} mixes regions of images [H, W, C], but an example has "
            f"shape {list(shape)}; use mixing='input' or mixing='manifold'."
        )


def _folded(seed, number):
    return tf.random.experimental.stateless_fold_in(
        seed, number, alg=rng.GENERATOR
    )
