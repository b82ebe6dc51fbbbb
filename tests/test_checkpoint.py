"""Checkpoints: exact, whole or absent, and honest about damage."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.training import checkpoint as checkpoint_lib
from noisymix_tf.training.checkpoint import CheckpointFolder


def _model(units=4):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
        loss="mse",
        metrics=["mae"],
    )
    return model


def _fit(model, steps):
    x = tf.random.stateless_normal([8, 3], [0, 1])
    y = tf.random.stateless_normal([8, 2], [0, 2])
    data = tf.data.Dataset.from_tensors((x, y)).repeat(steps)
    model.fit(data, verbose=0, shuffle=False)


def _state(model):
    return [np.asarray(v) for v in checkpoint_lib.state_variables(model)]


def test_restored_model_continues_bit_for_bit(tmp_path):
    """Optimizer slots and the state of dropout included."""
    whole = _model()
    whole.set_weights([np.full_like(w, 0.5) for w in whole.get_weights()])
    _fit(whole, 3)
    folder = CheckpointFolder(tmp_path)
    assert folder.save(whole, 3)
    other = _model()
    step, metrics = folder.restore(other)
    assert step == 3 and len(metrics) > 0
    _fit(whole, 2)
    _fit(other, 2)
    for a, b in zip(_state(whole), _state(other)):
        np.testing.assert_array_equal(a, b)


def test_only_the_newest_are_kept(tmp_path):
    model = _model()
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (1, 2, 10):
        folder.save(model, step)
    assert folder.steps() == [2, 10]
    folder.save(model, 10)
    assert folder.steps() == [2, 10]


def test_nothing_to_restore(tmp_path):
    assert CheckpointFolder(tmp_path / "none").restore(_model()) == (0, [])


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: _truncate(folder / "state.npz"),
        lambda folder: _flip_a_bit(folder / "state.npz"),
        lambda folder: (folder / "state.npz").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text('{"step": 2'),
        lambda folder: (folder / "manifest.json").write_text(
            json.dumps({"step": 2})
        ),
    ],
)
def test_damage_is_reported_and_the_previous_one_used(tmp_path, damage):
    model = _model()
    folder = CheckpointFolder(tmp_path)
    folder.save(model, 1)
    expected = _state(model)
    _fit(model, 1)
    folder.save(model, 2)
    damage(tmp_path / "step-00000002")
    other = _model()
    with pytest.warns(UserWarning, match="Skipped checkpoint.*step-00000002"):
        step, _ = folder.restore(other)
    assert step == 1
    for a, b in zip(expected, _state(other)):
        np.testing.assert_array_equal(a, b)


def test_a_half_written_checkpoint_is_never_loaded(tmp_path):
    model = _model()
    folder = CheckpointFolder(tmp_path)
    folder.save(model, 1)
    partial = tmp_path / ".partial-2"
    partial.mkdir()
    (partial / "state.npz").write_bytes(b"half")
    assert folder.restore(_model())[0] == 1
    folder.save(model, 3)
    assert not partial.exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = _model()
    folder = CheckpointFolder(tmp_path)
    folder.save(model, 1)
    model.set_weights([w * np.nan for w in model.get_weights()])
    assert not folder.save(model, 2)
    assert folder.steps() == [1]


def test_checkpoint_of_another_model_is_an_error(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(_model(units=4), 1)
    with pytest.raises(ValueError, match="another model"):
        folder.restore(_model(units=5))
