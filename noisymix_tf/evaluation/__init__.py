"""Evaluation: accuracy, calibration and robustness of any Keras classifier.

>>> from noisymix_tf import evaluation
>>> results = evaluation.evaluate(model, dataset, output_dir="run")
>>> print(results)
"""

from noisymix_tf.evaluation.cells import Cell, CellFile
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.runner import (
    Results,
    check_selection,
    evaluate,
    print_progress,
)
from noisymix_tf.evaluation.suites import SUITES, ImageSuite, Job, Suite

__all__ = [
    "SUITES",
    "Cell",
    "CellFile",
    "ImageSuite",
    "Job",
    "Report",
    "Results",
    "Suite",
    "Tally",
    "check_selection",
    "evaluate",
    "print_progress",
]
