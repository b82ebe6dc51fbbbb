"""Training that ends before its time, and that goes on as if it had not."""

import math
import os
import signal
import sys
import threading

import keras
import numpy as np

from noisymix_tf import distribution
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.training import checkpoint as checkpoint_lib
from noisymix_tf.training import replication
from noisymix_tf.training.precision import scales_loss

# Steps after which many machines ask each other: it costs them a message.
_ASK_EVERY = 10


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state every few steps, for an exact continuation.

    Training waits only while the values are copied; a thread writes them. What
    cannot be written (the disk is full) is told on the standard error, and the
    next one tried in its turn. Only the last one must succeed.

    Put it last: at the end of an epoch it saves when the callbacks before it
    have done their work, so that a run killed in between does that work again.

    Args:
        folder: `training.checkpoint.CheckpointFolder`, or its path.
        every_steps: Steps between checkpoints.
        restored_metrics: What `folder.restore` returned, to go on averaging in
            the middle of an epoch.

    Raises:
        UsageError: From `fit`, when the last checkpoint cannot be written.

    Example:

    >>> step, _ = folder.restore(model)
    >>> begin = {"initial_epoch": step // 390, "steps_per_epoch": 390}
    >>> saver = Checkpoints(folder, every_steps=390)
    >>> model.fit(dataset_from(step), epochs=200, callbacks=[saver], **begin)
    """

    def __init__(self, folder, every_steps, restored_metrics=()):
        super().__init__()
        if isinstance(folder, str | os.PathLike):
            folder = checkpoint_lib.CheckpointFolder(folder)
        self._folder, self._every_steps = folder, every_steps
        self._restored_metrics = restored_metrics
        self._step, self._saved_step, self._is_due = 0, None, False

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
            self._is_due = True
            if batch + 1 < (self.params.get("steps") or math.inf):
                self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        if self._is_due:
            self._is_due = False
            self._save(background=True)

    def on_train_end(self, logs=None):
        self.save_now()

    def save_now(self):
        """Saves the state after the last step; it is on disk on return."""
        try:
            self._save()
        except OSError as error:
            step = step_of(self.model)
            raise UsageError(
                f"{self._failed(step, 'cannot', error)} Make room, or make it "
                f"writable, and give the same command again."
            ) from error

    def close(self):
        """Returns when nothing is being written any more."""
        try:
            self._folder.wait()
        except OSError as error:
            words = self._failed(self._saved_step, "could not", error)
            self._saved_step = None
            words += " The next one is tried in its turn."
            print(words, file=sys.stderr, flush=True)

    def _save(self, **how):
        self.close()
        step = step_of(self.model)
        if step != self._saved_step:
            if self._folder.save(self.model, step, **how):
                self._saved_step = step

    def _failed(self, step, verb, error):
        return (
            f"The checkpoint of step {step} {verb} be written to "
            f"{self._folder.path} ({error.strerror or error}); older ones are "
            f"as they were."
        )


class Preemption(keras.callbacks.Callback):
    """Ends training after the step under way, with a checkpoint.

    After SIGTERM, which schedulers send to a machine that is about to be taken
    away, the step is finished, its checkpoint written, and `Preempted` raised,
    which ends the process with status 75; after Ctrl-C `KeyboardInterrupt`. A
    second signal ends the process at once. A signal after the last step of an
    epoch takes effect when the epoch is done, with its validation and its log.
    Outside the main thread it does nothing. Machines that train together all
    end after the same step, ten steps later at most.

    Args:
        checkpoints: The `Checkpoints` that saves, which stands before this
            callback in the list; from `fit`, its `UsageError`.

    Example:

    >>> checkpoints = Checkpoints("run/checkpoints", every_steps=390)
    >>> model.fit(dataset, callbacks=[checkpoints, Preemption(checkpoints)])
    """

    def __init__(self, checkpoints):
        super().__init__()
        self._checkpoints = checkpoints
        self._received, self._previous = None, {}
        self._ask_every, self._calls = 1, 0

    def on_train_begin(self, logs=None):
        strategy = self.model.distribute_strategy
        self._any_machine = replication.any_machine(strategy)
        if distribution.has_many_machines(strategy):
            self._ask_every = _ASK_EVERY
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            # A program that ignores a signal goes on ignoring it.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, batch, logs=None):
        self._calls += 1
        # The last of several steps that are carried out as one may be missing.
        is_last = batch + 1 >= (self.params.get("steps") or math.inf)
        if not is_last and self._calls % self._ask_every == 0:
            self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        if not self._any_machine(self._received is not None):
            return
        self._checkpoints.save_now()
        received, self._received = self._received, None
        self.close()
        message = f"saved at step {step_of(self.model)}"
        if received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise Preempted(message)

    def on_train_end(self, logs=None):
        self.on_epoch_end(None)
        self.close()

    def close(self):
        """Gives signals back to who had them; for a `fit` that failed, too."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler or signal.SIG_DFL)

    def _receive(self, number, frame):
        self._received = number
        signal.signal(number, signal.SIG_DFL)
        # Not `print`, which the signal may have interrupted.
        words = "Finishing the step and saving; a second signal ends at once."
        os.write(2, f"\n{words}\n".encode())


class TrainingDiverged(UsageError):
    """The loss is no longer a finite number."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops with `TrainingDiverged` as soon as the loss is not finite.

    A `LossScaleOptimizer` leaves out a step that overflows and halves its
    scale. With it training stops when the scale has fallen below one: then it
    is not the scale that makes things overflow. Put it before any callback
    that saves weights.

    Args:
        advice: What the error should tell the user to do.

    Example:

    >>> model.fit(dataset, callbacks=[StopOnNaN()])
    """

    def __init__(self, advice="lower the learning rate"):
        super().__init__()
        self._advice = advice

    def on_train_batch_end(self, batch, logs=None):
        optimizer, loss = self.model.optimizer, (logs or {}).get("loss", 0.0)
        what, advice = None, self._advice
        if not scales_loss(optimizer):
            what = None if np.isfinite(loss) else f"The loss became {loss} at"
        elif (scale := float(np.asarray(optimizer.dynamic_scale))) < 1.0:
            what = (
                f"Loss or gradients overflow: their scale fell to {scale:g} by"
            )
            advice += ", or use mixed_bfloat16"
        if what:
            step = step_of(self.model)
            raise TrainingDiverged(f"{what} step {step}: {advice}.")
