"""Ends a training run whose loss is no longer a number."""

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.training.precision import scales_loss


class TrainingDiverged(UsageError):
    """The loss is no longer a finite number."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops with `TrainingDiverged` as soon as the loss is not finite.

    An optimizer that scales the loss (`keras.optimizers.LossScaleOptimizer`,
    for float16) leaves out a step that overflows and halves the scale. With it
    training stops when the scale has fallen below one: then it is not the
    scale that makes things overflow.

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
        if scales_loss(self.model.optimizer):
            self._check_scale(self.model.optimizer.dynamic_scale)
            return
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"The loss became {loss} at step {step_of(self.model)}; "
                f"expected a finite number: {self._advice}."
            )

    def _check_scale(self, scale):
        scale = float(np.asarray(scale))
        if scale < 1.0:
            raise TrainingDiverged(
                f"The loss scale fell to {scale:g} by step "
                f"{step_of(self.model)}: loss or gradients overflow without "
                f"any scaling; {self._advice}, or use mixed_bfloat16."
            )
