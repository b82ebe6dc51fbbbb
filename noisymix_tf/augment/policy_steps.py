"""The random part of policies: which operations, in what order, how strong."""

import dataclasses
import typing

from noisymix_tf.augment import fixed
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import (
    AUTO_AUGMENT,
    COMMON,
    NAMES,
    SCALES,
    WIDE,
)
from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

# RandAugment's and TrivialAugment's strongest magnitude.
STRONGEST = 30


class Steps(typing.NamedTuple):
    """The steps of a batch of policy views: tensors `[..., D]`.

    Operations are indices into `policy_space.OPERATIONS`, int32, and parameters
    what each is given, fixed-point.
    """

    operation: "tf.Tensor"
    parameter: "tf.Tensor"


@dataclasses.dataclass(frozen=True)
class AutoAugment:
    """One of the 25 sub-policies of a published policy, for each view."""

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

        def of_all(function):
            return [[function(*step) for step in row] for row in table]

        def parameters(name, share, magnitude):
            return AUTO_AUGMENT.both_ways(name, magnitude, 9, height, width)

        operations = of_all(lambda name, *_: NAMES.index(name))
        shares = fixed.constant(of_all(lambda name, share, _: share))
        draws = fixed.uniform(seed, [*batch, 2, 3])
        row = fixed.below(draws[..., 0, 0], len(table))
        operation = tf.gather(tf.constant(operations, tf.int32), row)
        done = draws[..., 1] < tf.gather(shares, row)
        operation = tf.where(done, operation, NAMES.index("identity"))
        parameter = _one_way(of_all(parameters), row, draws[..., 2])
        return Steps(operation, parameter)


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """Operations in a row, of one magnitude; see `rand_augment_views`."""

    num_ops: int = 2
    magnitude: float = 9
    scale: str = "automl"

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
        if self.scale not in SCALES:
            raise UsageError(
                f"RandAugment has no scale {self.scale!r}; give one of "
                f"{', '.join(SCALES)}."
            )
        if self.scale == "torchvision" and self.magnitude % 1:
            raise UsageError(
                f"torchvision's scale has whole magnitudes only, got "
                f"magnitude={self.magnitude!r}; give one from 0 to {STRONGEST}."
            )

    def draw(self, seed, batch, height, width):
        """Draws `Steps` of batch axes `[...]`, D of `num_ops`."""
        space = SCALES[self.scale]
        parameters = [
            space.both_ways(name, self.magnitude, STRONGEST, height, width)
            for name in COMMON
        ]
        draws = fixed.uniform(seed, [*batch, self.num_ops, 2])
        operation = fixed.below(draws[..., 0], len(COMMON))
        return Steps(operation, _one_way(parameters, operation, draws[..., 1]))


@dataclasses.dataclass(frozen=True)
class TrivialAugment:
    """One of fourteen operations at one of 31 magnitudes, wide ranges."""

    def draw(self, seed, batch, height, width):
        """Draws `Steps` of batch axes `[...]`, D of 1."""
        magnitudes = range(STRONGEST + 1)
        parameters = [
            WIDE.both_ways(name, magnitude, STRONGEST, height, width)
            for name in COMMON
            for magnitude in magnitudes
        ]
        draws = fixed.uniform(seed, [*batch, 1, 3])
        operation = fixed.below(draws[..., 0], len(COMMON))
        magnitude = fixed.below(draws[..., 1], len(magnitudes))
        index = operation * len(magnitudes) + magnitude
        return Steps(operation, _one_way(parameters, index, draws[..., 2]))


def _one_way(parameters, index, draw):
    """Takes pairs of parameters; half of the draws take the second of each."""
    pairs = tf.gather(fixed.constant(parameters), index)
    return tf.where(draw < fixed.ONE // 2, pairs[..., 1], pairs[..., 0])
