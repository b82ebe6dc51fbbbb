"""Suites by name: what there is to measure, and how.

`SUITES.get("c")()` is one; a suite of one's own inherits from `ImageSuite`.
"""

from noisymix_tf.evaluation.suites import (
    attacks,
    auto_attack,
    calibration,
    clean,
    corruptions,
    perturbations,
    shifts,
)
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite, Job, Suite

__all__ = [
    "SUITES",
    "ImageSuite",
    "Job",
    "Suite",
    "attacks",
    "auto_attack",
    "calibration",
    "clean",
    "corruptions",
    "perturbations",
    "shifts",
]
