"""Callbacks, with a plain Keras model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.training import loop
from noisymix_tf.training.callbacks import (
    JsonLines,
    StopOnNaN,
    ViewImages,
    contact_sheet,
    read_json_lines,
)
from noisymix_tf.training.checkpoint import CheckpointFolder


def _model(learning_rate=0.1):
    init = keras.initializers.GlorotUniform(seed=0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=init)]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
        loss="mse",
        metrics=["mae"],
    )
    return model


def _batches(start=0):
    def batch(step):
        key = tf.stack([tf.cast(step, tf.int32), 7])
        x = tf.random.stateless_normal([8, 3], key)
        return x, x[:, :2]

    return tf.data.Dataset.counter(start).map(batch)


def _train(model, folder, **kwargs):
    return loop.train(
        model,
        _batches,
        epochs=3,
        steps_per_epoch=4,
        checkpoints=CheckpointFolder(folder / "checkpoints"),
        verbose=0,
        **kwargs,
    )


class _Kill(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("killed_at", [0, 1, 4, 5, 7, 11])
@pytest.mark.parametrize("checkpoint_steps", [0, 1, 3])
def test_interrupted_training_ends_as_if_it_was_not(
    tmp_path, killed_at, checkpoint_steps
):
    """Weights, and every number of every epoch in the log."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = _model()
    _train(expected, whole, callbacks=[JsonLines(whole / "metrics.jsonl")])
    with pytest.raises(KeyboardInterrupt):
        _train(
            _model(),
            parts,
            checkpoint_steps=checkpoint_steps,
            callbacks=[JsonLines(parts / "metrics.jsonl"), _Kill(killed_at)],
        )
    model = _model()
    start = _train(
        model,
        parts,
        checkpoint_steps=checkpoint_steps,
        callbacks=[JsonLines(parts / "metrics.jsonl")],
    )
    every = checkpoint_steps or 4
    assert start == killed_at // every * every
    for a, b in zip(expected.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)
    timing = ("seconds", "steps_per_second")
    logs = [
        [
            {k: v for k, v in line.items() if k not in timing}
            for line in read_json_lines(folder / "metrics.jsonl")
        ]
        for folder in (whole, parts)
    ]
    assert logs[0] == logs[1]
    assert [line["epoch"] for line in logs[0]] == [1, 2, 3]


def test_finished_training_is_left_alone(tmp_path):
    model = _model()
    _train(model, tmp_path)
    again = _model()
    assert _train(again, tmp_path) == 12
    for a, b in zip(again.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    model = _model(learning_rate=1e30)
    with pytest.raises(UsageError, match=r"loss became (inf|nan) at step"):
        _train(model, tmp_path, checkpoint_steps=1, callbacks=[StopOnNaN()])
    folder = CheckpointFolder(tmp_path / "checkpoints")
    copy = _model()
    assert folder.restore(copy)[0] >= 1
    assert all(np.isfinite(w).all() for w in copy.get_weights())


def test_json_lines_drops_what_lies_beyond_and_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "epoch": 0}\n{"step": 9}\n{"ste')
    model = _model()
    model.fit(
        _batches(), steps_per_epoch=2, verbose=0, callbacks=[JsonLines(path)]
    )
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2]
    assert lines[1]["mae"] > 0 and lines[1]["learning_rate"] == pytest.approx(
        0.1
    )


def test_contact_sheet_places_every_view():
    views = np.arange(6).reshape(2, 3, 1, 1, 1) * np.ones([2, 3, 4, 5, 3])
    sheet = contact_sheet(views, gap=1, least_side=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 6 + 1, 3)
    assert sheet.dtype == np.uint8 and sheet[0, 0, 0] == 255
    centres = sheet[2::5, 3::6, 0]
    np.testing.assert_array_equal(centres, [[0, 1, 2], [3, 4, 5]])
    enlarged = contact_sheet(views, gap=1, least_side=10)
    assert enlarged.shape == (2 * 9 + 1, 3 * 11 + 1, 3)
    np.testing.assert_array_equal(enlarged[5::9, 6::11, 0], centres)


def test_view_images_writes_a_picture_and_a_summary(tmp_path):
    views = np.zeros([2, 3, 8, 8, 3], np.float32)
    callback = ViewImages(views, tmp_path / "views.png", tmp_path / "board")
    _model().fit(_batches(), steps_per_epoch=1, verbose=0, callbacks=[callback])
    picture = tf.io.decode_png(tf.io.read_file(str(tmp_path / "views.png")))
    np.testing.assert_array_equal(picture, contact_sheet(views))
    assert list((tmp_path / "board").glob("events*"))
