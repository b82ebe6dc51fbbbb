"""The metrics of every epoch as lines of JSON."""

import json
import math
import pathlib
import time

import keras
import numpy as np

from noisymix_tf.files import write_atomically
from noisymix_tf.models.unwrap import step_of


class JsonLines(keras.callbacks.Callback):
    """Appends the metrics of each epoch as one JSON line.

    A line holds the epoch (from 1), the step, the learning rate, the seconds
    since the epoch began, and all that `logs` has when this callback's turn
    comes; a number that is not finite becomes `null`. A continued run first
    drops the lines that lie beyond the step that it continues from, so that no
    epoch is there twice.

    Args:
        path: File to write.

    Example:

    >>> model.fit(dataset, callbacks=[JsonLines("metrics.jsonl")])
    """

    def __init__(self, path):
        super().__init__()
        self._path = pathlib.Path(path)

    def on_train_begin(self, logs=None):
        step = step_of(self.model)
        kept = [
            json.dumps(line) + "\n"
            for line in read_json_lines(self._path)
            if line.get("step", 0) <= step
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, "".join(kept))

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()
        self._first_step = step_of(self.model)

    def on_epoch_end(self, epoch, logs=None):
        step = step_of(self.model)
        seconds = time.monotonic() - self._started
        rate = (step - self._first_step) / max(seconds, 1e-9)
        line = {"epoch": epoch + 1, "step": step}
        # An optimizer of the user's own may have none.
        learning_rate = getattr(self.model.optimizer, "learning_rate", None)
        if learning_rate is not None:
            line["learning_rate"] = _value(learning_rate)
        line["seconds"] = round(seconds, 3)
        line["steps_per_second"] = round(rate, 4)
        line |= {name: _value(value) for name, value in (logs or {}).items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


def read_json_lines(path):
    """Reads JSON lines; a torn last line, left by a killed run, is ignored."""
    path = pathlib.Path(path)
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def _value(value):
    """A number, array or tensor as JSON has it."""
    if isinstance(value, str):
        return value
    value = np.asarray(value, np.float64)
    if value.ndim:
        return [_value(item) for item in value]
    return float(value) if math.isfinite(value) else None
