"""Checkpoints of the training state, from which a run continues exactly."""

import math
import os
import sys

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.training import checkpoint as checkpoint_lib


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state every few steps, for an exact continuation.

    Training waits only while the values are copied; a thread writes them. One
    that cannot be written (the disk is full) is reported in a line on the
    standard error; training goes on, and the next one is tried in its turn.
    Only the last one must succeed.

    Put it last: at the end of an epoch it saves when the callbacks before it
    have done their work, so that a run killed in between does that work again.

    Args:
        folder: `noisymix_tf.training.checkpoint.CheckpointFolder` to write to,
            or its path.
        every_steps: Steps between checkpoints.
        restored_metrics: The running metrics that `folder.restore` returned:
            a run continued in the middle of an epoch goes on averaging where
            the interrupted one stopped.

    Raises:
        UsageError: From `fit`, when the last checkpoint cannot be written.

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
        self._step = 0
        self._saved_step = None
        self._is_due = False

    def on_train_begin(self, logs=None):
        self._step = step_of(self.model)

    def on_train_batch_end(self, batch, logs=None):
        if len(self._restored_metrics):
            # Metrics exist from the first step on. Their variables are sums,
            # so that the interrupted part of the epoch can be added to it.
            current = checkpoint_lib.metric_variables(self.model)
            sums = [v + r for v, r in zip(current, self._restored_metrics)]
            checkpoint_lib.assign(current, [np.asarray(v) for v in sums])
            self._restored_metrics = ()
        before, self._step = self._step, step_of(self.model)
        # Several steps may have been carried out as one.
        if self._step // self._every_steps > before // self._every_steps:
            if batch + 1 >= (self.params.get("steps") or math.inf):
                self._is_due = True
            else:
                self._save()

    def on_epoch_end(self, epoch, logs=None):
        if self._is_due:
            self._is_due = False
            self._save()

    def on_train_end(self, logs=None):
        self.save_now()

    def save_now(self):
        """Saves the state after the last step; it is on disk on return.

        Raises:
            UsageError: It cannot be written.
        """
        self.close()
        step = step_of(self.model)
        if step == self._saved_step:
            return
        try:
            if self._folder.save(self.model, step):
                self._saved_step = step
        except OSError as error:
            raise UsageError(
                f"The checkpoint of step {step} cannot be written to "
                f"{self._folder.path} ({error.strerror or error}); older ones "
                f"are as they were. Make room, or make it writable, and give "
                f"the same command again."
            ) from error

    def close(self):
        """Returns when nothing is being written any more."""
        try:
            self._folder.wait()
        except OSError as error:
            self._report(error)

    def _save(self):
        self.close()
        step = step_of(self.model)
        if step == self._saved_step:
            return
        if self._folder.save(self.model, step, background=True):
            self._saved_step = step

    def _report(self, error):
        step, self._saved_step = self._saved_step, None
        print(
            f"The checkpoint of step {step} could not be written to "
            f"{self._folder.path} ({error.strerror or error}); older ones are "
            f"as they were. The next one is tried in its turn.",
            file=sys.stderr,
            flush=True,
        )
