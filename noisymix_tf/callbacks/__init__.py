"""Callbacks for `fit`, of a `NoisyMix` and of any other Keras model.

>>> from noisymix_tf import callbacks
>>> model.fit(
...     images,
...     labels,
...     callbacks=[
...         callbacks.CorruptionEvaluation(test_images, test_labels),
...         callbacks.JsonLines("metrics.jsonl"),
...     ],
... )
"""

from noisymix_tf.callbacks.best_checkpoint import BestCheckpoint
from noisymix_tf.callbacks.checkpoints import Checkpoints
from noisymix_tf.callbacks.corruption_evaluation import CorruptionEvaluation
from noisymix_tf.callbacks.json_lines import JsonLines
from noisymix_tf.callbacks.preemption import Preemption
from noisymix_tf.callbacks.schedule import NoisyMixSchedule, ramp
from noisymix_tf.callbacks.stop_on_nan import StopOnNaN, TrainingDiverged
from noisymix_tf.callbacks.view_images import ViewImages

__all__ = [
    "BestCheckpoint",
    "Checkpoints",
    "CorruptionEvaluation",
    "JsonLines",
    "NoisyMixSchedule",
    "Preemption",
    "StopOnNaN",
    "TrainingDiverged",
    "ViewImages",
    "ramp",
]
