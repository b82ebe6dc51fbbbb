"""What a training says, and levels that change in its course."""

import functools
import itertools
import json
import math
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.callbacks import LambdaCallback

from noisymix_tf import fitting
from noisymix_tf.adjustable import Adjustable
from noisymix_tf.callbacks import NoisyMixSchedule, ViewImages, ramp
from noisymix_tf.callbacks.logs import JsonLines, read_json_lines
from noisymix_tf.layers import FeatureNoise
from noisymix_tf.sets.writer import contact_sheet
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
    # What is no such file is left alone.
    for text in ('{\n  "a": 1\n}\n', "[1]\n", '{"a": 1}\nb\n{}\n', "a"):
        path.write_text(text)
        assert_usage_error(lambda: read_json_lines(path), "name another file")


def test_moving_rates_and_any_kind_of_value_in_valid_json(tmp_path):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, 8, 0.0)
    optimizer = keras.optimizers.SGD(schedule)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    array, tensor = np.array([[1.0, np.inf]]), keras.ops.ones([2])
    values = [np.float32(0.5), np.int64(3), array, float("nan"), tensor, "yes"]
    given = dict(zip("abcdef", values))
    put = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(given))
    model = fit_models.model("plain", optimizer=optimizer)
    path = tmp_path / "metrics.jsonl"
    fit_models.fit(model, 2, [put, JsonLines(path)])
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines]
    assert rates == pytest.approx([0.05, 0.0])
    found = [lines[0][name] for name in "abcdef"]
    assert found == [0.5, 3.0, [[1.0, None]], None, [1.0, 1.0], "yes"]


def test_a_bar_fits_a_terminal_and_a_line_has_everything(capsys, monkeypatch):
    """It had 112 columns and counted to 4/4; no time of all was said."""
    monkeypatch.setattr(fitting, "step_of", lambda model: model)
    clock = functools.partial(next, itertools.count(100, 5))
    monkeypatch.setattr(time, "monotonic", clock)
    found = {"accuracy": 0.12345, "jsd": 0.1, "loss": 12.34567}
    whole = {**found, "val_accuracy": 0.5, "val_loss": 1.0}

    def said(verbose):
        bar = fitting.EpochBar(90, verbose, 5004)
        bar.set_params({"steps": 5004, "epochs": 4})
        bar.on_epoch_begin(3)
        for step in range(15013, 15018):  # Three epochs have 15,012.
            bar.set_model(step)
            bar.on_train_batch_end(step - 15013, found)
        bar.on_epoch_end(3, whole)
        said = capsys.readouterr()
        left = "\nAbout 604 h 39 min for the 435,344 steps that are left\n"
        assert said.err == left[verbose == 2 :] * bool(verbose)
        return re.sub(r"\x1b\[\d+m|\x08", "", said.out)

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
def test_views_are_drawn_in_both_places(tmp_path, views, more, drawn):
    path = tmp_path / "new" / "views.png"
    callback = ViewImages(views, path, log_dir=tmp_path, **more)
    for _ in range(2):  # It is not drawn twice.
        callback.on_train_begin()
    picture = tf.io.decode_png(tf.io.read_file(str(path))).numpy()
    np.testing.assert_array_equal(picture, contact_sheet(drawn))
    assert picture.shape[-1] == drawn.shape[-1]
    [file] = map(str, tmp_path.glob("events*"))
    events = tf.compat.v1.train.summary_iterator(file)
    [image] = [value for event in events for value in event.summary.value]
    assert image.tag == "views"
    png = image.tensor.string_val[2]
    np.testing.assert_array_equal(tf.io.decode_png(png), picture)


