"""What a training writes down: metrics as lines, its views as a picture."""

import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.sets.writer import contact_sheet


class JsonLines(keras.callbacks.Callback):
    """Appends the metrics of each epoch as one JSON line.

    A line holds the epoch (from 1), the step, the learning rate, the seconds
    since the epoch began, and all that `logs` has when this callback's turn
    comes; what is not finite becomes `null`. A run first drops the lines beyond
    the step that it continues from: one that begins anew, all.

    Args:
        path: File to write; one of something else is refused, and left alone.
        **also: Further fields of every line.

    >>> callbacks = [JsonLines("metrics.jsonl")]  # Of `fit`.
    """

    def __init__(self, path, **also):
        super().__init__()
        self._path, self._also = pathlib.Path(path), also

    def on_train_begin(self, logs=None):
        step, lines = step_of(self.model), read_json_lines(self._path)
        kept = [line for line in lines if line.get("step", 0) <= step]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomically(self._path, text)

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic(), step_of(self.model)

    def on_epoch_end(self, epoch, logs=None):
        step = step_of(self.model)
        start, first_step = self._start
        seconds = time.monotonic() - start
        rate = (step - first_step) / max(seconds, 1e-9)
        line = {"epoch": epoch + 1, "step": step, **self._also}
        # An optimizer of the user's own may have none.
        if hasattr(self.model.optimizer, "learning_rate"):
            line["learning_rate"] = _value(self.model.optimizer.learning_rate)
        line["seconds"] = round(seconds, 3)
        line["steps_per_second"] = round(rate, 4)
        line |= {name: _value(value) for name, value in (logs or {}).items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


def read_json_lines(path) -> list[dict]:
    """Reads JSON lines; a torn last line, left by a killed run, is ignored."""
    path, lines, texts = pathlib.Path(path), [], []
    if path.exists():
        texts = path.read_text(errors="replace").splitlines()
    for number, text in enumerate(texts, 1):
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            if number == len(texts) and text.startswith("{"):
                break
            lines.append(None)
        if not isinstance(lines[-1], dict):
            raise UsageError(
                f"Line {number} of {path} is {text[:40]!r}, no metrics of "
                f"JsonLines: name another file."
            )
    return lines


def _value(value):
    """A number, array or tensor as JSON has it."""
    if isinstance(value, str):
        return value
    value = np.asarray(value, np.float64)
    return np.where(np.isfinite(value), value, None).tolist()


class ViewImages(keras.callbacks.Callback):
    """Draws the views of one batch, a row for each image, as training begins.

    Args:
        views: `[B, V, H, W, C]` or `[B, H, W, C]`, colour (C = 3) or grey
            (C = 1); or a `tf.data.Dataset` of such batches, alone or with
            labels, of which the first is drawn.
        path, log_dir: PNG file to write, or directory for a TensorBoard image,
            or both.
        rows: How many images to draw.
        value_range: The values of black and white.

    Raises:
        UsageError: No such images, or nowhere to put the picture.

    >>> views = np.zeros([8, 3, 32, 32, 3], np.uint8)
    >>> callbacks = [ViewImages(views, "views.png")]  # Of `fit`.
    """

    def __init__(
        self, views, path=None, log_dir=None, rows=8, value_range=(0, 255)
    ):
        super().__init__()
        if path is None and log_dir is None:
            raise UsageError(
                "ViewImages has neither a path nor a log_dir: give one of them."
            )
        low, high = value_range if np.shape(value_range) == (2,) else (1, 0)
        if not low < high:
            raise UsageError(
                f"value_range={value_range!r} must be two rising numbers, the "
                f"values of black and white."
            )
        if isinstance(views, tf.data.Dataset):
            batch = next(iter(views), [])
            views = batch[0] if isinstance(batch, tuple) else batch
        views = np.asarray(views)[:rows].astype(np.float64)
        if views.ndim == 4:
            views = views[:, None]
        if views.ndim != 5 or views.shape[-1] not in (1, 3) or not views.size:
            raise UsageError(
                f"views of shape {list(views.shape)} are no batch of images: "
                f"give [B, V, H, W, C] or [B, H, W, C] with C = 1 or 3."
            )
        self._views = (views - low) * (255 / (high - low))
        self._path, self._log_dir = path, log_dir

    def on_train_begin(self, logs=None):
        if self._views is None:
            return
        picture, self._views = contact_sheet(self._views), None
        if self._path is not None:
            path = pathlib.Path(self._path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, tf.io.encode_png(picture).numpy())
        if self._log_dir is not None:
            writer = tf.summary.create_file_writer(str(self._log_dir))
            with writer.as_default():
                tf.summary.image("views", picture[None], step=0)
            writer.close()
