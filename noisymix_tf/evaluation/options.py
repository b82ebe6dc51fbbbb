"""Options of the evaluation: which suites, beside what they measure."""

import dataclasses

from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.evaluation.suites import SUITES
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    NOT_EMPTY,
    Options,
    flags_of,
    option,
)


@dataclasses.dataclass(frozen=True)
class WhatIsMeasured(Options):
    """What is measured."""

    suites: tuple[str, ...] = option(
        ("clean", "c"),
        "Suites: clean, c (corruptions), p (stability along sequences), r "
        "(ImageNet-R or another shifted set), fgsm, pgd, autoattack (needs "
        "packages of its own), calibration (the cells of clean and c).",
        choices=SUITES,
        range=NOT_EMPTY,
        free=True,
        first=True,
    )
    reference: str | None = option(
        None,
        "What errors and flips are divided by: the report.json of another "
        "run, a file of constants, or alexnet (the default for 1,000 classes).",
        free=True,
        exists=True,
    )
    eval_batch_size: int = option(
        250, "Images a batch of the evaluation.", range=AT_LEAST_1, free=True
    )
    num_workers: int | None = option(
        None,
        "Processes that make images for the evaluation, 0 for none; by default "
        "one for each core, but no more than one for each thousand images.",
        range=AT_LEAST_0,
        free=True,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(WhatIsMeasured, flags_of(Settings)):
    """What is measured, and how."""

    def __post_init__(self):
        super().__post_init__()
        # Their names, radii and files are known without a model.
        Settings(**self.settings())

    def settings(self):
        """The options of `evaluation.Settings`, by name."""
        return self.arguments(Settings)
