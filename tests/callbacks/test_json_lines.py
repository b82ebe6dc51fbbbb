"""What stands in a line of metrics."""

import json

import keras
import numpy as np
import pytest

from noisymix_tf.callbacks import JsonLines
from noisymix_tf.callbacks.json_lines import read_json_lines
from support import fit_models, fresh_models


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_a_line_an_epoch_with_all_metrics(tmp_path, kind):
    path = tmp_path / "new" / "metrics.jsonl"
    history = fit_models.fit(fresh_models.get(kind), 2, [JsonLines(path)])
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 4), (2, 8)]
    for name, values in history.items():
        assert [line[name] for line in lines] == values
    assert lines[0]["learning_rate"] == pytest.approx(0.02)
    assert lines[0]["seconds"] >= 0 and lines[0]["steps_per_second"] > 0
    parts = {"cross_entropy", "jsd"} if kind == "noisymix" else set()
    assert {"loss", "accuracy"} | parts <= lines[0].keys()
    # A continued run drops what lies beyond, and a torn line.
    path.write_text('{"step": 0, "epoch": 0}\n{"step": 9}\n{"ste')
    fit_models.fit(fresh_models.get(kind), 1, [JsonLines(path)])
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 4]


@pytest.mark.parametrize(
    ("kind", "scaled"), [("noisymix", False), ("plain", True)]
)
def test_learning_rate_of_a_schedule_and_of_a_loss_scale_optimizer(
    tmp_path, kind, scaled
):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, 8, 0.0)
    optimizer = keras.optimizers.SGD(schedule)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = fit_models.model(kind, optimizer=optimizer)
    path = tmp_path / "metrics.jsonl"
    fit_models.fit(model, 2, [JsonLines(path)])
    rates = [line["learning_rate"] for line in read_json_lines(path)]
    assert rates == pytest.approx([0.05, 0.0])


def test_any_kind_of_value_gives_valid_json(tmp_path):
    values = {
        "numpy": (np.float32(0.5), 0.5),
        "count": (np.int64(3), 3.0),
        "array": (np.array([[1.0, np.inf]]), [[1.0, None]]),
        "nothing": (float("nan"), None),
        "tensor": (keras.ops.ones([2]), [1.0, 1.0]),
        "word": ("yes", "yes"),
    }
    path = tmp_path / "metrics.jsonl"
    put = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(
            {name: value for name, (value, _) in values.items()}
        )
    )
    fit_models.fit(fresh_models.get("plain"), 1, [put, JsonLines(path)])

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    line = json.loads(path.read_text(), parse_constant=refuse)
    for name, (_, expected) in values.items():
        assert line[name] == expected
