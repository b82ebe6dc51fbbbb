"""Flags of the comparison of losses with their expansions."""

import dataclasses

from noisymix_tf.config import Config
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    POSITIVE,
    SEED,
    Group,
    Range,
    field,
)

_FEW = Range(lambda v: 2 <= v <= 1000, "from 2 to 1000")
_SMALL = Range(
    lambda v: len(set(v)) > 1 and all(0 < eps < 1 for eps in v),
    "a list of numbers between 0 and 1, at least two different ones",
)
_FACTORS = Range(
    lambda v: bool(v) and all(0 <= factor <= 100 for factor in v),
    "a list of numbers from 0 to 100",
)


@dataclasses.dataclass(frozen=True)
class TheoryRunConfig(Group):
    """The model, the data, and where the tables go."""

    output_dir: str | None = field(
        None,
        "Directory of tables and plot; without it they are only printed.",
        kind=str,
        free=True,
    )
    model: str | None = field(
        None,
        "A .keras file: a small classifier. By default a tanh network that is "
        "trained on the points.",
        kind=str,
    )
    data: str | None = field(
        None,
        "A .npz file with arrays x, as the model takes, and y, class numbers. "
        "By default points of the toy problem.",
        kind=str,
    )
    tap: str = field("input", "Layer where mixing and noise happen.")
    points: int = field(
        40,
        "Examples that are used, the first of --data; all pairs are taken.",
        range=_FEW,
    )
    seed: int = field(
        0, "Seed of points, weights and displacements.", range=SEED
    )


@dataclasses.dataclass(frozen=True)
class TheoryLossConfig(Group):
    """The loss: its numbers and how small it is made."""

    eps: tuple[float, ...] = field(
        (0.016, 0.008, 0.004, 0.002, 0.001, 0.0005),
        "Values of 1 - lam.",
        range=_SMALL,
        item=float,
    )
    additive: float = field(
        0.5, "Standard deviation of additive noise over eps.", range=AT_LEAST_0
    )
    multiplicative: float = field(
        0.5,
        "Standard deviation of multiplicative noise over eps.",
        range=AT_LEAST_0,
    )
    jsd_weight: float = field(
        12.0, "Weight of the Jensen-Shannon term.", range=POSITIVE
    )
    noise_per_view: tuple[float, ...] = field(
        (1.0, 2.0, 3.0),
        "Factors of the additive noise of the views.",
        range=_FACTORS,
        item=float,
    )


@dataclasses.dataclass(frozen=True)
class TheoryConfig:
    """Everything that determines the tables."""

    run: TheoryRunConfig = dataclasses.field(default_factory=TheoryRunConfig)
    loss: TheoryLossConfig = dataclasses.field(default_factory=TheoryLossConfig)

    # The lines of `flags.txt`, as those of a run on images.
    flags = Config.flags
