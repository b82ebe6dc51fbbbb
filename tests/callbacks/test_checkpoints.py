"""Training that is killed, preempted or diverges, with every callback."""

import errno
import functools
import itertools
import os
import pathlib
import shutil
import signal
import threading
from unittest import mock

import keras
import numpy as np
import pytest
from keras.callbacks import LambdaCallback

from noisymix_tf import callbacks as lib
from noisymix_tf import distribution, fitting, model_card
from noisymix_tf.config import Config
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.training import setup, tuning
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import fit_models
from support.trainings import assert_equal, fresh, log_of
from support.usage import assert_usage_error

IMAGES = np.random.default_rng(0).integers(0, 256, [12, 8, 8, 3], np.uint8)
LABELS = np.arange(12) % 3
_KINDS = "plain", "noisymix", "phased"
_TUNED = {"optimizer": "adamw", "learning_rate": 1e-3, "warmup_epochs": 0.5}
_TUNED |= {"epochs": 3, "freeze_epochs": 2, "layer_decay": 0.5}
_TUNED = Config(**_TUNED)
TERM, INT = signal.SIGTERM, signal.SIGINT
pytestmark = pytest.mark.filterwarnings("ignore:.*the best model of an earlier")


def _end(number, step=None, epoch=None):
    """Kills or signals before a step or at the end of an epoch."""

    def end(is_due):
        if is_due and number is None:
            raise InterruptedError
        if is_due:
            os.kill(os.getpid(), number)

    def begin(batch, logs):
        end(step_of(callback.model) == step)

    callback = LambdaCallback(on_train_batch_begin=begin)
    callback.on_epoch_end = lambda now, logs: end(now == epoch)
    return callback


def _get(kind):
    own = {"plain": {}, "noisymix": {"ema": 0.3, "noise_scale": "std"}}
    # Its own model, which gets other optimizers.
    own["phased"] = {"ema": 0.3, "run_eagerly": True, **fit_models.QUIET}
    return fresh("plain" if kind == "plain" else "noisymix", **own[kind])


def _callbacks(folder, kind):
    callbacks = [
        lib.StopOnNaN(),
        lib.CorruptionEvaluation(IMAGES, LABELS, ["contrast"], every_epochs=2),
        lib.BestCheckpoint(folder / "best.keras", "loss"),
        lib.JsonLines(folder / "metrics.jsonl"),
    ]
    if kind == "plain":
        return callbacks
    by_step = lib.NoisyMixSchedule(jsd_weight=lambda s: 1.0 + s, by="step")
    by_epoch = lib.NoisyMixSchedule(alpha=lib.ramp(0.0, 1.0, 3))
    return [*callbacks, by_step, by_epoch]


def _train(kind, folder, callbacks=(), checkpoint_steps=0):
    """Three epochs of four steps; the step it began at, and all weights."""
    model = _get(kind)
    given = {"epochs": 3, "steps_per_epoch": 4, "callbacks": callbacks}
    given |= {"verbose": 0, "checkpoint_steps": checkpoint_steps}
    given["checkpoints"] = CheckpointFolder(folder / "checkpoints")
    if kind == "phased":
        # The head alone for two epochs, then all.
        model.tuning = tuning.Tuning(_TUNED, model.model)

        def begin(phase):
            setup.begin(_TUNED, model, 4, phase)
            model.run_eagerly = True  # Not traced in each phase.

        phases = tuning.phases(_TUNED)
        begin(phases[-1])
        phases = [(p.epochs, functools.partial(begin, p)) for p in phases]
        given["phases"] = phases
    views = "plain" if kind == "plain" else "noisymix"
    batches = functools.partial(fit_models.batches, views)
    try:
        return fitting.train(model, batches, **given), model.get_weights()
    finally:
        if kind == "phased":
            model.tuning.leave()


