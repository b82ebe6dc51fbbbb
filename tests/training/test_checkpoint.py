"""What a training keeps: checkpoints, exact or absent, and averages."""

import errno
import os
import resource
import shutil
import threading
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.callbacks import LambdaCallback

from noisymix_tf import model_card
from noisymix_tf.training import checkpoint as lib
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.trainings import assert_equal, fresh
from support.usage import assert_usage_error

DECAY, _CHECKSUM = 0.3, "its bytes do not match its checksum"


def _model(units=4, dtype="float32"):
    dense, norm = layers.Dense(units, dtype=dtype), layers.BatchNormalization()
    parts = dense, norm, layers.Dropout(0.5, seed=1), layers.Dense(2)
    model = keras.Sequential([keras.Input((3,)), *parts])
    sgd = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(sgd, "mse", metrics=["mae"], run_eagerly=True)
    return model


def _fit(model, steps):
    x = tf.random.stateless_normal([8, 3], [0, 1])
    y = tf.random.stateless_normal([8, 2], [0, 2])
    data = tf.data.Dataset.from_tensors((x, y)).repeat(steps)
    model.fit(data, verbose=0, shuffle=False)


def _state(model):
    return [np.asarray(v).copy() for v in lib.state_variables(model)]


@pytest.fixture
def two(tmp_path):
    model, folder = _model(), CheckpointFolder(tmp_path)
    folder.save(model, 1)
    expected = _state(model)
    _fit(model, 1)
    folder.save(model, 2)
    return folder, expected


def test_only_the_newest_are_kept(tmp_path, monkeypatch):
    model, folder = _model(), CheckpointFolder(tmp_path, keep=2)
    for step in (1, 2, 10, 10):
        folder.save(model, step)
    assert folder.steps() == [2, 10]
    for name in ("step-notes", "step-3", ".partial-old-0", ".partial-11"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.npz").write_bytes(b"half")
    shutil.copytree(tmp_path / "step-00000002", tmp_path / "step-00000003")
    assert folder.steps() == [2, 3, 10]
    folder.tidy()
    left = ["step-00000003", "step-00000010", "step-3", "step-notes"]
    assert sorted(os.listdir(tmp_path)) == left
    (tmp_path / ".partial-11").mkdir()
    flushed = []  # Names on the disk before the folder gets its own, and then.
    monkeypatch.setattr(lib, "flush_folder", flushed.append)
    folder.save(model, 11)
    assert flushed == [tmp_path / ".partial-11", tmp_path]
    assert folder.steps() == [10, 11] and not [*tmp_path.glob(".partial*")]
    CheckpointFolder(tmp_path / "none").tidy()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda old, s, m: os.truncate(s, 500), _CHECKSUM),
        (lambda old, s, m: s.unlink(), "state.npz is missing"),
        (lambda old, s, m: m.unlink(), "manifest.json is missing"),
        (lambda old, s, m: (s.unlink(), s.mkdir()), "Is a directory"),
        # A whole checkpoint of another step.
        (lambda old, s, m: [shutil.copy(p, s.parent) for p in old], _CHECKSUM),
    ],
)
def test_damage_is_told_and_passed_over(tmp_path, capsys, two, damage, reason):
    (folder, expected), other = two, _model()
    newest, before = (tmp_path / f"step-{step:08d}" for step in (2, 1))
    damage(before.iterdir(), newest / "state.npz", newest / "manifest.json")
    assert folder.restore(other)[0] == 1
    assert_equal(expected, _state(other))
    assert capsys.readouterr().err.splitlines() == [
        f"Skipped checkpoint {newest}: {reason}.",
        f"Used the one before: {before}.",
    ]
    # The damaged one does not count among those that are kept, but written
    # anew it does.
    folder.save(other, 3)
    assert folder.steps() == [1, 3]
    damage(before.iterdir(), *sorted(folder.folder(3).iterdir())[::-1])
    assert folder.restore(other)[0] == 1
    folder.save(other, 3)
    assert folder.steps() == [1, 3]


def test_every_byte_counts_and_what_cannot_be_restored_is_told(tmp_path, two):
    """Days of training are not begun again without a word."""
    small = CheckpointFolder(tmp_path / "small")
    small.write(7, {"a": np.arange(3, dtype=np.uint8)})
    for path in small.folder(7).iterdir():
        whole = path.read_bytes()
        for place in range(len(whole) + 1):  # And one more byte.
            changed = bytearray(whole + bytes(place == len(whole)))
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(lib.UnusableCheckpoint):
                small.read(7)
        path.write_bytes(whole)
    assert small.read(7)["a"].tolist() == [0, 1, 2]
    folder, other = two[0], _model(units=5)
    assert_usage_error(lambda: folder.restore(other), "to another model")
    other.set_weights([w * np.nan for w in other.get_weights()])
    assert not folder.save(other, 3)
    for step in (1, 2):
        os.truncate(tmp_path / f"step-{step:08d}" / "state.npz", 10)
    assert_usage_error(lambda: folder.restore(_model()), _CHECKSUM)
    assert folder.steps() == [1, 2]
    assert_usage_error(lambda: CheckpointFolder(tmp_path, 0), "keep=0 must be")


