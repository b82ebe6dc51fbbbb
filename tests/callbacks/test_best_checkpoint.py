"""The best model of a run, through kills and continuations."""

import itertools
import os
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


def _fit(path, values, kind="plain", monitor="val_accuracy", **kwargs):
    """Trains with these values in the logs; the weights after each epoch."""
    weights = []

    def put(epoch, logs):
        weights.append(getattr(model, "model", model).get_weights())
        if values[epoch] is not None:
            logs[monitor] = values[epoch]

    put = keras.callbacks.LambdaCallback(on_epoch_end=put)
    best = BestCheckpoint(path, monitor, kwargs.pop("mode", "auto"), GIVEN)
    model = kwargs.pop("model", None) or fresh(kind)
    fit_models.fit(model, len(values), [put, best], **kwargs)
    assert best.best == model_card.read(path)["best"]
    return weights


def _assert_holds(path, weights, epoch, value):
    saved = keras.models.load_model(path)
    assert saved.name == "small"  # the classifier, not what wraps it
    assert_equal(saved.get_weights(), weights)
    best = {"epoch": epoch + 1, "value": value, "step": 4 * (epoch + 1)}
    assert best.items() <= model_card.read(path)["best"].items()
    assert sorted(p.name for p in path.parent.iterdir()) == FILES


@pytest.mark.parametrize(
    ("kind", "monitor", "mode", "values", "at"),
    [
        ("noisymix", "val_accuracy", "auto", [0.2, 0.5, 0.4, 0.5], 1),
        ("plain", "val_loss", "auto", [2.0, 1.0, 1.0, 3.0], 1),
        ("plain", "val_score", "max", [-3.0, -2.0, -1.0], 2),
        ("plain", "val_score", "min", [1.0, 2.0, 3.0], 0),
        ("plain", "val_accuracy", "auto", [np.nan, 0.1, None, np.inf], 1),
        ("noisymix", "jsd_of_views", "auto", [0.3, 0.2], 1),
    ],
)
def test_the_best_is_kept(tmp_path, kind, monitor, mode, values, at):
    path = tmp_path / "new" / "best.keras"
    weights = _fit(path, values, kind, monitor, mode=mode)
    _assert_holds(path, weights[at], at, values[at])
    card = model_card.read(path)
    given = {**GIVEN, "dataset": {"name": "digits"}}
    assert given.items() <= card.items() and card["best"]["monitor"] == monitor


def test_a_continued_run_never_replaces_a_better_model(tmp_path):
    """A new process: nothing but the files is left of the first part."""
    path = tmp_path / "best.keras"
    model = fresh("noisymix")
    weights = _fit(path, [0.1, 0.8, 0.3], model=model)
    before = path.read_bytes()
    _fit(path, [0, 0, 0, 0.7, 0.8], model=model, initial_epoch=3, start=12)
    assert path.read_bytes() == before
    _assert_holds(path, weights[1], 1, 0.8)
    more = {"model": model, "initial_epoch": 5, "start": 20}
    [weights] = _fit(path, [0] * 5 + [0.9], **more)
    _assert_holds(path, weights, 5, 0.9)
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
    calls = itertools.count(1)

    def killed(function):
        def wrapper(*args, **kwargs):
            if next(calls) >= call:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed(os.replace))
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


def test_mistakes_and_files_of_another_hand_are_refused(tmp_path):
    for arguments, words in (
        (("best.h5",), "'best.h5': give a name"),
        (("b.keras", "val_goodness"), "should rise or fall is not known"),
        (("b.keras", "loss", "up"), "mode='up' must be"),
    ):
        assert_usage_error(lambda a=arguments: BestCheckpoint(*a), words)
    path = tmp_path / "best.keras"

    def refused(words, **more):
        assert_usage_error(lambda: _fit(path, [0.5], **more), words)

    _fit(path, [0.5])
    refused("by max of val_accuracy, not by min", monitor="val_loss")
    other = fit_models.model("plain", keras.layers.Conv2D(3, 1))
    refused("holds another network", model=other)
    model_card.card_path(path).unlink()
    refused("has no model card")
    model_card.save(fresh("plain"), path)
    refused("not written by BestCheckpoint")


def test_a_metric_that_may_come_is_asked_for_once(tmp_path):
    model, path = fresh("plain"), tmp_path / "best.keras"
    for monitor, epochs, expected in (
        ("val_accuracies", 3, 1),  # nothing like it
        ("val_accuracy", 1, 0),  # perhaps with a later epoch
        ("val_accuracy", 3, 1),
        ("val_corruption_accuracy", 1, 0),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit_models.fit(model, epochs, [BestCheckpoint(path, monitor)])
        found = [x for x in map(str, caught) if "no metric" in x]
        assert len(found) == expected
        assert all(repr(monitor) in x and "accuracy, loss" in x for x in found)
    assert not list(tmp_path.iterdir())
    call = lambda: _fit(path, [None], monitor="accuracies")  # noqa: E731
    words = "no metric 'accuracies'; this epoch has accuracy, loss"
    assert_usage_error(call, words)
