"""Evaluation: accuracy, calibration and robustness of any Keras classifier.

>>> import keras
>>> import numpy as np
>>> layers = [keras.Input([8, 8, 3]), keras.layers.Flatten()]
>>> layers += [keras.layers.Dense(2, kernel_initializer="zeros")]
>>> arrays = np.zeros([4, 8, 8, 3], np.uint8), [0, 1, 0, 0]
>>> what = {"suites": ("clean", "c"), "corruptions": ("fog",)}
>>> results = evaluate(keras.Sequential(layers), arrays, **what, progress=None)
>>> results.figures["clean/accuracy"], results.figures["c/mean_accuracy"]
(0.75, 0.75)
"""

from noisymix_tf.evaluation import robustbench
from noisymix_tf.evaluation.engine import estimate
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.options import Settings
from noisymix_tf.evaluation.records import Cell, Records
from noisymix_tf.evaluation.reference import Reference
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.runner import (
    Plan,
    Results,
    checked,
    evaluate,
    merge,
    plan,
)
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
