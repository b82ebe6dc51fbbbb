"""Checkpoints of the training state, from which a run continues exactly."""

import os

import keras
import numpy as np

from noisymix_tf.training import checkpoint as checkpoint_lib
from noisymix_tf.training.unwrap import step_of


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state every few steps, for an exact continuation.

    Put it last: at the end of an epoch it saves when the callbacks before it
    have done their work, so that a run killed in between does that work again.

    Args:
        folder: `noisymix_tf.training.checkpoint.CheckpointFolder` to write to,
            or its path.
        every_steps: Steps between checkpoints.
        restored_metrics: The running metrics that `folder.restore` returned:
            a run continued in the middle of an epoch goes on averaging where
            the interrupted one stopped.

    Example:

    >>> folder = CheckpointFolder("run/checkpoints")
    >>> step, _ = folder.restore(model)
    >>> model.fit(
    ...     dataset_from(step),
    ...     initial_epoch=step // 390,
    ...     epochs=200,
    ...     steps_per_epoch=390,
    ...     callbacks=[Checkpoints(folder, every_steps=390)],
    ... )
    """

    def __init__(self, folder, every_steps, restored_metrics=()):
        super().__init__()
        if isinstance(folder, str | os.PathLike):
            folder = checkpoint_lib.CheckpointFolder(folder)
        self._folder = folder
        self._every_steps = every_steps
        self._restored_metrics = restored_metrics
        self._saved_step = None
        self._is_due = False

    def on_train_batch_end(self, batch, logs=None):
        if len(self._restored_metrics):
            # Metrics exist from the first step on. Their variables are sums,
            # so that the interrupted part of the epoch can be added to it.
            current = checkpoint_lib.metric_variables(self.model)
            sums = [v + r for v, r in zip(current, self._restored_metrics)]
            checkpoint_lib.assign(current, [np.asarray(v) for v in sums])
            self._restored_metrics = ()
        step = step_of(self.model)
        if step % self._every_steps == 0:
            if batch + 1 == self.params.get("steps"):
                self._is_due = True
            else:
                self._save(step)

    def on_epoch_end(self, epoch, logs=None):
        if self._is_due:
            self._is_due = False
            self._save(step_of(self.model))

    def on_train_end(self, logs=None):
        self._save(step_of(self.model))

    def _save(self, step):
        if step != self._saved_step and self._folder.save(self.model, step):
            self._saved_step = step