def test_background_writes_values_of_the_moment(tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    write = CheckpointFolder.write

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        write(*arguments)

    monkeypatch.setattr(CheckpointFolder, "write", slow)
    # NumPy's files know no bfloat16.
    model, other = _model(dtype="bfloat16"), _model(dtype="bfloat16")
    _fit(model, 1)
    expected, folder = _state(model), CheckpointFolder(tmp_path / "new")
    assert folder.restore(other) == (0, [])
    assert folder.save(model, 1, background=True)
    assert begun.wait(20)
    _fit(model, 1)
    assert folder.steps() == []
    go_on.set()
    assert folder.restore(other)[0] == 1
    assert_equal(expected, _state(other))
    _fit(other, 1)  # And it goes on as the other did.
    assert_equal(_state(model), _state(other))


def test_a_failed_write_leaves_all_as_it_was(tmp_path, monkeypatch, two):
    def content():
        return {p: p.is_dir() or p.read_bytes() for p in tmp_path.rglob("*")}

    def refused(reason, background=False):
        with pytest.raises(OSError, match=reason):
            folder.save(model, 3, background)
            folder.wait()
        assert content() == before

    folder, before, model = two[0], content(), _model()
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left")
        patch.setattr(os, "fsync", mock.Mock(side_effect=full))
        refused("No space left")
        refused("No space left", background=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, limits[1]))
    try:
        refused("File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    folder.save(model, 3)
    assert folder.steps() == [2, 3]


def _closed_form(recorded):
    """sum_t share_t w_t with the shares that the decays leave of each step."""
    decays = [min(DECAY, t / (t + 9)) for t in range(len(recorded))]
    shares = [(1 - d) * np.prod(decays[t + 1 :]) for t, d in enumerate(decays)]
    assert sum(shares) == pytest.approx(1.0)
    pairs = [zip(shares, values) for values in zip(*recorded)]
    return [sum(s * w.astype(np.float64) for s, w in pair) for pair in pairs]


def _averages(trainer):
    with trainer.evaluation_weights():
        return trainer.model.get_weights()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_average_is_the_closed_form_statistics_included(jit_compile):
    options = {"jit_compile": True, **fit_models.QUIET} if jit_compile else {}
    trainer, weights = fresh("noisymix", ema=DECAY, **options), []
    get, keep = trainer.model.get_weights, weights.append
    recorder = LambdaCallback(on_train_batch_end=lambda b, logs: keep(get()))
    fit_models.fit(trainer, callbacks=[recorder], steps_per_epoch=10)
    raw, averages = trainer.model.get_weights(), _averages(trainer)
    assert len(averages) == 8  # Two of them moving statistics.
    for value, expected in zip(averages, _closed_form(weights)):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    # The weights that are trained on are back, and not what was averaged.
    assert_equal(raw, trainer.model.get_weights())
    assert all((a != b).any() for a, b in zip(raw, averages))
    with trainer.evaluation_weights():  # Contexts nest.
        assert_equal(_averages(trainer), averages)
        assert_equal(trainer.model.get_weights(), averages)


def test_what_measures_and_saves_takes_the_averages(tmp_path):
    """And training itself is as it is without them."""
    unbuilt = keras.Sequential([layers.Dense(2)])
    assert_usage_error(lambda: NoisyMix(unbuilt, "input", ema=0.9))
    for d in (1.0, -0.1, True, "0.9"):
        assert_usage_error(lambda d=d: fresh("noisymix", ema=d), "in [0, 1)")
    plain, trainer = fresh("noisymix"), fresh("noisymix", ema=DECAY)
    # Nothing has been averaged before the first step.
    trainer.model.set_weights([w + 1.0 for w in trainer.model.get_weights()])
    assert_equal(_averages(trainer), trainer.model.get_weights())
    trainer.model.set_weights(plain.model.get_weights())
    fit_models.fit(plain, epochs=2)
    data = fit_models.batches("plain").take(2)
    history = fit_models.fit(trainer, 2, validation_data=data)
    raw, averages = trainer.model.get_weights(), _averages(trainer)
    assert_equal(plain.model.get_weights(), raw)
    model_card.save(trainer, tmp_path / "average.keras")
    saved = keras.models.load_model(tmp_path / "average.keras")
    assert_equal(saved.get_weights(), averages)

    def loss():
        return trainer.evaluate(data, verbose=0, return_dict=True)["loss"]

    measured = loss()
    assert measured == pytest.approx(history["val_loss"][-1], rel=1e-6)
    saved.compile(loss=trainer.loss)
    assert measured == pytest.approx(saved.evaluate(data, verbose=0), rel=1e-5)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert copy.ema == DECAY and copy.evaluate_ema
    assert_equal(averages, _averages(copy))
    trainer.evaluate_ema = False
    other, found = loss(), _averages(trainer)
    trainer.evaluate_ema = True
    assert other != pytest.approx(measured, rel=1e-4)
    assert_equal(found, raw)


def test_every_replica_averages_its_own_weights():
    """Not those of the first, copied from its device at every step."""
    with fit_models.two_replicas().scope():
        trainer = fit_models.model("noisymix", ema=DECAY, **fit_models.QUIET)
    replicas, average = trainer.distribute_strategy, trainer._average
    update = tf.function(lambda: replicas.run(average.update, (3,)))
    for op in update.get_concrete_function().graph.get_operations():
        assert len({op.device, *(x.op.device for x in op.inputs)} - {""}) <= 1
    fit_models.fit(trainer, steps_per_epoch=3)
    averages = [v for v in trainer.weights if "average_" in v.path]
    first, second = zip(*(v.value.values for v in averages))
    assert_equal(first, second)
    assert_equal(first, _averages(trainer))
