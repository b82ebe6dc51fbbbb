"""Fits the trainer of a run, from wherever the run stands to its last step."""

import bisect
import functools
import inspect
import itertools
import sys
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import data, devices, provenance
from noisymix_tf.callbacks import (
    Checkpoints,
    CorruptionEvaluation,
    JsonLines,
    NoisyMixSchedule,
    Preemption,
    StopOnNaN,
    ViewImages,
)
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.progress import duration, is_quiet, say
from noisymix_tf.training import replication, setup, tuning
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.options import parse_ramps

# A bar has room for these; a line has all.
_IN_BAR = ("loss", "accuracy")
_BELOW_BAR = ("val_accuracy", "val_clean_accuracy", "val_corruption_accuracy")
_WIDTH = 12
# The first execution traces the step; after so many seconds and executions
# more it is known how long one takes.
_SECONDS, _EXECUTIONS = 10, 3


def fit(config, model, dataset, steps_per_epoch, folder) -> None:
    """Trains to the end in a run's folder."""
    strategy, steps = model.distribute_strategy, config.epochs * steps_per_epoch
    moving = schedule(config, steps)
    callbacks = _callbacks(config, model, dataset, folder)
    if moving is not None:
        callbacks.insert(1, moving)
    bar = "bar" if sys.stdout.isatty() else "lines"
    progress = bar if config.progress == "auto" else config.progress
    progress = "none" if is_quiet() else progress
    validation = {}
    if config.validation_epochs:
        images = _test_batches(dataset, config.eval_batch_size)
        validation["validation_data"] = data.distribute_whole(strategy, images)
        validation["validation_freq"] = config.validation_epochs

    def batches(step):
        views = functools.partial(setup.views, config, dataset, step)
        return data.distribute(strategy, views)

    begin = functools.partial(setup.begin, config, model, steps_per_epoch)
    kept = folder.checkpoints, config.keep_checkpoints
    start = train(
        model,
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps_per_epoch,
        checkpoints=CheckpointFolder(*kept),
        checkpoint_steps=config.checkpoint_steps,
        callbacks=callbacks,
        verbose=("none", "bar", "lines").index(progress),
        phases=[
            (phase.epochs, functools.partial(begin, phase))
            for phase in tuning.phases(config)
        ],
        **validation,
    )
    if moving is not None and start == steps:
        # Levels as the last step left them, for what is said of the model.
        moving.set_model(model)
        moving.on_train_batch_begin(steps - 1)
    model.tuning.leave()


def _callbacks(config, model, dataset, folder):
    """What watches a run and writes down how it goes."""
    log_dir = folder.tensorboard if config.tensorboard else None
    callbacks = [StopOnNaN("lower --learning_rate or the noise levels")]
    if config.corruption_epochs:
        # For the log only: no model is chosen by what it does on test images.
        callbacks.append(
            CorruptionEvaluation(
                dataset.test,
                corruptions=config.corruptions or None,
                every_epochs=config.corruption_epochs,
                batch_size=config.eval_batch_size,
                seed=config.eval_seed,
            )
        )
    callbacks.append(JsonLines(folder.metrics, by=provenance.words()))
    if not folder.views.exists():
        if model.source is None:
            batch, _ = next(iter(setup.views(config, dataset)))
        else:
            batch, _ = model.source.batch(config.seed, step=0)
        batch = model.views_of(batch, step=0)
        callbacks.append(ViewImages(batch, folder.views, log_dir))
    if log_dir is not None:
        board = keras.callbacks.TensorBoard(str(log_dir), write_graph=False)
        callbacks.append(board)
    return callbacks


def _test_batches(dataset, batch_size):
    """The test images once, in order, for Keras' own validation."""
    images = tf.TensorSpec([None, *dataset.image_shape], tf.uint8)
    return tf.data.Dataset.from_generator(
        lambda: dataset.test.batches(batch_size),
        output_signature=(images, tf.TensorSpec([None], tf.int32)),
    )


