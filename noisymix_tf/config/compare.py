"""Flags of a comparison."""

import dataclasses

from noisymix_tf.config.evaluation import EvaluationConfig
from noisymix_tf.config.fields import AT_LEAST_1, Group, field
from noisymix_tf.config.run import RunConfig


@dataclasses.dataclass(frozen=True)
class ComparisonConfig(Group):
    """What is compared."""

    runs: tuple = field(
        (),
        "Directories of runs, of evaluations of any model, or of several of "
        "them; they may be given without --runs=, too.",
    )
    methods: tuple = field(
        (),
        "In place of runs: methods that are trained in turn, each in "
        "OUTPUT_DIR/METHOD/seedN: names of flags/method/, or flagfiles *.flags "
        "of your own. Flags before --methods hold for all and are overridden "
        "by the methods' own, flags behind it override these.",
    )
    seeds: tuple = field(
        (),
        "With methods: seeds that each of them is trained with; by default "
        "that of --seed.",
        item=int,
    )
    jobs: int = field(
        1,
        "With methods: trainings beside each other, each with its share of the "
        "cores. Small networks leave cores idle; on an accelerator, of which "
        "TensorFlow takes all memory, one is right.",
        range=AT_LEAST_1,
    )
    baseline: str | None = field(
        None,
        "Row that differences are to, by its title or its method; by default "
        "the best of each column.",
        kind=str,
    )
    compare_anyway: bool = field(
        False,
        "Compare even if budgets or measurements of the runs differ; the "
        "table says how they do.",
    )


@dataclasses.dataclass(frozen=True)
class ComparisonFlags:
    """The flags that a comparison has beside those of its trainings."""

    comparison: ComparisonConfig = dataclasses.field(
        default_factory=ComparisonConfig
    )


@dataclasses.dataclass(frozen=True)
class CompareConfig(ComparisonFlags):
    """What a comparison itself looks at.

    The other flags of a training are judged with those of each method, of
    which they may be a part.
    """

    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    evaluation: EvaluationConfig = dataclasses.field(
        default_factory=EvaluationConfig
    )
