"""What a training says: lines of JSON, a bar, a picture of its views."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.callbacks import JsonLines, ViewImages
from noisymix_tf.callbacks.epoch_bar import EpochBar
from noisymix_tf.callbacks.json_lines import read_json_lines
from noisymix_tf.evaluation.contact_sheet import contact_sheet
from support import fit_models
from support.trainings import fresh
from support.usage import assert_usage_error


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_a_line_an_epoch_with_all_metrics(tmp_path, kind):
    path = tmp_path / "new" / "metrics.jsonl"
    history = fit_models.fit(fresh(kind), 2, [JsonLines(path)])
    lines = read_json_lines(path)
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 4), (2, 8)]
    for name, values in history.items():
        assert [line[name] for line in lines] == values
    assert lines[0]["learning_rate"] == pytest.approx(0.02)
    assert lines[0]["seconds"] >= 0 and lines[0]["steps_per_second"] > 0
    parts = {"cross_entropy", "jsd"} if kind == "noisymix" else set()
    assert {"loss", "accuracy"} | parts <= lines[0].keys()
    # A continued run drops what lies beyond, and a torn line.
    path.write_text('{"step": 0, "epoch": 0}\n{"step": 9}\n{"ste')
    fit_models.fit(fresh(kind), 1, [JsonLines(path)])
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 4]


def test_moving_rates_and_any_kind_of_value_in_valid_json(tmp_path):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, 8, 0.0)
    optimizer = keras.optimizers.SGD(schedule)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    array, tensor = np.array([[1.0, np.inf]]), keras.ops.ones([2])
    values = [np.float32(0.5), np.int64(3), array, float("nan"), tensor, "yes"]
    put = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(zip("abcdef", values))
    )
    model = fit_models.model("plain", optimizer=optimizer)
    path = tmp_path / "metrics.jsonl"
    fit_models.fit(model, 2, [put, JsonLines(path)])
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines]
    assert rates == pytest.approx([0.05, 0.0])
    found = [lines[0][name] for name in "abcdef"]
    assert found == [0.5, 3.0, [[1.0, None]], None, [1.0, 1.0], "yes"]


def test_a_bar_fits_a_terminal_and_a_line_has_everything(capsys):
    """With all metrics it had 112 columns; a continued run counted to 4/4."""
    logs = {"accuracy": 0.12345, "jsd": 0.1, "loss": 12.34567}
    whole = {**logs, "val_accuracy": 0.5, "val_loss": 1.0}

    def said(verbose):
        bar = EpochBar(90, verbose)
        bar.set_params({"steps": 5004, "epochs": 4})
        bar.on_epoch_begin(3)
        bar.on_train_batch_end(0, logs)
        bar.on_epoch_end(3, whole)
        return re.sub(r"\x1b\[\d+m|\x08", "", capsys.readouterr().out)

    drawn, line = said(1), said(2)
    assert drawn.startswith("Epoch 4/90\n") and line.startswith("Epoch 4/90\n")
    assert max(map(len, re.split(r"[\r\n]+", drawn))) <= 80
    assert "loss: 12.3457 - accuracy: 0.1235" in drawn
    assert drawn.endswith("\nval_accuracy: 0.5000\n")
    assert all(f" - {name}: " in line for name in whole)
    assert said(0) == ""


VIEWS = np.random.default_rng(0).integers(0, 256, [4, 3, 8, 6, 3], np.uint8)
GREY = VIEWS[..., :1]
STREAM = tf.data.Dataset.from_tensor_slices(VIEWS)
# Float batches of pixels 0..255 with labels, as `fit` takes them.
BATCHES = [fit_models.batches(kind) for kind in ("plain", "noisymix")]
FIRST = [next(iter(batches))[0].numpy() for batches in BATCHES]


@pytest.mark.parametrize(
    ("views", "more", "drawn"),
    [
        (VIEWS, {"rows": 2}, VIEWS[:2]),
        (VIEWS[:, 0], {}, VIEWS[:, :1]),
        (STREAM.batch(3), {}, VIEWS[:3]),
        (GREY / 127.5 - 1.0, {"value_range": (-1, 1)}, GREY),
        (BATCHES[0], {}, FIRST[0][:, None]),
        (BATCHES[1], {}, FIRST[1]),
    ],
)
def test_views_are_drawn_as_file_and_in_tensorboard(
    tmp_path, views, more, drawn
):
    path = tmp_path / "new" / "views.png"
    callback = ViewImages(views, path, log_dir=tmp_path, **more)
    for _ in range(2):  # It is not drawn twice.
        callback.on_train_begin()
    picture = tf.io.decode_png(tf.io.read_file(str(path))).numpy()
    np.testing.assert_array_equal(picture, contact_sheet(drawn))
    assert picture.shape[-1] == drawn.shape[-1]
    [file] = tmp_path.glob("events*")
    events = tf.compat.v1.train.summary_iterator(str(file))
    [image] = [value for event in events for value in event.summary.value]
    assert image.tag == "views"
    png = image.tensor.string_val[2]
    np.testing.assert_array_equal(tf.io.decode_png(png), picture)


def test_contact_sheet_places_every_view():
    views = np.arange(6).reshape(2, 3, 1, 1, 1) * np.ones([2, 3, 4, 5, 3])
    for side, (height, width) in ((1, (5, 6)), (10, (9, 11))):  # Enlarged.
        sheet = contact_sheet(views, gap=1, least_side=side)
        assert sheet.shape == (2 * height + 1, 3 * width + 1, 3)
        assert sheet.dtype == np.uint8 and sheet[0, 0, 0] == 255
        centres = sheet[height // 2 :: height, width // 2 :: width, 0]
        np.testing.assert_array_equal(centres, [[0, 1, 2], [3, 4, 5]])


def test_views_that_cannot_be_drawn():
    for views, words, more in (
        (VIEWS, "neither a path nor a log_dir", {"path": None}),
        (VIEWS[0, 0], "views of shape [8, 6, 3]", {}),
        (VIEWS[..., :2], "C = 1 or 3", {}),
        (VIEWS[:0], "no batch of images", {}),
        (VIEWS, "two rising numbers", {"value_range": (1, 0)}),
        (STREAM.take(0), "is empty", {}),
    ):
        more = {"path": "x", **more}
        call = lambda v=views, m=more: ViewImages(v, **m)  # noqa: E731
        assert_usage_error(call, words)
