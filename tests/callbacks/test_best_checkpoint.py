"""The best model of a run, through kills and continuations."""

import json
import pathlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import model_card
from noisymix_tf.callbacks import BestCheckpoint, CorruptionEvaluation
from noisymix_tf.errors import UsageError
from support import fit_models

KINDS = ("plain", "noisymix")
IMAGES = np.random.default_rng(0).integers(0, 256, [9, 8, 8, 3], np.uint8)
EARLIER = "ignore:.*holds the best model of an earlier run"


class _Put(keras.callbacks.Callback):
    """Puts values of its own into the logs, one an epoch; None for none."""

    def __init__(self, values, name="val_accuracy"):
        super().__init__()
        self.values, self.name = values, name
        self.weights = {}

    def on_epoch_end(self, epoch, logs=None):
        model = getattr(self.model, "model", self.model)
        self.weights[epoch] = model.get_weights()
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]


def _fit(path, values, kind="plain", monitor="val_accuracy", **kwargs):
    put = _Put(values, monitor)
    best = BestCheckpoint(path, monitor, kwargs.pop("mode", "auto"))
    model = kwargs.pop("model", None) or fit_models.model(kind)
    fit_models.fit(model, len(values), [put, best], **kwargs)
    return put, best


def _assert_holds(path, weights, epoch, value):
    saved = keras.models.load_model(path)
    assert saved.name == "small"  # the classifier, not what wraps it
    for a, b in zip(saved.get_weights(), weights):
        np.testing.assert_array_equal(a, b)
    best = model_card.read(path)["best"]
    found = best["epoch"], best["value"], best["step"]
    assert found == (epoch + 1, value, 4 * (epoch + 1))


# What is best.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("monitor", "mode", "values", "at"),
    [
        ("val_accuracy", "auto", [0.2, 0.5, 0.4, 0.5], 1),
        ("val_loss", "auto", [2.0, 1.0, 1.0, 3.0], 1),
        ("val_score", "max", [-3.0, -2.0, -1.0], 2),
        ("val_score", "min", [1.0, 2.0, 3.0], 0),
        ("val_accuracy", "auto", [np.nan, 0.1, np.nan, np.inf], 1),
        ("val_loss", "auto", [np.nan, 0.1, -np.inf], 1),
        ("val_accuracy", "auto", [None, 0.3, None, 0.2], 1),
        ("jsd_of_views", "auto", [0.3, 0.2], 1),
    ],
)
def test_the_best_is_kept(tmp_path, kind, monitor, mode, values, at):
    path = tmp_path / "new" / "best.keras"
    put, best = _fit(path, values, kind, monitor, mode=mode)
    _assert_holds(path, put.weights[at], at, values[at])
    assert best.best["epoch"] == at + 1
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "best.card.json",
        "best.keras",
    ]


def test_the_card_says_what_it_is_given(tmp_path):
    path = tmp_path / "best.keras"
    given = {"flags": ["--alpha=1"], "dataset": "digits", "purpose": "test"}
    callback = BestCheckpoint(path, "loss", provenance=given)
    fit_models.fit(fit_models.model("noisymix"), 1, [callback])
    card = model_card.read(path)
    assert card["flags"] == ["--alpha=1"] and card["purpose"] == "test"
    assert card["dataset"] == {"name": "digits"}
    assert card["training"]["method"] == "NoisyMix"
    best = card["best"]
    assert (best["monitor"], best["mode"]) == ("loss", "min")


