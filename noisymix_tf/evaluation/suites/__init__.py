"""Suites by name: what there is to measure, and how.

`SUITES.get("c")()` is one; one of your own inherits from `Suite`.
"""

# Importing a file registers its suite: the order of a report.
from noisymix_tf.evaluation.suites import (  # noqa: F401, I001
    corruptions,
    perturbations,
    shifts,
    attacks,
    calibration,
)
from noisymix_tf.evaluation.suites.core import SUITES, Column, Job, Suite, Task

__all__ = ["SUITES", "Column", "Job", "Suite", "Task"]
