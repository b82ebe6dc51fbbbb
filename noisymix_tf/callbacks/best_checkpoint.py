"""The best classifier of a run, in a file that outlives interruptions."""

import math
import pathlib
import warnings

import keras

from noisymix_tf import model_card
from noisymix_tf.callbacks.corruption_evaluation import (
    CLEAN_ACCURACY,
    CORRUPTION_ACCURACY,
)
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of, step_of

_RISING = ("acc", "auc", "precision", "recall", "f1", "iou", "dice")
_FALLING = (
    "loss",
    "error",
    "entropy",
    "jsd",
    "kl",
    "nll",
    "brier",
    "ece",
    "mae",
    "mse",
)


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the classifier whenever a metric is better than ever before.

    The best value, with its epoch and step, stands in the model card beside
    the file (see `noisymix_tf.model_card`) and is read when training begins: a
    continued run goes on from it and never replaces a better model by a worse
    one. An equal value is no improvement. Hence a run that goes back to a
    checkpoint before its best epoch, and repeats it, leaves the file alone.

    Args:
        path: File to write, `*.keras`. A kill at any moment leaves the old
            model with its card or the new one with its own.
        monitor: Name of the metric. It may be missing in some epochs
            (`validation_freq`, `CorruptionEvaluation`); nothing is then saved.
            The callback that measures it must stand before this one.
        mode: `"max"`, `"min"`, or `"auto"`: by the name, such as `accuracy` or
            `loss`.
        provenance: Dict of what the card is to say beyond the model and its
            training, as arguments of `noisymix_tf.save`.

    Raises:
        UsageError: An argument that cannot be used; from `fit`, a file that
            another monitor, another network or another hand has written, or a
            metric that is not there.

    Example:

    >>> trainer.fit(
    ...     views,
    ...     validation_data=validation,
    ...     callbacks=[BestCheckpoint("best.keras", "val_accuracy")],
    ... )
    >>> nm.model_card.read("best.keras")["best"]["value"]
    0.9412
    """

    def __init__(
        self, path, monitor="val_accuracy", mode="auto", provenance=None
    ):
        super().__init__()
        self._path = pathlib.Path(path)
        if self._path.suffix != ".keras":
            raise UsageError(
                f"BestCheckpoint cannot write {str(path)!r}: give a name "
                f"*.keras."
            )
        self._monitor = monitor
        self._mode = _mode(monitor, mode)
        self._provenance = dict(provenance or {})
        self._best = None
        self._has_seen = self._has_warned = False
        self._epochs = 0

    @property
    def best(self):
        """The best so far: dict of `value`, `epoch`, `step`; or `None`."""
        return self._best

    def on_train_begin(self, logs=None):
        self._epochs = 0
        self._best = self._recorded()
        if self._best is not None and not step_of(self.model):
            warnings.warn(
                f"{self._path} holds the best model of an earlier run "
                f"({self._monitor} {self._best['value']:g} in epoch "
                f"{self._best['epoch']}) and is only replaced by a better one; "
                f"remove it to begin afresh.",
                stacklevel=2,
            )

    def on_epoch_end(self, epoch, logs=None):
        self._epochs += 1
        value = (logs or {}).get(self._monitor)
        if value is None:
            self._missing(logs or {})
            return
        self._has_seen = True
        value = float(value)
        if not self._is_better(value):
            return
        best = {
            "monitor": self._monitor,
            "mode": self._mode,
            "value": value,
            "epoch": epoch + 1,
            "step": step_of(self.model),
        }
        model_card.save(self.model, self._path, best=best, **self._provenance)
        self._best = best

    def on_train_end(self, logs=None):
        if self._epochs > 1 and not self._has_seen and self._best is None:
            self._warn(logs or {})

    def _is_better(self, value):
        if not math.isfinite(value):
            return False
        if self._best is None:
            return True
        if self._mode == "max":
            return value > self._best["value"]
        return value < self._best["value"]

    def _recorded(self):
        """What the card of the file says of it; `None` without a file."""
        if not self._path.exists():
            return None
        remedy = "name another file, or remove this one to begin afresh."
        card = model_card.read(self._path)
        best = card.get("best")
        if best is None:
            raise UsageError(
                f"{self._path} was not written by BestCheckpoint: {remedy}"
            )
        theirs, ours = best["monitor"], best["mode"]
        if (theirs, ours) != (self._monitor, self._mode):
            raise UsageError(
                f"{self._path} is the best by {ours} of {theirs}, not by "
                f"{self._mode} of {self._monitor}: {remedy}"
            )
        classifier = classifier_of(self.model)
        parameters = card["model"]["parameters"]
        if parameters != classifier.count_params():
            raise UsageError(
                f"{self._path} holds another network, of {parameters} "
                f"parameters instead of {classifier.count_params()}: {remedy}"
            )
        # Finishes what a kill may have left half done.
        model_card.write(self._path)
        return best

    def _missing(self, logs):
        """Complains, unless the metric may come with a later epoch."""
        if self._has_seen or self._best is not None:
            return
        name = self._monitor.removeprefix("val_")
        if name == self._monitor:
            raise UsageError(
                f"BestCheckpoint: there is no metric {self._monitor!r}; this "
                f"epoch has {', '.join(logs)}."
            )
        occasional = CORRUPTION_ACCURACY in name or CLEAN_ACCURACY in name
        if not occasional and name not in logs:
            self._warn(logs)

    def _warn(self, logs):
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"BestCheckpoint saves nothing while there is no metric "
                f"{self._monitor!r}. There are: {', '.join(logs)}. What "
                f"measures it must stand before BestCheckpoint in the list of "
                f"callbacks.",
                stacklevel=2,
            )


def _mode(monitor, mode):
    if mode in ("min", "max"):
        return mode
    if mode != "auto":
        raise UsageError(f"mode={mode!r} must be 'auto', 'min' or 'max'.")
    name = monitor.lower()
    if any(word in name for word in _FALLING):
        return "min"
    if any(word in name for word in _RISING):
        return "max"
    raise UsageError(
        f"Whether {monitor!r} should rise or fall is not known: give "
        f"mode='max' or mode='min'."
    )
