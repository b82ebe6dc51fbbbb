"""Callbacks for `fit`, of a `NoisyMix` and of any other Keras model."""

from noisymix_tf.callbacks.checkpoints import (
    BestCheckpoint,
    Checkpoints,
    Preemption,
    StopOnNaN,
    TrainingDiverged,
)
from noisymix_tf.callbacks.corruption_evaluation import CorruptionEvaluation
from noisymix_tf.callbacks.logs import JsonLines, ViewImages
from noisymix_tf.callbacks.schedule import NoisyMixSchedule, ramp

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
