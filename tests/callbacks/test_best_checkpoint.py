"""The best model of a run, through kills and continuations."""

import pathlib
import warnings

import keras
import numpy as np
import pytest

from noisymix_tf import model_card
from noisymix_tf.callbacks import BestCheckpoint
from support import fit_models
from support.trainings import assert_equal, fresh
from support.usage import assert_usage_error

GIVEN = {"flags": ["--alpha=1"], "dataset": "digits", "purpose": "test"}
FILES = ["best.card.json", "best.keras"]
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*holds the best model of an earlier run"
)


class _Put(keras.callbacks.Callback):
    """Puts values of its own into the logs, one an epoch; None for none."""

    def __init__(self, values, name):
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
    best = BestCheckpoint(path, monitor, kwargs.pop("mode", "auto"), GIVEN)
    model = kwargs.pop("model", None) or fresh(kind)
    fit_models.fit(model, len(values), [put, best], **kwargs)
    assert best.best == model_card.read(path)["best"]
    return put.weights


def _assert_holds(path, weights, epoch, value):
    saved = keras.models.load_model(path)
    assert saved.name == "small"  # the classifier, not what wraps it
    assert_equal(saved.get_weights(), weights)
    best = model_card.read(path)["best"]
    found = best["epoch"], best["value"], best["step"]
    assert found == (epoch + 1, value, 4 * (epoch + 1))


@pytest.mark.parametrize(
    ("kind", "monitor", "mode", "values", "at"),
    [
        ("noisymix", "val_accuracy", "auto", [0.2, 0.5, 0.4, 0.5], 1),
        ("plain", "val_loss", "auto", [2.0, 1.0, 1.0, 3.0], 1),
        ("plain", "val_score", "max", [-3.0, -2.0, -1.0], 2),
        ("plain", "val_score", "min", [1.0, 2.0, 3.0], 0),
        ("plain", "val_accuracy", "auto", [np.nan, 0.1, np.nan, np.inf], 1),
        ("plain", "val_loss", "auto", [None, 0.1, None, -np.inf], 1),
        ("noisymix", "jsd_of_views", "auto", [0.3, 0.2], 1),
    ],
)
def test_the_best_is_kept(tmp_path, kind, monitor, mode, values, at):
    path = tmp_path / "new" / "best.keras"
    weights = _fit(path, values, kind, monitor, mode=mode)
    _assert_holds(path, weights[at], at, values[at])
    assert sorted(p.name for p in path.parent.iterdir()) == FILES
    card = model_card.read(path)
    assert card["flags"] == ["--alpha=1"] and card["purpose"] == "test"
    assert card["dataset"] == {"name": "digits"}
    assert card["best"]["monitor"] == monitor


def test_a_continued_run_never_replaces_a_better_model(tmp_path):
    """A new process: nothing but the files is left of the first part."""
    path = tmp_path / "best.keras"
    model = fresh("noisymix")
    weights = _fit(path, [0.1, 0.8, 0.3], model=model)
    before = path.read_bytes()
    _fit(path, [0, 0, 0, 0.7, 0.8], model=model, initial_epoch=3, start=12)
    assert path.read_bytes() == before
    _assert_holds(path, weights[1], 1, 0.8)
    values = [0, 0, 0, 0, 0, 0.9]
    weights = _fit(path, values, model=model, initial_epoch=5, start=20)
    _assert_holds(path, weights[5], 5, 0.9)
    # One that begins again finds the same value, which is no improvement.
    before = path.read_bytes()
    with pytest.warns(UserWarning, match=r"val_accuracy 0.9 in epoch 6"):
        _fit(path, [0.1, 0.9])
    assert path.read_bytes() == before
    path.unlink()
    weights = _fit(path, [0.3])  # the card alone means nothing
    _assert_holds(path, weights[0], 0, 0.3)


@pytest.mark.parametrize("call", range(1, 5))
def test_a_kill_at_any_moment_leaves_a_whole_pair(tmp_path, monkeypatch, call):
    """Before the n-th renaming or removal of the second saving."""
    path = tmp_path / "best.keras"
    old = _fit(path, [0.1, 0.05])[0]
    calls = []

    def killed(function):
        def wrapper(*args, **kwargs):
            calls.append(args)
            if len(calls) >= call:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed(model_card.os.replace))
        # Nobody tidies up after a kill.
        patch.setattr(pathlib.Path, "unlink", killed(pathlib.Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            _fit(path, [0.1, 0.9])
    value = model_card.read(path)["best"]["value"]
    assert value in (0.1, 0.9)
    saved = keras.models.load_model(path).get_weights()
    is_old = all(np.array_equal(a, b) for a, b in zip(saved, old))
    assert is_old == (value == 0.1)
    weights = _fit(path, [0.1, 0.9, 0.3])
    _assert_holds(path, weights[1], 1, 0.9)
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


def test_mistakes_and_files_of_another_hand_are_refused(tmp_path):
    for arguments, words in (
        (("best.h5",), "'best.h5': give a name"),
        (("b.keras", "val_goodness"), "should rise or fall is not known"),
        (("b.keras", "loss", "up"), "mode='up' must be"),
    ):
        assert_usage_error(lambda a=arguments: BestCheckpoint(*a), words)
    path = tmp_path / "best.keras"
    _fit(path, [0.5])
    other = fit_models.model("plain", keras.layers.Conv2D(3, 1))
    for words, more in (
        ("by max of val_accuracy, not by min", {"monitor": "val_loss"}),
        ("holds another network", {"model": other}),
    ):
        assert_usage_error(lambda more=more: _fit(path, [0.5], **more), words)
    model_card.card_path(path).unlink()
    assert_usage_error(lambda: _fit(path, [0.5]), "has no model card")
    model_card.save(fresh("plain"), path)
    words = "not written by BestCheckpoint"
    assert_usage_error(lambda: _fit(path, [0.5]), words)


@pytest.mark.parametrize(
    ("monitor", "epochs", "expected"),
    [
        ("val_accuracies", 3, 1),  # nothing like it
        ("val_accuracy", 1, 0),  # perhaps with a later epoch
        ("val_accuracy", 3, 1),
        ("val_corruption_accuracy", 1, 0),
    ],
)
def test_a_metric_that_may_come_is_asked_for_once(
    tmp_path, monitor, epochs, expected
):
    model = fresh("plain")
    callback = BestCheckpoint(tmp_path / "best.keras", monitor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_models.fit(model, epochs, [callback])
    found = [str(w.message) for w in caught if "no metric" in str(w.message)]
    assert len(found) == expected
    assert all(repr(monitor) in x and "accuracy, loss" in x for x in found)
    assert not list(tmp_path.iterdir())
    of_every_epoch = BestCheckpoint(tmp_path / "best.keras", "accuracies")
    assert_usage_error(
        lambda: fit_models.fit(model, 1, [of_every_epoch]),
        "no metric 'accuracies'; this epoch has accuracy, loss",
    )
