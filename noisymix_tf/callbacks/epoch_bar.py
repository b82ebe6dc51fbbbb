"""What a training says of its epochs, and of the time that is left."""

import sys
import time

import keras

from noisymix_tf.models.unwrap import step_of
from noisymix_tf.progress import duration

# A bar has room for these; a line has all.
_IN_BAR = ("loss", "accuracy")
_BELOW_BAR = ("val_accuracy", "val_clean_accuracy", "val_corruption_accuracy")
_WIDTH = 12
# The first execution traces the step; after so many seconds and executions
# more it is known how long one takes.
_SECONDS, _EXECUTIONS = 10, 3


class EpochBar(keras.callbacks.Callback):
    """Keras' progress bar, within 80 columns, that counts as the run does.

    Keras' own shows every metric, and where that is more than a line of the
    terminal every step begins a new one. It also takes the last epoch of a
    `fit` for the last of the run. A bar shows loss and accuracy; what is
    measured at the end of an epoch stands below it. After the first steps a
    line on the standard error says how long all that are left will take.

    Args:
        epochs: Epochs of the run.
        verbose: As in `fit`: 0 for nothing, 1 for a bar, 2 for a line an
            epoch, with all metrics. `fit` itself gets `verbose=0`.
        steps_per_epoch: Steps of a whole epoch; by default those of the first.

    Example:

    >>> model.fit(dataset, epochs=3, verbose=0, callbacks=[EpochBar(3, 1)])
    """

    def __init__(self, epochs, verbose, steps_per_epoch=None):
        super().__init__()
        self._epochs = epochs
        self._verbose = verbose
        self._steps_per_epoch = steps_per_epoch
        self._executions, self._is_told = 0, not verbose

    def on_epoch_begin(self, epoch, logs=None):
        if self._verbose:
            print(f"Epoch {epoch + 1}/{self._epochs}", flush=True)
        self._bar = keras.utils.Progbar(
            self.params["steps"],
            width=_WIDTH,
            verbose=self._verbose,
            # As they are: Keras has averaged them over the epoch.
            stateless_metrics=(),
        )

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
        if not self._executions:
            self._start = now, step
        self._executions += 1
        seconds, steps = now - self._start[0], step - self._start[1]
        if self._executions <= _EXECUTIONS or seconds < _SECONDS:
            return
        self._is_told = True
        total = self._epochs * (self._steps_per_epoch or self.params["steps"])
        words = duration((total - step) * seconds / steps)
        line = f"About {words} for the {total - step:,} steps that are left"
        # Not behind a bar, which goes on below.
        end = "\n" * (self._verbose == 1)
        print(f"{end}{line}", file=sys.stderr, flush=True)


def _of(logs, names):
    return [(name, logs[name]) for name in names if name in (logs or {})]
