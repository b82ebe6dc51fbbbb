"""Interrupted and continued training, with every callback."""

import errno

import keras
import numpy as np
import pytest

from noisymix_tf import model_card
from noisymix_tf.callbacks import (
    BestCheckpoint,
    Checkpoints,
    CorruptionEvaluation,
    JsonLines,
    NoisyMixSchedule,
    StopOnNaN,
)
from noisymix_tf.callbacks.json_lines import read_json_lines
from noisymix_tf.errors import UsageError
from noisymix_tf.training import checkpoint_files as files
from noisymix_tf.training import loop
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import fit_models

KINDS = ("plain", "noisymix")
IMAGES = np.random.default_rng(0).integers(0, 256, [12, 8, 8, 3], np.uint8)
LABELS = np.arange(12) % 3


class _Kill(keras.callbacks.Callback):
    """Interrupts before a step, or at the end of an epoch."""

    def __init__(self, step=None, epoch=None):
        super().__init__()
        self.step, self.epoch = step, epoch

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def _callbacks(folder, kind, *more):
    callbacks = [
        StopOnNaN(),
        CorruptionEvaluation(IMAGES, LABELS, ["contrast"], every_epochs=2),
        BestCheckpoint(folder / "best.keras", "loss"),
        JsonLines(folder / "metrics.jsonl"),
        *more,
    ]
    if kind == "noisymix":
        weight = NoisyMixSchedule(jsd_weight=lambda step: 1.0 + step, by="step")
        callbacks.append(weight)
    return callbacks


def _train(model, folder, callbacks, **kwargs):
    kind = "plain" if isinstance(model, keras.Sequential) else "noisymix"
    return loop.train(
        model,
        lambda step: fit_models.batches(kind, step),
        epochs=3,
        steps_per_epoch=4,
        checkpoints=CheckpointFolder(folder / "checkpoints"),
        verbose=0,
        callbacks=callbacks,
        **kwargs,
    )


def _log(folder):
    timing = ("seconds", "steps_per_second")
    return [
        {k: v for k, v in line.items() if k not in timing}
        for line in read_json_lines(folder / "metrics.jsonl")
    ]


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory):
    """Kind, weights and folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    model = fit_models.model(request.param)
    _train(model, folder, _callbacks(folder, request.param))
    return request.param, model.get_weights(), folder


def _assert_same(whole, model, folder):
    _, weights, expected = whole
    for a, b in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert _log(folder) == _log(expected)
    assert [line["epoch"] for line in _log(folder)] == [1, 2, 3]
    assert "val_corruption_accuracy" in _log(folder)[1]
    cards = [model_card.read(f / "best.keras") for f in (folder, expected)]
    assert cards[0]["best"] == cards[1]["best"]
    fingerprints = [card["model"]["fingerprint"] for card in cards]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize(
    ("killed_at", "checkpoint_steps"),
    [(0, 0), (5, 0), (4, 1), (11, 1), (7, 3)],
)
@pytest.mark.filterwarnings("ignore:.*holds the best model of an earlier run")
def test_interrupted_training_ends_as_if_it_was_not(
    whole, tmp_path, killed_at, checkpoint_steps
):
    """Weights, every number of every epoch in the log, the best model."""
    kind = whole[0]
    with pytest.raises(KeyboardInterrupt):
        _train(
            fit_models.model(kind),
            tmp_path,
            _callbacks(tmp_path, kind, _Kill(killed_at)),
            checkpoint_steps=checkpoint_steps,
        )
    model = fit_models.model(kind)
    start = _train(
        model,
        tmp_path,
        _callbacks(tmp_path, kind),
        checkpoint_steps=checkpoint_steps,
    )
    every = checkpoint_steps or 4
    assert start == killed_at // every * every
    _assert_same(whole, model, tmp_path)


@pytest.mark.parametrize(("place", "epoch"), [(0, 1), (2, 0), (4, 2)])
@pytest.mark.filterwarnings("ignore:.*holds the best model of an earlier run")
def test_interrupted_between_an_epochs_last_step_and_its_checkpoint(
    whole, tmp_path, place, epoch
):
    """No callback's work at the end of an epoch is lost, or done twice."""
    kind = whole[0]
    callbacks = _callbacks(tmp_path, kind)
    callbacks.insert(place, _Kill(epoch=epoch))
    with pytest.raises(KeyboardInterrupt):
        _train(fit_models.model(kind), tmp_path, callbacks)
    model = fit_models.model(kind)
    assert _train(model, tmp_path, _callbacks(tmp_path, kind)) == 4 * epoch
    _assert_same(whole, model, tmp_path)


def test_finished_training_is_left_alone(whole):
    kind, weights, folder = whole
    again = fit_models.model(kind)
    assert _train(again, folder, _callbacks(folder, kind)) == 12
    for a, b in zip(again.get_weights(), weights):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_fall_on_the_end_of_an_epoch_or_not(tmp_path, kind):
    seen = []

    class Folder(CheckpointFolder):
        def save(self, model, step, background=False):
            seen.append(step)
            return super().save(model, step, background)

    folder = Folder(tmp_path / "checkpoints", keep=9)
    fit_models.fit(
        fit_models.model(kind), 3, [Checkpoints(folder, every_steps=2)]
    )
    assert seen == [2, 4, 6, 8, 10, 12] == folder.steps()


def test_epochs_of_unknown_length_and_a_path(tmp_path):
    model = fit_models.model("plain")
    dataset = fit_models.batches("plain").take(4)
    dataset = dataset.filter(lambda x, y: True)
    checkpoints = Checkpoints(str(tmp_path), every_steps=3)
    model.fit(
        dataset, epochs=1, verbose=0, shuffle=False, callbacks=[checkpoints]
    )
    assert 3 in CheckpointFolder(tmp_path).steps()


class _FullDisk:
    """Makes the writes of some checkpoints fail."""

    def __init__(self, monkeypatch, steps):
        self.write, self.steps = files.write, steps
        monkeypatch.setattr(files, "write", self)

    def __call__(self, path, step, arrays):
        if step in self.steps:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(path, step, arrays)


def test_a_full_disk_does_not_end_training(
    whole, tmp_path, monkeypatch, capsys
):
    kind = whole[0]
    _FullDisk(monkeypatch, {3, 4, 9})
    model = fit_models.model(kind)
    _train(model, tmp_path, _callbacks(tmp_path, kind), checkpoint_steps=1)
    _assert_same(whole, model, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line, step in zip(lines, (3, 4, 9)):
        assert f"checkpoint of step {step} could not be written" in line
        assert "(No space left on device)" in line


def test_the_last_checkpoint_is_tried_again_and_must_succeed(
    tmp_path, monkeypatch, capsys
):
    _FullDisk(monkeypatch, {12})
    with pytest.raises(UsageError) as error:
        _train(fit_models.model("plain"), tmp_path, [])
    assert "checkpoint of step 12 cannot be written" in str(error.value)
    assert "\n" not in str(error.value)
    assert CheckpointFolder(tmp_path / "checkpoints").steps() == [4, 8]
    # By then there is room again.
    monkeypatch.undo()
    assert _train(fit_models.model("plain"), tmp_path, []) == 8


def test_several_steps_in_one(tmp_path):
    """What falls due between two calls is saved at the second."""
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=9)
    model = fit_models.model("plain")
    model.steps_per_execution = 4
    fit_models.fit(model, 2, [Checkpoints(folder, 6)], steps_per_epoch=12)
    assert folder.steps() == [8, 12, 20, 24]
