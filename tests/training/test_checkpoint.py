"""Checkpoints: exact, whole or absent, and honest about damage."""

import errno
import os
import shutil
import subprocess
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.training import checkpoint as checkpoint_lib
from noisymix_tf.training import checkpoint_files as files
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import door_processes


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


def _flip_a_bit(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def _two(path):
    """A folder of two checkpoints, and the state in the first."""
    model = _model()
    folder = CheckpointFolder(path)
    folder.save(model, 1)
    expected = _state(model)
    _fit(model, 1)
    folder.save(model, 2)
    return folder, expected


_CHECKSUM = "its bytes do not match its checksum"
_DAMAGES = {
    "state cut": (lambda s, m: os.truncate(s, 500), _CHECKSUM),
    "state empty": (lambda s, m: os.truncate(s, 0), _CHECKSUM),
    "state flipped": (lambda s, m: _flip_a_bit(s, 300), _CHECKSUM),
    "state longer": (lambda s, m: s.open("ab").write(b"\0"), _CHECKSUM),
    "state gone": (lambda s, m: s.unlink(), "state.npz is missing"),
    "manifest cut": (lambda s, m: os.truncate(m, 40), _CHECKSUM),
    "manifest empty": (lambda s, m: os.truncate(m, 0), _CHECKSUM),
    "manifest gone": (lambda s, m: m.unlink(), "manifest.json is missing"),
    "another step": (
        lambda s, m: m.write_text(m.read_text().replace(": 2,", ": 3,")),
        _CHECKSUM,
    ),
    "state a folder": (lambda s, m: (s.unlink(), s.mkdir()), "Is a directory"),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_damage_is_reported_and_the_previous_one_used(tmp_path, capsys, damage):
    folder, expected = _two(tmp_path)
    newest = tmp_path / "step-00000002"
    damage, reason = _DAMAGES[damage]
    damage(newest / "state.npz", newest / "manifest.json")
    other = _model()
    assert folder.restore(other)[0] == 1
    for a, b in zip(expected, _state(other)):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().err.splitlines() == [
        f"Skipped checkpoint {newest}: {reason}.",
        f"Used the one before: {tmp_path / 'step-00000001'}.",
    ]
    # The damaged one does not count among those that are kept.
    folder.save(other, 3)
    assert folder.steps() == [1, 3]


def test_every_byte_counts(tmp_path):
    """Of a whole small checkpoint, one after the other."""
    files.write(tmp_path, 7, {"a": np.arange(3, dtype=np.uint8)})
    assert files.read(tmp_path, 7)["a"].tolist() == [0, 1, 2]
    for path in files.folder_of(tmp_path, 7).iterdir():
        whole = path.read_bytes()
        for place in range(len(whole)):
            _flip_a_bit(path, place)
            with pytest.raises(files.DamagedCheckpoint):
                files.read(tmp_path, 7)
            path.write_bytes(whole)
    assert files.read(tmp_path, 7)["a"].tolist() == [0, 1, 2]


def test_no_checkpoint_that_can_be_used_is_an_error(tmp_path):
    """Days of training are not begun again without a word."""
    folder, _ = _two(tmp_path)
    for step in (1, 2):
        os.truncate(tmp_path / f"step-{step:08d}" / "state.npz", 10)
    with pytest.raises(UsageError, match="its bytes do not match"):
        folder.restore(_model())
    assert folder.steps() == [1, 2]


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
    with pytest.raises(UsageError, match="it belongs to another model"):
        folder.restore(_model(units=5))


def test_other_files_are_no_checkpoints(tmp_path):
    folder, _ = _two(tmp_path)
    (tmp_path / "step-notes").mkdir()
    (tmp_path / "step-3").mkdir()
    assert folder.steps() == [1, 2]


def test_how_many_are_kept_has_a_range(tmp_path):
    with pytest.raises(UsageError, match="keep=0 must be at least 1"):
        CheckpointFolder(tmp_path, keep=0)


def test_tidy_finishes_what_a_kill_interrupted(tmp_path):
    folder, _ = _two(tmp_path)
    shutil.copytree(tmp_path / "step-00000002", tmp_path / "step-00000003")
    (tmp_path / ".partial-old-0").mkdir()
    (tmp_path / ".partial-old-0" / "state.npz").write_bytes(b"half")
    (tmp_path / ".partial-4").mkdir()
    folder.tidy()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-00000002", "step-00000003"]
    CheckpointFolder(tmp_path / "none").tidy()


def test_variables_of_16_bits(tmp_path):
    """NumPy's files know no bfloat16."""

    def model(value):
        layer = keras.layers.Dense(
            2, dtype="bfloat16", kernel_initializer="ones"
        )
        made = keras.Sequential([keras.Input((3,)), layer])
        made.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        made.set_weights([value * w for w in made.get_weights()])
        return made

    folder = CheckpointFolder(tmp_path)
    folder.save(model(1.25), 1)
    other = model(3.0)
    assert folder.restore(other)[0] == 1
    kernel = np.asarray(other.weights[0]).astype(float)
    assert kernel.tolist() == [[1.25] * 2] * 3


def test_values_in_the_background_are_those_of_the_moment(
    tmp_path, monkeypatch
):
    """Training goes on while they are written, and restoring waits."""
    write, begun, go_on = files.write, threading.Event(), threading.Event()

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        write(*arguments)

    monkeypatch.setattr(files, "write", slow)
    model = _model()
    _fit(model, 1)
    expected = _state(model)
    folder = CheckpointFolder(tmp_path)
    assert folder.save(model, 1, background=True)
    assert begun.wait(20)
    _fit(model, 3)
    assert folder.steps() == []
    go_on.set()
    other = _model()
    assert folder.restore(other)[0] == 1
    for a, b in zip(expected, _state(other)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("background", [False, True])
def test_a_failed_write_leaves_all_as_it_was(
    tmp_path, monkeypatch, number, background
):
    folder, _ = _two(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(number)):
        folder.save(_model(), 3, background)
        folder.wait()
    monkeypatch.undo()
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert before == after
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000001",
        "step-00000002",
    ]
    folder.save(_model(), 3)
    assert folder.steps() == [2, 3]


_SAVE = """
import resource, sys
import numpy as np
from noisymix_tf.training import checkpoint_files as files
array = np.random.default_rng(0).bytes(1 << 21)
files.write(sys.argv[1], 1, {"a": np.zeros(4)})
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    files.write(sys.argv[1], 2, {"a": np.frombuffer(array, np.uint8)})
except OSError as error:
    print(error.strerror)
print(files.steps(sys.argv[1]), files.read(sys.argv[1], 1)["a"].tolist())
"""


@pytest.mark.parametrize("kind", ["limit", "disk"])
def test_a_file_system_that_is_really_full(tmp_path, kind):
    """A limit of the size of files, and a disk of one megabyte."""
    if kind == "disk":
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path]
        if os.getuid() or not shutil.which("mount"):
            pytest.skip("only root can mount a small disk")
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small disk is not allowed here")
    try:
        done = door_processes.run(door_processes.SCRIPT, _SAVE, tmp_path, kind)
        left = sorted(path.name for path in tmp_path.iterdir())
    finally:
        if kind == "disk":
            subprocess.run(["umount", tmp_path], check=True)
    reason = {"limit": "File too large", "disk": "No space left on device"}
    assert done.stdout.splitlines() == [
        reason[kind],
        "[1] [0.0, 0.0, 0.0, 0.0]",
    ], done.stderr
    assert left == ["step-00000001"]
