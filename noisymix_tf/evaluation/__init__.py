"""Evaluation: accuracy, calibration and robustness of any Keras classifier.

>>> from noisymix_tf import evaluation
>>> results = evaluation.evaluate(model, dataset, output_dir="run")
>>> print(results)
"""

from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.engine import estimate
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.plan import Plan, checked, plan
from noisymix_tf.evaluation.records import Records
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.runner import Results, evaluate, merge
from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.evaluation.suites import SUITES, Column, Job, Suite, Task
from noisymix_tf.models.classifier import load_classifier

__all__ = [
    "SUITES",
    "Cell",
    "Column",
    "ImageScores",
    "Job",
    "Plan",
    "Records",
    "Reference",
    "Report",
    "Results",
    "Settings",
    "Suite",
    "Task",
    "checked",
    "estimate",
    "evaluate",
    "load_classifier",
    "merge",
    "plan",
    "robustbench",
]
