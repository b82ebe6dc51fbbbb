"""Evaluation: accuracy, calibration and robustness of any Keras classifier.

>>> from noisymix_tf import evaluation
>>> results = evaluation.evaluate(model, dataset, output_dir="run")
>>> print(results)
"""

from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.cells import Cell, CellFile
from noisymix_tf.evaluation.classifier import load_classifier
from noisymix_tf.evaluation.metrics import Tally
from noisymix_tf.evaluation.progress import Progress
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.runner import Results, check_selection, evaluate
from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.evaluation.suites import SUITES, ImageSuite, Job, Suite

__all__ = [
    "SUITES",
    "Cell",
    "CellFile",
    "ImageSuite",
    "Job",
    "Progress",
    "Reference",
    "Report",
    "Results",
    "Settings",
    "Suite",
    "Tally",
    "check_selection",
    "evaluate",
    "load_classifier",
    "robustbench",
]