def _handlers():
    return [signal.getsignal(number) for number in (TERM, INT)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runs = {kind: tmp_path_factory.mktemp(kind) for kind in _KINDS}
    return {k: (_train(k, p, _callbacks(p, k))[1], p) for k, p in runs.items()}


def _assert_same(whole, weights, folder):
    expected, other = whole
    assert_equal(weights, expected)
    log = log_of(folder)
    assert log == log_of(other)
    assert [line["epoch"] for line in log] == [1, 2, 3]
    assert "val_corruption_accuracy" in log[1]
    cards = [model_card.read(f / "best.keras") for f in (folder, other)]
    for card in cards:
        del card["created"]
    assert cards[0] == cards[1]


@pytest.mark.parametrize(
    ("kind", "number", "moment", "place", "every", "start"),
    [
        ("noisymix", None, {"step": 0}, 0, 0, 0),
        ("noisymix", None, {"step": 5}, 0, 0, 4),
        ("noisymix", None, {"step": 7}, 0, 3, 6),
        ("plain", None, {"step": 11}, 0, 1, 11),
        # Between an epoch's last step and its checkpoint: no callback's work
        # at the end of an epoch is lost, or done twice.
        ("noisymix", None, {"epoch": 1}, 0, 0, 4),
        ("noisymix", None, {"epoch": 2}, 5, 0, 8),
        ("plain", None, {"epoch": 0}, 2, 0, 0),
        ("noisymix", TERM, {"step": 5}, 0, 0, 6),
        ("plain", INT, {"step": 1}, 0, 0, 2),
        ("noisymix", TERM, {"step": 3}, 0, 0, 4),
        ("noisymix", TERM, {"epoch": 1}, 0, 0, 8),
        ("plain", TERM, {"step": 11}, 0, 0, 12),
        ("phased", None, {"step": 6}, 0, 3, 6),
        ("phased", None, {"step": 10}, 0, 3, 9),
    ],
)
def test_interrupted_training_ends_as_if_it_was_not(
    whole, tmp_path, capsys, kind, number, moment, place, every, start
):
    expected, handlers = whole[kind], _handlers()
    callbacks = _callbacks(tmp_path, kind)
    callbacks.insert(place, _end(number, **moment))
    error = {TERM: Preempted, INT: KeyboardInterrupt}
    with pytest.raises(error.get(number, InterruptedError)) as caught:
        _train(kind, tmp_path, callbacks, every)
    assert _handlers() == handlers
    if number is not None:
        assert str(caught.value) == f"saved at step {start}"
        assert log_of(tmp_path) == log_of(expected[1])[: start // 4]
    capsys.readouterr()
    callbacks = _callbacks(tmp_path, kind)
    begun, weights = _train(kind, tmp_path, callbacks, every)
    assert begun == start
    said = capsys.readouterr().err
    assert said == (f"Continued from step {start}.\n" if start else "")
    _assert_same(expected, weights, tmp_path)


def test_the_head_is_trained_alone_first(tmp_path):
    """What lies below keeps every bit, moving statistics included."""
    classifier = _get("phased").model
    seen = [classifier.get_weights()]
    keep = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(classifier.get_weights())
    )
    callbacks = [keep, lib.JsonLines(tmp_path / "metrics.jsonl")]
    assert _train("phased", tmp_path, callbacks)[0] == 0
    for before, now in itertools.pairwise(seen[:3]):
        assert_equal(before[:6], now[:6])
    for before, now in [(seen[0][6:], seen[1][6:]), seen[2:]]:
        assert all((a != b).any() for a, b in zip(before, now))
    # A cosine of eight steps, and one of four that are warmed up.
    rates = [line["learning_rate"] for line in log_of(tmp_path)]
    assert rates == pytest.approx([5.005e-4, 1e-6, 1e-6], rel=1e-4)
    # The checkpoint before a damaged one may be of the phase before.
    os.truncate(tmp_path / "checkpoints/step-00000012/state.npz", 500)
    assert _train("phased", tmp_path)[0] == 8
    assert_equal(classifier.get_weights(), seen[3])


def test_steps_that_fall_on_the_end_of_an_epoch_or_not(tmp_path):
    folder = CheckpointFolder(tmp_path / "a", keep=9)
    folder.save = mock.Mock(wraps=folder.save)
    fit_models.fit(_get("noisymix"), 3, [lib.Checkpoints(folder, 2)])
    seen = [call.args[1] for call in folder.save.call_args_list]
    assert seen == [2, 4, 6, 8, 10, 12] == folder.steps()
    # Of unknown length, a path in place of a folder, and half of the updates.
    halved = keras.optimizers.SGD(gradient_accumulation_steps=2)
    scaled = keras.optimizers.LossScaleOptimizer(halved)
    dataset = fit_models.batches("plain").take(4).filter(lambda x, y: True)
    checkpoints = lib.Checkpoints(str(tmp_path / "b"), every_steps=3)
    model = fit_models.model("plain", optimizer=scaled)
    model.fit(dataset, verbose=0, callbacks=[checkpoints])
    assert CheckpointFolder(tmp_path / "b").steps() == [3, 4]


def test_executions_end_with_their_epoch(whole, tmp_path, monkeypatch):
    """Of three steps, where an epoch has four; they had to divide it."""
    get = functools.partial(fresh, rate=0.02)  # Its own step is traced anew.
    get("plain").steps_per_execution = 3
    monkeypatch.setitem(globals(), "_get", get)
    for number, moment, step in (
        (TERM, {"step": 4}, 7),
        (TERM, {"step": 7}, 8),  # The epoch is done first.
        (None, {"epoch": 1}, 7),
    ):
        folder = tmp_path / f"{number}{moment}"
        callbacks = _callbacks(folder, "plain")
        with pytest.raises((Preempted, InterruptedError)):
            _train("plain", folder, [_end(number, **moment), *callbacks], 2)
        begun, weights = _train("plain", folder, _callbacks(folder, "plain"), 2)
        assert begun == step and log_of(folder) == log_of(whole["plain"][1])
        assert_equal(weights, whole["plain"][0])


def test_only_the_last_save_must_succeed(whole, tmp_path, monkeypatch, capsys):
    """On a full disk; that after a signal, too."""
    expected, write, full = whole["noisymix"], CheckpointFolder.write, {3, 4, 9}

    def failing(path, step, arrays):
        if step in full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, step, arrays)

    monkeypatch.setattr(CheckpointFolder, "write", failing)
    capsys.readouterr()
    callbacks = _callbacks(tmp_path, "noisymix")
    _, weights = _train("noisymix", tmp_path, callbacks, 1)
    _assert_same(expected, weights, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    for line, step in zip(lines, (3, 4, 9), strict=True):
        assert f"checkpoint of step {step} could not be written" in line
        assert "(No space left on device)" in line
    full = {3, 12}
    last = functools.partial(_train, "plain", tmp_path / "a")
    assert_usage_error(last, "checkpoint of step 12 cannot be written")
    assert CheckpointFolder(tmp_path / "a/checkpoints").steps() == [4, 8]
    told = functools.partial(_train, "plain", tmp_path / "b")
    end = [_end(TERM, step=2)]
    assert_usage_error(lambda: told(end), "step 3 cannot be written")
    full.clear()  # By then there is room again.
    assert last()[0] == 8


class _Least(keras.layers.Layer):
    """Has a weight that is not finite, which training leaves alone."""

    def __init__(self):
        super().__init__()
        low = keras.initializers.Constant(-np.inf)
        self.low = self.add_weight((), low, trainable=False)

    def call(self, x):
        return keras.ops.maximum(x, self.low)


def test_what_is_not_saved_is_told(tmp_path, capsys):
    folder = CheckpointFolder(tmp_path, keep=9)
    saver, model = lib.Checkpoints(folder, 3), fit_models.model("plain")
    fit_models.fit(model, 1, [saver])
    # Another model would have seen its checkpoints removed at once.
    given = [lib.Checkpoints(tmp_path, 1)]
    fit = functools.partial(fit_models.fit, _get("plain"), 1, given)
    assert_usage_error(
        fit, "later steps (3, 4), this training begins at step 0"
    )
    assert folder.steps() == [3, 4]
    shutil.rmtree(tmp_path)
    fit_models.fit(_get("plain"), 1, [saver])
    assert folder.steps() == [3, 4]
    shutil.rmtree(tmp_path)
    for first, last in ((0, "none"), (4, "step 4")):
        model = fit_models.model("plain", _Least())
        if first:
            fit_models.fit(model, 1, [saver])
            assert folder.steps() == [3, 4]
        model.set_weights([np.nan * w for w in model.get_weights()])
        callbacks = [_end(TERM, first), saver, lib.Preemption(saver)]
        with pytest.raises(Preempted, match=f"not saved: .*checkpoint: {last}"):
            fit_models.fit(model, 1, callbacks)
        assert capsys.readouterr().err.count("No checkpoint of step") == 1
    for every in (0, "2"):
        call = functools.partial(lib.Checkpoints, tmp_path, every)
        assert_usage_error(call, f"every_steps={every!r} must be a whole")


@pytest.mark.filterwarnings("error:Exception in thread")
def test_signals_that_others_need_are_left_to_them(tmp_path):
    """After a `fit` that fails, outside the main thread, where ignored."""
    handlers, fail = _handlers(), mock.Mock(side_effect=UsageError("no more"))
    failing = [LambdaCallback(on_train_batch_end=fail)]
    call = functools.partial(_train, "plain", tmp_path)
    assert_usage_error(lambda: call(failing), "no more")
    assert _handlers() == handlers
    preemption = lib.Preemption(lib.Checkpoints(tmp_path, every_steps=100))
    preemption.set_model(_get("plain"))
    thread = threading.Thread(target=preemption.on_train_begin)
    thread.start()
    thread.join()
    assert _handlers() == handlers
    signal.signal(INT, signal.SIG_IGN)  # `nohup` and the like.
    try:
        assert call([_end(INT, step=1)])[0] == 0
    finally:
        signal.signal(INT, handlers[1])


@pytest.mark.parametrize("kind", _KINDS[:2])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path, kind):
    folder, model = CheckpointFolder(tmp_path), _get(kind)
    model.optimizer.learning_rate = 1e37
    message = r"became (inf|nan) at step \d.*: do less"
    with pytest.raises(lib.TrainingDiverged, match=message):
        callbacks = [lib.StopOnNaN("do less"), lib.Checkpoints(folder, 1)]
        fit_models.fit(model, 3, callbacks)
    copy = _get(kind)
    assert folder.restore(copy)[0] >= 1
    assert all(np.isfinite(w).all() for w in copy.get_weights())


