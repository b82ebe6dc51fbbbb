"""Sections of a report, one module for each kind of measurement."""

from noisymix_tf.evaluation.sections import (
    attacks,
    calibration,
    clean,
    corruptions,
    cost,
    perturbations,
    shifts,
)
from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Bars,
    Context,
    Figure,
    Reliability,
    Section,
    Table,
    distinct,
    only,
    tallies,
)

__all__ = [
    "SECTIONS",
    "Bars",
    "Context",
    "Figure",
    "Reliability",
    "Section",
    "Table",
    "attacks",
    "calibration",
    "clean",
    "corruptions",
    "cost",
    "distinct",
    "only",
    "perturbations",
    "shifts",
    "tallies",
]