@pytest.mark.parametrize("kind", KINDS)
def test_of_corrupted_images_measured_now_and_then(tmp_path, kind):
    path = tmp_path / "best.keras"
    name = "val_corruption_accuracy"
    evaluation = CorruptionEvaluation(
        IMAGES, np.arange(9) % 3, ["contrast"], every_epochs=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        history = fit_models.fit(
            fit_models.model(kind), 6, [evaluation, BestCheckpoint(path, name)]
        )
    values = history[name]
    best = model_card.read(path)["best"]
    assert best["value"] == max(values)
    assert best["epoch"] == 2 * (values.index(max(values)) + 1)
    evaluation.set_model(keras.models.load_model(path))
    assert evaluation.measure()[name] == max(values)


@pytest.mark.parametrize("kind", KINDS)
def test_two_replicas(tmp_path, kind):
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        model = fit_models.model(kind)
    path = tmp_path / "best.keras"
    _fit(path, [0.1, 0.2], model=model)
    classifier = getattr(model, "model", model)
    _assert_holds(path, [w.numpy() for w in classifier.weights], 1, 0.2)


# A run that goes on.


@pytest.mark.parametrize("kind", KINDS)
def test_a_continued_run_never_replaces_a_better_model(tmp_path, kind):
    """A new process: nothing but the files is left of the first part."""
    path = tmp_path / "best.keras"
    model = fit_models.model(kind)
    put, _ = _fit(path, [0.1, 0.8, 0.3], model=model)
    before = path.read_bytes()
    _fit(path, [0, 0, 0, 0.7, 0.8], model=model, initial_epoch=3, start=12)
    assert path.read_bytes() == before
    _assert_holds(path, put.weights[1], 1, 0.8)
    values = [0, 0, 0, 0, 0, 0.9]
    put, _ = _fit(path, values, model=model, initial_epoch=5, start=20)
    assert model_card.read(path)["best"]["value"] == 0.9
    saved = keras.models.load_model(path)
    for a, b in zip(saved.get_weights(), put.weights[5]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings(EARLIER)
def test_going_back_before_the_best_leaves_it(tmp_path):
    """The run finds the same value again, which is no improvement."""
    path = tmp_path / "best.keras"
    _fit(path, [0.1, 0.8, 0.3])
    before = path.read_bytes(), path.stat().st_mtime_ns
    _fit(path, [0.1, 0.8, 0.3])
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_beginning_afresh_beside_an_earlier_best_is_said(tmp_path):
    path = tmp_path / "best.keras"
    _fit(path, [0.5])
    with pytest.warns(UserWarning, match=r"val_accuracy 0.5 in epoch 1"):
        _fit(path, [0.4])
    path.unlink()
    put, _ = _fit(path, [0.3])  # the card alone means nothing
    _assert_holds(path, put.weights[0], 0, 0.3)


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.filterwarnings(EARLIER)
def test_a_kill_at_any_moment_leaves_a_whole_pair(tmp_path, monkeypatch, call):
    """Before the n-th renaming or removal of the second saving."""
    path = tmp_path / "best.keras"
    put, _ = _fit(path, [0.1, 0.05])
    old = put.weights[0]
    count = 0

    def killed(function):
        def wrapper(*args, **kwargs):
            nonlocal count
            count += 1
            if count >= call:
                raise _Killed
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed(model_card.os.replace))
        patch.setattr(
            pathlib.Path, "unlink", killed(pathlib.Path.unlink)
        )  # nobody tidies up after a kill
        with pytest.raises(_Killed):
            _fit(path, [0.1, 0.9])
    value = model_card.read(path)["best"]["value"]
    assert value in (0.1, 0.9)
    new = value == 0.9
    saved = keras.models.load_model(path).get_weights()
    same = [np.array_equal(a, b) for a, b in zip(saved, old)]
    assert all(same) != new
    put, _ = _fit(path, [0.1, 0.9, 0.3])
    _assert_holds(path, put.weights[1], 1, 0.9)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["best.card.json", "best.keras"]
    card = json.loads((tmp_path / "best.card.json").read_text())
    assert card["best"]["value"] == 0.9


# What cannot be used.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("best.h5",), "'best.h5': give a name"),
        (("b.keras", "val_goodness"), "should rise or fall is not known"),
        (("b.keras", "loss", "up"), "mode='up' must be"),
    ],
)
def test_mistakes_are_found_at_once(arguments, message):
    with pytest.raises(UsageError, match=message):
        BestCheckpoint(*arguments)


def test_files_of_another_hand_are_refused(tmp_path):
    path = tmp_path / "best.keras"
    model = fit_models.model("plain")
    _fit(path, [0.5], model=model)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="by max of val_accuracy, not by min"):
        _fit(path, [0.5], monitor="val_loss")
    other = fit_models.model("plain", keras.layers.Conv2D(3, 1))
    with pytest.raises(UsageError, match="holds another network"):
        _fit(path, [0.5], model=other)
    assert path.read_bytes() == before
    model_card.card_path(path).unlink()
    with pytest.raises(UsageError, match="has no model card"):
        _fit(path, [0.5])
    model_card.save(model, path)
    with pytest.raises(UsageError, match="not written by BestCheckpoint"):
        _fit(path, [0.5])


def test_a_metric_of_every_epoch_that_is_not_there(tmp_path):
    callback = BestCheckpoint(tmp_path / "best.keras", "accuracies")
    message = "no metric 'accuracies'; this epoch has accuracy, loss"
    with pytest.raises(UsageError, match=message):
        fit_models.fit(fit_models.model("plain"), 2, [callback])


@pytest.mark.parametrize(
    ("monitor", "epochs", "expected"),
    [
        ("val_accuracies", 1, 1),  # nothing like it
        ("val_accuracies", 3, 1),
        ("val_accuracy", 1, 0),  # perhaps with a later epoch
        ("val_accuracy", 3, 1),
        ("val_corruption_accuracy", 1, 0),
        ("val_corruption_accuracy", 3, 1),
    ],
)
def test_a_metric_that_may_come_is_asked_for_once(
    tmp_path, monitor, epochs, expected
):
    callback = BestCheckpoint(tmp_path / "best.keras", monitor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_models.fit(fit_models.model("plain"), epochs, [callback])
    found = [w for w in caught if "no metric" in str(w.message)]
    assert len(found) == expected
    for warning in found:
        assert repr(monitor) in str(warning.message)
        assert "accuracy, loss" in str(warning.message)
    assert not list(tmp_path.iterdir())
