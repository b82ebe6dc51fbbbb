"""Flags of the toy problem."""

import dataclasses

from noisymix_tf.config import Config
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    Group,
    Range,
    field,
)

_SHARE = Range(lambda v: 0 < v < 1, "between 0 and 1")
_PART = Range(lambda v: 0 <= v < 1, "at least 0 and below 1")
_RESOLVED = Range(lambda v: 0.03 <= v <= 100, "from 0.03 to 100")
# Those above have points of their own, for the search.
_FEW = Range(lambda v: 1 <= v <= 1000, "from 1 to 1000")
_SEVERAL = Range(lambda v: v >= 2, "at least 2")


@dataclasses.dataclass(frozen=True)
class ToyRunConfig(Group):
    """Where results go, and what is compared."""

    output_dir: str | None = field(
        None,
        "Directory of results, table and figure. A command that was killed is "
        "continued by the same command.",
        kind=str,
        free=True,
    )
    schemes: tuple = field(
        (
            "baseline",
            "noise_injection",
            "manifold_mixup",
            "nfm",
            "manifold_mixup_jsd",
            "noisymix",
        ),
        "Schemes that are compared, in the order of the panels.",
    )
    seeds: int = field(
        10,
        "Trainings of each scheme, each on points and from weights of its "
        "own, which are the same ones for all schemes.",
        range=_FEW,
    )
    search: int = field(
        0,
        "Instead of comparing, try so many random settings of each scheme on "
        "validation points, and print the best.",
        range=AT_LEAST_0,
    )


@dataclasses.dataclass(frozen=True)
class ToyProblemConfig(Group):
    """The points."""

    train_points: int = field(500, "Training points.", range=_SEVERAL)
    test_points: int = field(20_000, "Test points.", range=_SEVERAL)
    label_noise: float = field(
        0.0, "Share of the training labels that are wrong.", range=_PART
    )
    curve_share: float = field(
        0.2, "Share of the points on the curve.", range=_SHARE
    )
    position_noise: float = field(
        0.1,
        "Standard deviation of the noise around the curve, whose radius is 1.",
        range=_RESOLVED,
    )
    cloud_size: float = field(
        1.2, "Standard deviation of the cloud of the others.", range=_RESOLVED
    )


@dataclasses.dataclass(frozen=True)
class ToyTrainingConfig(Group):
    """The network, and numbers that replace those of the schemes.

    A number changes the schemes that are about it: a level of noise those that
    inject noise, and so on.
    """

    width: int = field(64, "Units of a hidden layer.", range=AT_LEAST_1)
    depth: int = field(4, "Hidden layers.", range=AT_LEAST_1)
    epochs: int = field(300, "How often a point is seen.", range=AT_LEAST_1)
    batch_size: int = field(100, "Points in a batch.", range=AT_LEAST_1)
    learning_rate: float | None = field(
        None, "Peak of the cosine schedule.", kind=float, range=POSITIVE
    )
    alpha: float | None = field(
        None,
        "Mixing coefficient ~ Beta(alpha, alpha).",
        kind=float,
        range=POSITIVE,
    )
    additive_noise: float | None = field(
        None, "Level of additive noise.", kind=float, range=AT_LEAST_0
    )
    multiplicative_noise: float | None = field(
        None, "Level of multiplicative noise.", kind=float, range=AT_LEAST_0
    )
    jsd_weight: float | None = field(
        None, "Weight of the Jensen-Shannon term.", kind=float, range=POSITIVE
    )
    view_noise: float | None = field(
        None,
        "Standard deviation of the noise of the second and the third view, "
        "which stands where images have AugMix.",
        kind=float,
        range=AT_LEAST_0,
    )

    def overrides(self):
        """Dict from attribute of a scheme to the number given for it."""
        names = [f.name for f in dataclasses.fields(self) if f.default is None]
        return {
            name: getattr(self, name)
            for name in names
            if getattr(self, name) is not None
        }


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """Everything that determines a comparison."""

    run: ToyRunConfig = dataclasses.field(default_factory=ToyRunConfig)
    problem: ToyProblemConfig = dataclasses.field(
        default_factory=ToyProblemConfig
    )
    training: ToyTrainingConfig = dataclasses.field(
        default_factory=ToyTrainingConfig
    )

    # The lines of `flags.txt`, as those of a run on images.
    flags = Config.flags
