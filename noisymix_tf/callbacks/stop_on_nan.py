"""Ends a training run whose loss is no longer a number."""

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.training.unwrap import step_of


class TrainingDiverged(UsageError):
    """The loss is no longer a finite number."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops with `TrainingDiverged` as soon as the loss is not finite.

    Put it before any callback that saves weights.

    Args:
        advice: What the error should tell the user to do.

    Example:

    >>> model.fit(dataset, callbacks=[StopOnNaN()])
    """

    def __init__(self, advice="lower the learning rate"):
        super().__init__()
        self._advice = advice

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"The loss became {loss} at step {step_of(self.model)}; "
                f"expected a finite number: {self._advice}."
            )
