"""Flags of a comparison."""

import dataclasses

from noisymix_tf.config import Config, RunConfig
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.options import AT_LEAST_1, Options, option


@dataclasses.dataclass(frozen=True)
class ComparisonConfig(Options):
    """What is compared."""

    runs: tuple[str, ...] = option(
        (),
        "Directories of runs, of evaluations of any model, or of several of "
        "them; they may be given without --runs=, too.",
    )
    methods: tuple[str, ...] = option(
        (),
        "In place of runs: methods that are trained in turn, each in "
        "OUTPUT_DIR/METHOD/seedN: names of flags/method/, or flagfiles *.flags "
        "of your own. Flags before --methods hold for all and are overridden "
        "by the methods' own, flags behind it override these.",
    )
    seeds: tuple[int, ...] = option(
        (),
        "With methods: seeds that each of them is trained with; by default "
        "that of --seed.",
    )
    jobs: int = option(
        1,
        "With methods: trainings beside each other, each with its share of the "
        "cores. Small networks leave cores idle; on an accelerator, of which "
        "TensorFlow takes all memory, one is right.",
        range=AT_LEAST_1,
    )
    baseline: str | None = option(
        None,
        "Row that differences are to, by its title or its method; by default "
        "the best of each column.",
    )
    compare_anyway: bool = option(
        False,
        "Compare even if budgets or measurements of the runs differ; the "
        "table says how they do.",
    )


@dataclasses.dataclass(frozen=True)
class AllFlags(ComparisonConfig, Config):
    """The flags of a comparison, with those of its trainings."""


@dataclasses.dataclass(frozen=True)
class CompareConfig(ComparisonConfig, RunConfig, EvaluationConfig):
    """What a comparison itself looks at.

    The other flags of a training are judged with those of each method, of
    which they may be a part.
    """