def test_contact_sheets_place_every_view_that_can_be_drawn():
    views = np.arange(6).reshape(2, 3, 1, 1, 1) * np.ones([2, 3, 4, 5, 3])
    for side, (height, width) in ((1, (5, 6)), (10, (9, 11))):  # Enlarged.
        sheet = contact_sheet(views, gap=1, least_side=side)
        assert sheet.shape == (2 * height + 1, 3 * width + 1, 3)
        assert sheet.dtype == np.uint8 and sheet[0, 0, 0] == 255
        centres = sheet[height // 2 :: height, width // 2 :: width, 0]
        np.testing.assert_array_equal(centres, [[0, 1, 2], [3, 4, 5]])
    for views, words, more in (
        (VIEWS, "neither a path nor a log_dir", {"path": None}),
        (VIEWS[0, 0], "views of shape [8, 6, 3]", {}),
        (VIEWS[..., :2], "C = 1 or 3", {}),
        (VIEWS[:0], "no batch of images", {}),
        (VIEWS, "two rising numbers", {"value_range": (1, 0)}),
        (VIEWS, "value_range=1 must be two rising", {"value_range": 1}),
        (STREAM.take(0), "views of shape [0] are no batch", {}),
    ):
        more = {"path": "x", **more}
        assert_usage_error(lambda v=views, m=more: ViewImages(v, **m), words)


def _watch(target, name):
    """A level before each step, as it goes, and who writes it down."""
    levels = []

    def look(batch, logs):
        levels.append(getattr(target, name))

    return levels, LambdaCallback(on_train_batch_begin=look)


def test_ramps_are_lines_and_half_waves_of_levels_that_can_be_set():
    value = ramp(2.0, 6.0, length=4, begin=10)
    expected = {0: 2.0, 10: 2.0, 11: 3.0, 12.5: 4.5, 14: 6.0, 99: 6.0}
    assert {p: value(p) for p in expected} == expected
    assert [ramp(1, 0, 2)(p) for p in range(4)] == [1.0, 0.5, 0.0, 0.0]
    value = ramp(0.1, 0.7, length=8, shape="cosine")
    for p in range(12):
        wave = (1 - math.cos(math.pi * min(p / 8, 1.0))) / 2
        assert value(p) == pytest.approx(0.1 + 0.6 * wave, abs=1e-12)
    assert value(0) == 0.1 and value(8) == 0.7  # exactly

    def fit(kind, *extra, **levels):
        model = fit_models.model(kind, *extra)
        fit_models.fit(model, 1, [NoisyMixSchedule(**levels)])

    for call, words in (
        (lambda: ramp(0, 1, 0), "length=0 must be greater than 0"),
        (lambda: ramp(0, math.inf, 3), "end=inf must be finite"),
        (lambda: ramp(0, 1, 3, 0, "step"), "shape=step must be one of linear"),
        (lambda: NoisyMixSchedule(), "nothing to set: give at least one of al"),
        (lambda: NoisyMixSchedule(1, by="batch"), "by='batch' must be"),
        (lambda: fit("noisymix", alpha="a"), "is 'a': give a number or a fun"),
        (lambda: fit("plain", alpha=1), "nothing in the model 'small' has it"),
        (lambda: fit("plain", FeatureNoise(), alpha=1), "it has additive_noi"),
        (lambda: fit("noisymix", alpha=-1), "alpha=-1.0 must be a number"),
        (lambda: fit("noisymix", alpha=lambda p: "a"), "at position 0 is 'a'"),
    ):
        assert_usage_error(call, words)


class _Scale(keras.layers.Layer):
    """A layer of the user's own: anything with an `Adjustable` will do."""

    alpha = Adjustable()

    def __init__(self):
        super().__init__()
        self.alpha = 1.0

    def call(self, x):
        return x * _Scale.alpha.tensor(self)


@pytest.mark.parametrize("by", ["epoch", "step"])
def test_levels_equal_the_function(by):
    dense = keras.layers.Dense(2, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), dense, _Scale()])
    model.compile(keras.optimizers.SGD(0.0), "mae", jit_compile=False)
    x, y = np.ones([8, 2]), np.zeros([8, 2])
    decay = keras.optimizers.schedules.ExponentialDecay(0.8, 2, 0.5)
    for given, expected in (
        (ramp(0.0, 0.6, 3), lambda p: 0.6 * min(p / 3, 1)),
        (1, lambda p: 1.0),
        (decay, lambda p: 0.8 * 0.5 ** (p / 2)),
        (lambda p: np.float32(p) / 4, lambda p: p / 4),
        (lambda p: tf.constant(p / 4), lambda p: p / 4),
    ):
        model.optimizer.iterations.assign(0)
        levels, watch = _watch(model.layers[-1], "alpha")
        callbacks = [NoisyMixSchedule(alpha=given, by=by), watch]
        options = {"batch_size": 2, "verbose": 0, "callbacks": callbacks}
        history = model.fit(x, y, epochs=3, **options).history
        places = np.arange(12) // (4 if by == "epoch" else 1)
        wanted = [expected(int(p)) for p in places]
        np.testing.assert_allclose(levels, wanted, atol=1e-6)
        np.testing.assert_allclose(history["alpha"], wanted[3::4], atol=1e-6)
        means = np.mean(np.reshape(wanted, [3, 4]), axis=1)
        np.testing.assert_allclose(history["loss"], means, rtol=1e-5)
        levels.clear()
        model.optimizer.iterations.assign(4)
        model.fit(x, y, epochs=3, initial_epoch=1, **options)
        np.testing.assert_allclose(levels, wanted[4:], atol=1e-6)


def test_noise_layers_inside_any_model_take_the_value_of_a_first_step():
    """Of several in one execution; those of the trainer are set, too."""
    noise = FeatureNoise(0.0, 0.0, name="noise")
    inner = keras.Sequential([keras.Input((8, 8, 3)), noise], name="inner")
    model = fit_models.model("noisymix", inner, **fit_models.QUIET)
    model.steps_per_execution = 2
    levels, watch = _watch(noise, "additive_noise")
    given = {"additive_noise": lambda step: step, "multiplicative_noise": 0.5}
    schedule = NoisyMixSchedule(**given, alpha=0.7, jsd_weight=3, by="step")
    history = fit_models.fit(model, 2, [schedule, watch])
    assert levels == [0.0, 2.0, 4.0, 6.0]
    assert history["additive_noise"] == [2.0, 6.0]
    assert noise.multiplicative_noise == 0.5 and model.additive_noise == 6.0
    assert (model.alpha, model.jsd_weight) == (0.7, 3.0)
