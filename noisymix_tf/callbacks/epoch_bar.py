"""What a training says of its epochs."""

import keras

# A bar has room for these; a line has all.
_IN_BAR = ("loss", "accuracy")
_BELOW_BAR = ("val_accuracy", "val_clean_accuracy", "val_corruption_accuracy")
_WIDTH = 12


class EpochBar(keras.callbacks.Callback):
    """Keras' progress bar, within 80 columns, that counts as the run does.

    Keras' own shows every metric, and where that is more than a line of the
    terminal every step begins a new one. It also takes the last epoch of a
    `fit` for the last of the run. A bar shows loss and accuracy; what is
    measured at the end of an epoch stands below it.

    Args:
        epochs: Epochs of the run.
        verbose: As in `fit`: 0 for nothing, 1 for a bar, 2 for a line an
            epoch, with all metrics. `fit` itself gets `verbose=0`.

    Example:

    >>> model.fit(dataset, epochs=3, verbose=0, callbacks=[EpochBar(3, 1)])
    """

    def __init__(self, epochs, verbose):
        super().__init__()
        self._epochs = epochs
        self._verbose = verbose

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
            self._bar.update(batch + 1, _of(logs, _IN_BAR), finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        shown = _of(logs, _IN_BAR) if self._verbose == 1 else logs.items()
        self._bar.update(self.params["steps"], list(shown), finalize=True)
        below = [f"{n}: {v:.4f}" for n, v in _of(logs, _BELOW_BAR)]
        if self._verbose == 1 and below:
            print(" - ".join(below), flush=True)


def _of(logs, names):
    return [(name, logs[name]) for name in names if name in (logs or {})]
