"""The random part of policies: which operations, in what order, how strong."""

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import (
    AUTO_AUGMENT,
    COMMON,
    NAMES,
    OPERATIONS,
    WIDE,
)
from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError

# RandAugment's and TrivialAugment's strongest magnitude.
STRONGEST = 30
_IDENTITY = NAMES.index("identity")
_SIGNED = np.array([each.signed for each in OPERATIONS])


class Steps(typing.NamedTuple):
    """The steps of a batch of policy views; D of them in each.

    Attributes:
        operation: int32 `[..., D]`, indices into `policy_space.OPERATIONS`.
        parameter: float64 `[..., D]`, what each operation is given.
    """

    operation: tf.Tensor
    parameter: tf.Tensor


@dataclasses.dataclass(frozen=True)
class AutoAugment:
    """One of the 25 sub-policies of a published policy, for each view.

    Args:
        policy: `"cifar10"`, `"imagenet"` or `"svhn"`.

    Raises:
        UsageError: No such policy.
    """

    policy: str = "cifar10"

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise UsageError(
                f"AutoAugment has no policy {self.policy!r}; give one of "
                f"{', '.join(POLICIES)}."
            )

    def draw(self, seed, batch, height, width):
        """Draws `Steps` of batch axes `[...]`, D of 2.

        Args:
            seed: int32 `[2]`.
            batch: List of the leading axes, ints or scalar tensors.
            height: Height of the images in pixels.
            width: Width of the images in pixels.
        """
        table = POLICIES[self.policy]
        operations = [
            [NAMES.index(name) for name, _, _ in row] for row in table
        ]
        probabilities = [[share for _, share, _ in row] for row in table]
        parameters = [
            [
                AUTO_AUGMENT.parameter(name, magnitude, 9, height, width)
                for name, _, magnitude in row
            ]
            for row in table
        ]
        draws = _uniform(seed, [*batch, 2, 3])
        row = tf.cast(draws[..., 0, 0] * len(table), tf.int32)
        done = draws[..., 1] < tf.gather(_reals(probabilities), row)
        operation = tf.gather(tf.constant(operations, tf.int32), row)
        operation = tf.where(done, operation, _IDENTITY)
        return _signed(
            operation, tf.gather(_reals(parameters), row), draws[..., 2]
        )


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """Some of fourteen operations in a row, all of one magnitude.

    Args:
        num_ops: Operations in a row, drawn with replacement.
        magnitude: Their magnitude, from 0 to 30.

    Raises:
        UsageError: An option is out of its range.
    """

    num_ops: int = 2
    magnitude: float = 9

    def __post_init__(self):
        if not is_whole(self.num_ops) or self.num_ops < 1:
            raise UsageError(
                f"RandAugment num_ops must be a whole number, at least 1, got "
                f"{self.num_ops!r}."
            )
        if not is_real(self.magnitude) or not 0 <= self.magnitude <= STRONGEST:
            raise UsageError(
                f"RandAugment magnitude must be a number from 0 to "
                f"{STRONGEST}, got {self.magnitude!r}."
            )

    def draw(self, seed, batch, height, width):
        """Draws `Steps` of batch axes `[...]`, D of `num_ops`."""
        parameters = [
            AUTO_AUGMENT.parameter(
                name, self.magnitude, STRONGEST, height, width
            )
            for name in COMMON
        ]
        draws = _uniform(seed, [*batch, self.num_ops, 2])
        operation = tf.cast(draws[..., 0] * len(COMMON), tf.int32)
        return _signed(
            operation, tf.gather(_reals(parameters), operation), draws[..., 1]
        )


@dataclasses.dataclass(frozen=True)
class TrivialAugment:
    """One of fourteen operations at one of 31 magnitudes, wide ranges."""

    def draw(self, seed, batch, height, width):
        """Draws `Steps` of batch axes `[...]`, D of 1."""
        parameters = [
            [
                WIDE.parameter(name, magnitude, STRONGEST, height, width)
                for magnitude in range(STRONGEST + 1)
            ]
            for name in COMMON
        ]
        draws = _uniform(seed, [*batch, 1, 3])
        operation = tf.cast(draws[..., 0] * len(COMMON), tf.int32)
        magnitude = tf.cast(draws[..., 1] * (STRONGEST + 1), tf.int32)
        chosen = tf.gather_nd(
            _reals(parameters), tf.stack([operation, magnitude], axis=-1)
        )
        return _signed(operation, chosen, draws[..., 2])


def _uniform(seed, shape):
    return tf.random.stateless_uniform(
        shape, dtype=tf.float64, **rng.key(seed, by_name=True)
    )


def _reals(values):
    return tf.constant(values, tf.float64)


def _signed(operation, parameter, draw):
    """`Steps` in which half of what can go both ways goes the other."""
    turned = tf.gather(tf.constant(_SIGNED), operation) & (draw < 0.5)
    return Steps(operation, tf.where(turned, -parameter, parameter))