def schedule(method, steps: int) -> NoisyMixSchedule | None:
    """What moves the levels of a `MethodConfig` by its ramps; None for none.

    It goes by the steps of a whole training.
    """
    corners = {}
    for ramp in parse_ramps(method.ramps):
        positions, values = corners.setdefault(ramp.name, ([], []))
        start = values[-1] if values else getattr(method, ramp.name)
        positions += [ramp.first * steps, ramp.last * steps]
        values += [start, ramp.end]
    if not corners:
        return None
    levels = {
        name: functools.partial(np.interp, xp=positions, fp=values)
        for name, (positions, values) in corners.items()
    }
    return NoisyMixSchedule(**levels, by="step")


def train(
    trainer,
    dataset_from,
    *,
    epochs: int,
    steps_per_epoch: int,
    checkpoints: CheckpointFolder,
    checkpoint_steps: int = 0,
    callbacks=(),
    verbose: int = 1,
    phases=(),
    **fit_arguments,
) -> int:
    """Trains on from the newest checkpoint; returns the step of that.

    A run that was interrupted at any step and started again ends with the same
    weights as an uninterrupted one: the state is restored exactly, and batches
    are a function of the step alone (see also `callbacks.Preemption`).

    Args:
        trainer: A `NoisyMix`, compiled.
        dataset_from: Function from a step to an endless `tf.data.Dataset` of
            the batches from that step on.
        epochs, steps_per_epoch: Epochs in all, and steps of each.
        checkpoint_steps: Steps between two checkpoints, each epoch for 0, when
            what callbacks do is done.
        callbacks, verbose, **fit_arguments: As in `fit`.
        phases: `(epochs, begin)` of each phase of the training; `begin` gives
            the trainer, which is ready for the last, a new optimizer. A state
            belongs to the phase in which its last step was done.
    """
    stretches = _Phases(phases or [(epochs, None)], steps_per_epoch)
    checkpoints.tidy()
    restored = checkpoints.restore(trainer, stretches.enter)
    start, metrics = replication.from_chief(trainer, *restored)
    if start:
        say(f"Continued from step {start}.")
    metrics = metrics if start % steps_per_epoch else ()
    every = checkpoint_steps or steps_per_epoch
    saver = Checkpoints(checkpoints, every, restored_metrics=metrics)
    preemption, executions = Preemption(saver), _Executions(not verbose)
    timed_from = stretches.ends[-2] if len(phases) > 1 else 0
    bar = EpochBar(epochs, verbose, steps_per_epoch, timed_from)
    callbacks = [*callbacks, executions, bar, saver, preemption]
    try:
        for step, part in stretches.parts(start):
            trainer.fit(
                dataset_from(step),
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
                **part,
                **fit_arguments,
            )
            executions.close()
    finally:
        for callback in (executions, preemption, saver):
            callback.close()
    return start


class _Phases:
    """Which phase a training is in; `ends` are the steps behind them."""

    def __init__(self, phases, steps_per_epoch):
        epochs, self._begin = zip(*phases)
        self._length = steps_per_epoch
        self.ends = [e * self._length for e in itertools.accumulate(epochs)]
        self._now = len(epochs) - 1

    def enter(self, step) -> int:
        """Begins the phase of a step, counted from 1, and returns its end."""
        index = bisect.bisect_left(self.ends, step)
        if index != self._now:
            self._now = index
            self._begin[index]()
        return self.ends[index]

    def parts(self, step) -> Iterator[tuple[int, dict]]:
        """From a step on: the first step of each `fit`, and its arguments."""
        while step < self.ends[-1]:
            epoch, done = divmod(step, self._length)
            end = self.enter(step + 1)
            # An epoch entered in the middle is a `fit` of its own, because
            # `fit` knows only epochs of one length.
            last = epoch + 1 if done else end // self._length
            part = {"initial_epoch": epoch, "epochs": last}
            yield step, part | {"steps_per_epoch": self._length - done}
            step = last * self._length


