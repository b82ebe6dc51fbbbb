"""Compare the loss with its second-order expansion.

python -m noisymix_tf theory --output_dir=runs/theory
python -m noisymix_tf theory --model=small.keras --data=examples.npz
"""

import dataclasses

from noisymix_tf import marked, run_folder
from noisymix_tf.commands import command
from noisymix_tf.marked import WriteToOptions
from noisymix_tf.options import (
    AT_LEAST_0,
    POSITIVE,
    SEED,
    Options,
    Range,
    between,
    option,
)

_FEW = between(2, 1000)
_SMALL = Range(
    lambda v: len(set(v)) > 1 and all(0 < eps < 1 for eps in v),
    "a list of numbers between 0 and 1, at least two different ones",
)
_FACTORS = Range(
    lambda v: bool(v) and all(0 <= factor <= 100 for factor in v),
    "a list of numbers from 0 to 100",
)


@dataclasses.dataclass(frozen=True)
class TheoryLossConfig(Options):
    """The loss: its numbers and how small it is made."""

    eps: tuple[float, ...] = option(
        (0.016, 0.008, 0.004, 0.002, 0.001, 0.0005),
        "Values of 1 - lam.",
        _SMALL,
    )
    additive: float = option(
        0.5, "Standard deviation of additive noise over eps.", AT_LEAST_0
    )
    multiplicative: float = option(
        0.5, "Standard deviation of multiplicative noise over eps.", AT_LEAST_0
    )
    jsd_weight: float = option(
        12.0, "Weight of the Jensen-Shannon term.", POSITIVE
    )
    noise_per_view: tuple[float, ...] = option(
        (1.0, 2.0, 3.0), "Factors of the additive noise of the views.", _FACTORS
    )


@dataclasses.dataclass(frozen=True)
class TheoryConfig(WriteToOptions, TheoryLossConfig):
    """The model, the data, and where the tables go."""

    output_dir: str | None = option(
        None,
        "Directory of tables and plot; without it they are only printed.",
        free=True,
    )
    model: str | None = option(
        None,
        "A .keras file: a small classifier. By default a tanh network that is "
        "trained on the points.",
    )
    data: str | None = option(
        None,
        "A .npz file with arrays x, as the model takes, and y, class numbers. "
        "By default points of the toy problem.",
    )
    tap: str = option("input", "Layer where mixing and noise happen.")
    points: int = option(
        40,
        "Examples that are used, the first of --data; all pairs are taken.",
        _FEW,
    )
    seed: int = option(0, "Seed of points, weights and displacements.", SEED)


@command("theory", TheoryConfig)
def run(config: TheoryConfig) -> None:
    """Computes and compares."""
    if config.output_dir is not None:
        run_folder.check(config)
    marked.check(config.write_to)
    from noisymix_tf.studies import theory

    theory.run(config)
