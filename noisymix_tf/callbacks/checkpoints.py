"""What a training saves, and how it ends before its time and goes on."""

import math
import os
import signal
import threading
import warnings

import keras
import numpy as np

from noisymix_tf import distribution, model_card
from noisymix_tf.callbacks.corruption_evaluation import METRICS
from noisymix_tf.checks import whole_number
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.models.unwrap import classifier_of, step_of
from noisymix_tf.progress import warn
from noisymix_tf.training import checkpoint as checkpoint_lib
from noisymix_tf.training import replication
from noisymix_tf.training.precision import scales_loss

# Steps after which many machines ask each other: it costs them a message.
_ASK_EVERY = 10
_FALLING = "loss error entropy jsd kl nll brier ece mae mse".split()
_NOT_FINITE = "weights, statistics or the optimizer are not finite"
_RISING = "acc auc precision recall f1 iou dice".split()


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state every few steps, for an exact continuation.

    Training waits only while the values are copied; a thread writes them. What
    cannot be written (the disk is full) is told on the standard error, and the
    next one tried in its turn. Only the last one must succeed, or `fit` ends
    in a `UsageError`.

    A training that begins before a checkpoint in the folder is refused. Where
    weights are not finite nothing is saved, which is told once.

    Put it last: at the end of an epoch it saves when the callbacks before it
    have done their work, so that a run killed in between does that work again.

    Args:
        folder: `training.checkpoint.CheckpointFolder`, or its path.
        every_steps: Steps between checkpoints, at least 1.
        restored_metrics: What `folder.restore` returned, to go on averaging in
            the middle of an epoch.

    Example, with epochs of 390 steps, and checkpoints at their ends only (in
    the middle of one, `fit` would begin that epoch anew)::

        step, _ = folder.restore(model)
        begin = {"initial_epoch": step // 390, "steps_per_epoch": 390}
        saver = Checkpoints(folder, every_steps=390)
        model.fit(dataset_from(step), epochs=200, callbacks=[saver], **begin)
    """

    def __init__(self, folder, every_steps, restored_metrics=()):
        super().__init__()
        if isinstance(folder, str | os.PathLike):
            folder = checkpoint_lib.CheckpointFolder(folder)
        self._folder = folder
        self._every_steps = whole_number("every_steps", every_steps, 1)
        self._restored_metrics = restored_metrics
        self._saved_step, self._is_due = None, False

    def on_train_begin(self, logs=None):
        self.close()
        self._step, self._saved_step = step_of(self.model), None
        self._is_told = False
        later = [s for s in self._folder.usable() if s > self._step]
        if later:
            raise UsageError(
                f"{self._folder.path} holds checkpoints of later steps "
                f"({', '.join(map(str, later))}), this training begins at step "
                f"{self._step}: restore them first, or name another folder."
            )

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
            if not _is_last(batch, self.params):
                self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        if self._is_due:
            self._is_due = False
            self._save(background=True)

    def on_train_end(self, logs=None):
        self.save_now()

    def save_now(self) -> str:
        """Saves the state after the last step; it is on disk on return.

        Returns in words what was saved, or why not.
        """
        try:
            if self._save():
                return f"saved at step {self._saved_step}"
            steps = self._folder.usable()
            last = f"step {steps[-1]}" if steps else "none"
            return f"not saved: {_NOT_FINITE}; last checkpoint: {last}"
        except OSError as error:
            failed = self._failed(step_of(self.model), "cannot", error)
            raise UsageError(
                f"{failed} Make room, or make it writable, and give the same "
                f"command again."
            ) from error

    def close(self) -> None:
        """Returns when nothing is being written any more."""
        try:
            self._folder.wait()
        except OSError as error:
            failed = self._failed(self._saved_step, "could not", error)
            self._saved_step = None
            warn(f"{failed} The next one is tried in its turn.")

    def _save(self, **how):
        """Whether the state is saved, or being written."""
        self.close()
        step = step_of(self.model)
        if step == self._saved_step:
            return True
        is_saved = self._folder.save(self.model, step, **how)
        if is_saved:
            self._saved_step = step
        elif not self._is_told:
            self._is_told = True
            warn(f"No checkpoint of step {step} is written: {_NOT_FINITE}.")
        return is_saved

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

    >>> checkpoints = Checkpoints("run/checkpoints", every_steps=390)
    >>> callbacks = [checkpoints, Preemption(checkpoints)]  # Of `fit`.
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
        is_last = _is_last(batch, self.params)
        if not is_last and self._calls % self._ask_every == 0:
            self.on_epoch_end(None)

    def on_epoch_end(self, epoch, logs=None):
        if not self._any_machine(self._received is not None):
            return
        message = self._checkpoints.save_now()
        received, self._received = self._received, None
        self.close()
        if received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise Preempted(message)

    def on_train_end(self, logs=None):
        self.on_epoch_end(None)
        self.close()

    def close(self) -> None:
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


def _is_last(batch, params):
    """Whether the epoch ends with a batch, or with one of its execution."""
    return batch + 1 >= (params.get("steps") or math.inf)


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


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the classifier whenever a metric is better than ever before.

    The best value, with its epoch and step, stands in the model card beside
    the file and is read when training begins: a continued run never replaces a
    model by one that is not better. A kill at any moment leaves the old model
    with its card or the new one with its own.

    Args:
        path: File to write, `*.keras`.
        monitor: Name of the metric. In epochs without it nothing is saved.
            The callback that measures it must stand before this one.
        mode: `"max"`, `"min"`, or `"auto"`: by the name of the metric.
        provenance: Dict of what the card is to say beyond the model and its
            training, as arguments of `noisymix_tf.save`.

    Attributes:
        best: The best so far: dict of `value`, `epoch`, `step`; or `None`.

    Raises:
        UsageError: A bad argument; from `fit`, a file of another monitor,
            network or hand, or a metric that is not there.

    >>> callbacks = [BestCheckpoint("best.keras", "val_accuracy")]  # Of `fit`.
    """

    def __init__(
        self, path, monitor="val_accuracy", mode="auto", provenance=None
    ):
        super().__init__()
        self._path, self._monitor = model_card.checked_path(path), monitor
        self._mode = _direction(monitor) if mode == "auto" else mode
        if self._mode not in ("min", "max"):
            raise UsageError(f"mode={mode!r} must be 'auto', 'min' or 'max'.")
        self._provenance = dict(provenance or {})
        self.best = None
        self._epochs, self._is_told = 0, False

    def on_train_begin(self, logs=None):
        self._epochs, self.best = 0, None
        if self._path.exists():
            self.best = self._of_earlier_run(model_card.read(self._path))
            # Finishes what a kill may have left half done.
            model_card.write(self._path)

    def _of_earlier_run(self, card):
        best, size = card.get("best"), card["model"]["parameters"]
        count = classifier_of(self.model).count_params()
        what = None
        if best is None:
            what = "was not written by BestCheckpoint"
        elif (best["mode"], best["monitor"]) != (self._mode, self._monitor):
            what = f"is the best by {best['mode']} of {best['monitor']}, not by"
            what += f" {self._mode} of {self._monitor}"
        elif size != count:
            what = f"holds another network, of {size} parameters, not {count}"
        if what:
            raise UsageError(
                f"{self._path} {what}: name another file, or remove this one "
                f"to begin afresh."
            )
        if not step_of(self.model):
            warnings.warn(
                f"{self._path} holds the best model of an earlier run "
                f"({self._monitor} {best['value']:g} in epoch {best['epoch']}) "
                f"until there is a better one; remove it to begin afresh.",
                stacklevel=2,
            )
        return best

    def on_epoch_end(self, epoch, logs=None):
        self._epochs += 1
        value = (logs or {}).get(self._monitor)
        if value is None:
            self._miss(logs or {})
            return
        self._is_told, value = True, float(value)
        sign = 1.0 if self._mode == "max" else -1.0
        least = -math.inf if self.best is None else sign * self.best["value"]
        if math.isfinite(value) and sign * value > least:
            best = {"monitor": self._monitor, "mode": self._mode}
            best |= {"epoch": epoch + 1, "step": step_of(self.model)}
            more = self._provenance | {"best": best | {"value": value}}
            model_card.save(self.model, self._path, **more)
            self.best = more["best"]

    def on_train_end(self, logs=None):
        if self._epochs > 1:
            self._miss(logs or {}, is_last=True)

    def _miss(self, logs, is_last=False):
        """Complains once, unless the metric may come with a later epoch."""
        name = self._monitor.removeprefix("val_")
        if self._is_told or self.best is not None:
            return
        if name == self._monitor:
            known = ", ".join(logs)
            raise UsageError(f"There is no metric {name!r}; there are {known}.")
        # Those of `CorruptionEvaluation` come without one of training.
        is_late = name in logs or any(word in name for word in METRICS)
        if is_last or not is_late:
            self._is_told = True
            warnings.warn(
                f"BestCheckpoint saves nothing while there is no metric "
                f"{self._monitor!r}. There are: {', '.join(logs)}. What "
                f"measures it must stand before it in the list of callbacks.",
                stacklevel=2,
            )


def _direction(monitor):
    for mode, words in (("min", _FALLING), ("max", _RISING)):
        if any(word in monitor.lower() for word in words):
            return mode
    raise UsageError(
        f"Whether {monitor!r} should rise or fall is not known: give "
        f"mode='max' or mode='min'."
    )