class _Executions(keras.callbacks.Callback):
    """Ends an execution of several steps with its epoch; says what one needs.

    Keras takes `steps_per_execution` batches whatever is left of an epoch.
    """

    def __init__(self, is_silent):
        super().__init__()
        self._is_silent = is_silent
        self._function = self._seen = None

    def on_train_begin(self, logs=None):
        if self._function is None:
            self._function = self.model.train_function
            self.model.train_function = self._execute

    def on_train_batch_begin(self, batch, logs=None):
        self._left = self.params["steps"] - batch

    def close(self) -> None:
        """Gives the model its own function back."""
        if self._function is not None:
            self.model.train_function = self._function
            self._function = None

    def _execute(self, batches):
        is_new, self._seen = self._seen is not self._function, self._function
        if is_new and not self.model.run_eagerly:
            # Traced here, it is not traced again by the first step.
            inner = inspect.getclosurevars(self._function).nonlocals
            step = inner["multi_step_on_iterator"]
            devices.announce_memory(
                step.get_concrete_function(batches),
                self.model.distribute_strategy,
                is_silent=self._is_silent,
            )
        if self._left < self.model.steps_per_execution:
            # Of what is no iterator of TensorFlow Keras takes step by step.
            batches = itertools.islice(batches, self._left)
        return self._function(batches)


class EpochBar(keras.callbacks.Callback):
    """Keras' progress bar, within 80 columns, that counts as the run does.

    It shows loss and accuracy, and below them what is measured at the end of an
    epoch, where Keras' own has all metrics. After the first steps a line on the
    standard error says how long all that are left will take; after those behind
    `timed_from`, where steps before it take another time. `verbose` is as in
    `fit`, which itself gets 0.
    """

    def __init__(self, epochs, verbose, steps_per_epoch, timed_from=0):
        super().__init__()
        self._timed_from = timed_from
        self._epochs, self._verbose = epochs, verbose
        self._steps = epochs * steps_per_epoch
        self._executions, self._is_told = 0, not verbose

    def on_epoch_begin(self, epoch, logs=None):
        if self._verbose:
            print(f"Epoch {epoch + 1}/{self._epochs}", flush=True)
        # Metrics as they are: Keras has averaged them over the epoch.
        how = {"verbose": self._verbose, "stateless_metrics": ()}
        steps = self.params["steps"]
        self._bar = keras.utils.Progbar(steps, width=_WIDTH, **how)

    def on_train_batch_end(self, batch, logs=None):
        if self._verbose == 1:
            # The last of several steps that are one may go beyond the epoch.
            done = min(batch + 1, self.params["steps"])
            self._bar.update(done, _of(logs, _IN_BAR), finalize=False)
        if not self._is_told:
            self._tell_time()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        shown = _of(logs, _IN_BAR) if self._verbose == 1 else logs.items()
        self._bar.update(self.params["steps"], list(shown), finalize=True)
        below = [f"{n}: {v:.4f}" for n, v in _of(logs, _BELOW_BAR)]
        if self._verbose == 1 and below:
            print(" - ".join(below), flush=True)

    def _tell_time(self):
        now, step = time.monotonic(), step_of(self.model)
        if step <= self._timed_from:
            return
        if not self._executions:
            self._start = now, step
        self._executions += 1
        seconds, steps = now - self._start[0], step - self._start[1]
        if self._executions <= _EXECUTIONS or seconds < _SECONDS:
            return
        self._is_told, left = True, self._steps - step
        # Not behind a bar, which goes on below.
        end = "\n" * (self._verbose == 1)
        words = duration(left * seconds / steps)
        say(f"{end}About {words} for the {left:,} steps that are left")


def _of(logs, names):
    return [(name, logs[name]) for name in names if name in (logs or {})]