def test_callbacks_beside_two_replicas(tmp_path):
    path, options = tmp_path / "best.keras", fit_models.QUIET
    with distribution.strategy("mirrored").scope():
        model = fit_models.model("noisymix", jsd_weight=0, **options)
    callbacks = [
        lib.NoisyMixSchedule(jsd_weight=lambda epoch: 5.0 * epoch),
        LambdaCallback(on_epoch_end=lambda epoch, x: x.update(epochs=epoch)),
        evaluation := lib.CorruptionEvaluation(IMAGES, LABELS, ["contrast"]),
        lib.BestCheckpoint(path, "epochs", "max"),
        lib.JsonLines(tmp_path / "metrics.jsonl"),
    ]
    history = fit_models.fit(model, 3, callbacks)
    found = [(line["step"], line["loss"]) for line in log_of(tmp_path)]
    assert found == list(zip([4, 8, 12], history["loss"]))
    saved = keras.models.load_model(path)
    assert_equal(saved.get_weights(), [w.numpy() for w in model.model.weights])
    assert model_card.read(path)["best"]["step"] == 12
    evaluation.set_model(saved)
    for name, value in evaluation.measure().items():
        assert value == history[name][-1]
    total = history["cross_entropy"] + np.array([0, 5, 10]) * history["jsd"]
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


