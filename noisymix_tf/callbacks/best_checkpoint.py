"""The best classifier of a run, in a file that outlives interruptions."""

import math
import pathlib
import warnings

import keras

from noisymix_tf import model_card
from noisymix_tf.callbacks.corruption_evaluation import METRICS
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of, step_of

_FALLING = "loss error entropy jsd kl nll brier ece mae mse".split()
_RISING = "acc auc precision recall f1 iou dice".split()


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

    Example:

    >>> best = BestCheckpoint("best.keras", "val_accuracy")
    >>> trainer.fit(views, validation_data=validation, callbacks=[best])
    """

    def __init__(
        self, path, monitor="val_accuracy", mode="auto", provenance=None
    ):
        super().__init__()
        self._path, self._monitor = pathlib.Path(path), monitor
        if self._path.suffix != ".keras":
            raise UsageError(
                f"Cannot save to {str(path)!r}: give a name *.keras."
            )
        self._mode = _direction(monitor) if mode == "auto" else mode
        if self._mode not in ("min", "max"):
            raise UsageError(f"mode={mode!r} must be 'auto', 'min' or 'max'.")
        self._provenance = dict(provenance or {})
        self.best = None
        self._epochs, self._is_told = 0, False

    def on_train_begin(self, logs=None):
        self._epochs, self.best = 0, None
        if not self._path.exists():
            return
        card, what = model_card.read(self._path), None
        best = card.get("best", {"mode": None, "monitor": None})
        theirs = f"{best['mode']} of {best['monitor']}"
        ours = f"{self._mode} of {self._monitor}"
        size = card["model"]["parameters"]
        if "best" not in card:
            what = "was not written by BestCheckpoint"
        elif theirs != ours:
            what = f"is the best by {theirs}, not by {ours}"
        elif size != (count := classifier_of(self.model).count_params()):
            what = f"holds another network, of {size} parameters, not {count}"
        if what:
            raise UsageError(
                f"{self._path} {what}: name another file, or remove this one "
                f"to begin afresh."
            )
        # Finishes what a kill may have left half done.
        model_card.write(self._path)
        self.best = best
        if not step_of(self.model):
            warnings.warn(
                f"{self._path} holds the best model of an earlier run "
                f"({self._monitor} {best['value']:g} in epoch {best['epoch']}) "
                f"until there is a better one; remove it to begin afresh.",
                stacklevel=2,
            )

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
