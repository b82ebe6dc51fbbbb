"""Keras callbacks of a training run; they work with any Keras model."""

import json
import os
import pathlib
import time

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.training import checkpoint as checkpoint_lib


class TrainingDiverged(UsageError):
    """The loss is no longer a finite number."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops with `TrainingDiverged` as soon as the loss is not finite.

    Put it before any callback that saves weights.

    Args:
        advice: What the error should tell the user to do.
    """

    def __init__(self, advice="lower the learning rate"):
        super().__init__()
        self._advice = advice

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"The loss became {loss} at step {_step(self.model)}; expected "
                f"a finite number: {self._advice}."
            )


class Checkpoints(keras.callbacks.Callback):
    """Saves the training state every few steps, for an exact continuation.

    Args:
        folder: `CheckpointFolder` to write to.
        every_steps: Steps between checkpoints.
        restored_metrics: The running metrics that `folder.restore` returned:
            a run continued in the middle of an epoch goes on averaging where
            the interrupted one stopped.
    """

    def __init__(self, folder, every_steps, restored_metrics=()):
        super().__init__()
        self._folder = folder
        self._every_steps = every_steps
        self._restored_metrics = restored_metrics
        self._saved_step = None

    def on_train_batch_end(self, batch, logs=None):
        if len(self._restored_metrics):
            # Metrics exist from the first step on. Their variables are sums,
            # so that the interrupted part of the epoch can be added to it.
            current = checkpoint_lib.metric_variables(self.model)
            sums = [v + r for v, r in zip(current, self._restored_metrics)]
            checkpoint_lib.assign(current, [np.asarray(v) for v in sums])
            self._restored_metrics = ()
        step = _step(self.model)
        if step % self._every_steps == 0:
            self._save(step)

    def on_train_end(self, logs=None):
        self._save(_step(self.model))

    def _save(self, step):
        if step != self._saved_step and self._folder.save(self.model, step):
            self._saved_step = step


class JsonLines(keras.callbacks.Callback):
    """Appends the metrics of each epoch as one JSON line.

    A continued run first drops the lines that lie beyond the step that it
    continues from, so that no epoch is there twice.

    Args:
        path: File to write.

    Example:

    >>> model.fit(dataset, callbacks=[JsonLines("metrics.jsonl")])
    """

    def __init__(self, path):
        super().__init__()
        self._path = pathlib.Path(path)

    def on_train_begin(self, logs=None):
        kept = [
            json.dumps(line) + "\n"
            for line in read_json_lines(self._path)
            if line["step"] <= _step(self.model)
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text("".join(kept))
        os.replace(partial, self._path)

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()
        self._first_step = _step(self.model)

    def on_epoch_end(self, epoch, logs=None):
        step = _step(self.model)
        seconds = time.monotonic() - self._started
        line = {
            "epoch": epoch + 1,
            "step": step,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(seconds, 3),
            "steps_per_second": round((step - self._first_step) / seconds, 4),
        }
        line |= {name: float(value) for name, value in (logs or {}).items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(line) + "\n")


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


class ViewImages(keras.callbacks.Callback):
    """Draws the views of one batch: a row for each image, a column for a view.

    Args:
        views: `[B, V, H, W, C]`, pixels 0..255.
        path: PNG file to write.
        log_dir: Directory for a TensorBoard image, or `None`.
        rows: How many images to draw.
    """

    def __init__(self, views, path, log_dir=None, rows=8):
        super().__init__()
        self._views = np.asarray(views)[:rows]
        self._path = path
        self._log_dir = log_dir

    def on_train_begin(self, logs=None):
        import tensorflow as tf

        picture = contact_sheet(self._views)
        tf.io.write_file(str(self._path), tf.io.encode_png(picture))
        if self._log_dir is not None:
            writer = tf.summary.create_file_writer(str(self._log_dir))
            with writer.as_default():
                tf.summary.image("views", picture[None], step=0)
            writer.close()


def contact_sheet(views, gap=2, least_side=96):
    """Arranges `[B, V, H, W, C]` as one uint8 picture, B rows of V images.

    Pixels of images whose sides are below `least_side` are repeated.
    """
    zoom = max(1, least_side // max(views.shape[2:4]))
    views = np.repeat(np.repeat(views, zoom, axis=2), zoom, axis=3)
    rows, columns, height, width, channels = views.shape
    sheet = np.full(
        (
            rows * (height + gap) + gap,
            columns * (width + gap) + gap,
            channels,
        ),
        255,
        np.uint8,
    )
    for row in range(rows):
        for column in range(columns):
            top = gap + row * (height + gap)
            left = gap + column * (width + gap)
            sheet[top : top + height, left : left + width] = np.clip(
                np.round(views[row, column]), 0, 255
            )
    return sheet


def _step(model):
    """Steps taken so far: of the trainer, or of a plain model's optimizer."""
    step = getattr(model, "step", None)
    return int(model.optimizer.iterations if step is None else step)