GIVEN = {"flags": ["--alpha=1"], "dataset": "digits", "purpose": "test"}


def _fit_best(path, values, kind="plain", monitor="val_accuracy", **kwargs):
    """Trains with these values in the logs; the weights after each epoch."""
    weights = []

    def put(epoch, logs):
        weights.append(getattr(model, "model", model).get_weights())
        if values[epoch] is not None:
            logs[monitor] = values[epoch]

    put = LambdaCallback(on_epoch_end=put)
    best = lib.BestCheckpoint(path, monitor, kwargs.pop("mode", "auto"), GIVEN)
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
    assert {*os.listdir(path.parent)} == {"best.card.json", "best.keras"}


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
    weights = _fit_best(path, values, kind, monitor, mode=mode)
    _assert_holds(path, weights[at], at, values[at])
    card = model_card.read(path)
    given = {**GIVEN, "dataset": {"name": "digits"}}
    assert given.items() <= card.items() and card["best"]["monitor"] == monitor


def test_a_continued_run_never_replaces_a_better_model(tmp_path, monkeypatch):
    """A new process: nothing but the files is left of the first part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "best.keras"
    model = fresh("noisymix")
    weights = _fit_best(path, [0.1, 0.8, 0.3], model=model)
    before = path.read_bytes()
    _fit_best(path, [0, 0, 0, 0.7, 0.8], model=model, initial_epoch=3, start=12)
    assert path.read_bytes() == before
    _assert_holds(path, weights[1], 1, 0.8)
    more = {"model": model, "initial_epoch": 5, "start": 20}
    [weights] = _fit_best(path, [0] * 5 + [0.9], **more)
    _assert_holds(path, weights, 5, 0.9)
    # One that begins again finds the same value, which is no improvement.
    before = path.read_bytes()
    with pytest.warns(UserWarning, match=r"val_accuracy 0.9 in epoch 6"):
        _fit_best("~/best.keras", [0.1, 0.9])
    assert path.read_bytes() == before
    path.unlink()
    weights = _fit_best(path, [0.3])  # the card alone means nothing
    _assert_holds(path, weights[0], 0, 0.3)


@pytest.mark.parametrize("call", range(1, 5))
def test_a_kill_at_any_moment_leaves_a_whole_pair(tmp_path, monkeypatch, call):
    """Before the n-th renaming or removal of the second saving."""
    path = tmp_path / "best.keras"
    old = _fit_best(path, [0.1, 0.05])[0]
    calls = itertools.count(1)

    def killed(function):
        def wrapper(*args, **kwargs):
            if next(calls) >= call:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed(os.replace))
        patch.setattr(pathlib.Path, "unlink", killed(pathlib.Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            _fit_best(path, [0.1, 0.9])
    value = model_card.read(path)["best"]["value"]
    assert value in (0.1, 0.9)
    saved = keras.models.load_model(path).get_weights()
    is_old = all(np.array_equal(a, b) for a, b in zip(saved, old))
    assert is_old == (value == 0.1)
    _assert_holds(path, _fit_best(path, [0.1, 0.9, 0.3])[1], 1, 0.9)


def test_mistakes_and_metrics_that_never_come_are_told(tmp_path, recwarn):
    for arguments, words in (
        (("best.h5",), "'best.h5': give a name"),
        (("b.keras", "val_goodness"), "should rise or fall is not known"),
        (("b.keras", "loss", "up"), "mode='up' must be"),
    ):
        assert_usage_error(lambda a=arguments: lib.BestCheckpoint(*a), words)
    path = tmp_path / "best.keras"

    def refused(words, values=(0.5,), **more):
        assert_usage_error(lambda: _fit_best(path, values, **more), words)

    _fit_best(path, [0.5])
    refused("by max of val_accuracy, not by min", monitor="val_loss")
    other = fit_models.model("plain", keras.layers.Conv2D(3, 1))
    refused("holds another network", model=other)
    model_card.card_path(path).unlink()
    refused("has no model card")
    model_card.save(fresh("plain"), path)
    refused("not written by BestCheckpoint")
    recwarn.clear()
    model, path = fresh("plain"), tmp_path / "new" / "best.keras"
    for monitor, epochs, expected in (
        ("val_accuracies", 3, 1),  # nothing like it
        ("val_accuracy", 1, 0),  # perhaps with a later epoch
        ("val_accuracy", 3, 1),
        ("val_corruption_accuracy", 1, 0),
    ):
        fit_models.fit(model, epochs, [lib.BestCheckpoint(path, monitor)])
        found = [x for x in map(str, recwarn) if "no metric" in x]
        recwarn.clear()
        assert len(found) == expected
        assert all(repr(monitor) in x and "accuracy, loss" in x for x in found)
    assert not path.parent.exists()
    never = {"values": [None], "monitor": "accuracies"}
    refused("no metric 'accuracies'; there are accuracy", **never)
