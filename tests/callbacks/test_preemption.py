"""SIGTERM and Ctrl-C: the step is finished, saved, and continued exactly."""

import errno
import os
import signal
import threading

import keras
import numpy as np
import pytest

from noisymix_tf import doors
from noisymix_tf.callbacks import Checkpoints, JsonLines, Preemption
from noisymix_tf.callbacks.json_lines import read_json_lines
from noisymix_tf.errors import Preempted, UsageError
from noisymix_tf.training import checkpoint_files as files
from noisymix_tf.training import loop
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import door_processes, fit_models


class _Send(keras.callbacks.Callback):
    """Sends a signal to this process before a step or after an epoch."""

    def __init__(self, number, step=None, epoch=None):
        super().__init__()
        self.number, self.step, self.epoch = number, step, epoch

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            os.kill(os.getpid(), self.number)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            os.kill(os.getpid(), self.number)


def _train(folder, *callbacks):
    """Three epochs of four steps; returns the model."""
    model = fit_models.model("noisymix")
    loop.train(
        model,
        lambda step: fit_models.batches("noisymix", step),
        epochs=3,
        steps_per_epoch=4,
        checkpoints=CheckpointFolder(folder / "checkpoints"),
        verbose=0,
        callbacks=[JsonLines(folder / "metrics.jsonl"), *callbacks],
    )
    return model


def _losses(folder):
    lines = read_json_lines(folder / "metrics.jsonl")
    return [(line["epoch"], line["loss"]) for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return _train(folder).get_weights(), _losses(folder)


@pytest.mark.parametrize(
    ("number", "error", "moment", "saved"),
    [
        (signal.SIGTERM, Preempted, {"step": 5}, 6),
        (signal.SIGINT, KeyboardInterrupt, {"step": 1}, 2),
        # After the last step of an epoch, the epoch is done first.
        (signal.SIGTERM, Preempted, {"step": 3}, 4),
        (signal.SIGTERM, Preempted, {"epoch": 1}, 8),
        (signal.SIGTERM, Preempted, {"step": 11}, 12),
    ],
)
def test_the_step_is_finished_saved_and_continued_exactly(
    whole, tmp_path, number, error, moment, saved
):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(error, match=f"saved at step {saved}"):
        _train(tmp_path, _Send(number, **moment))
    assert CheckpointFolder(tmp_path / "checkpoints").steps()[-1] == saved
    assert handlers == [
        signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)
    ]
    weights, losses = whole
    assert _losses(tmp_path) == losses[: saved // 4]
    for a, b in zip(weights, _train(tmp_path).get_weights()):
        np.testing.assert_array_equal(a, b)
    assert _losses(tmp_path) == losses


def test_where_it_goes_on_is_said_before_the_training(tmp_path, capsys):
    """It stood after it, hours later."""
    said = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            said.append(capsys.readouterr().err)

    with pytest.raises(Preempted):
        _train(tmp_path, _Send(signal.SIGTERM, step=1))
    capsys.readouterr()
    _train(tmp_path, Look())
    assert said[0] == "Continued from step 2.\n"


def test_a_failing_fit_gives_the_signals_back(tmp_path):
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise UsageError("no more")

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UsageError, match="no more"):
        _train(tmp_path, Fail())
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_checkpoint_that_cannot_be_written_is_no_good_ending(
    tmp_path, monkeypatch
):
    def full(path, step, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(UsageError, match="step 3 cannot be written"):
        _train(tmp_path, _Send(signal.SIGTERM, step=2))


def test_with_any_keras_model(tmp_path):
    saver = Checkpoints(tmp_path, every_steps=100)
    model = fit_models.model("plain")
    send = _Send(signal.SIGTERM, step=2)
    with pytest.raises(Preempted) as error:
        fit_models.fit(model, 1, [send, saver, Preemption(saver)])
    assert error.value.code == 75
    assert CheckpointFolder(tmp_path).steps() == [3]


@pytest.mark.filterwarnings("error:Exception in thread")
def test_outside_the_main_thread_it_does_nothing(tmp_path):
    saver = Checkpoints(tmp_path, every_steps=100)
    preemption = Preemption(saver)
    preemption.set_model(fit_models.model("plain"))
    handler = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=preemption.on_train_begin)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """`nohup` and the like."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _train(tmp_path, _Send(signal.SIGINT, step=1))
    finally:
        signal.signal(signal.SIGINT, handler)


_DOOR = """
import os, signal, sys, time
from noisymix_tf import doors
from noisymix_tf.errors import UsageError

def main(argv):
    print("ready", flush=True)
    try:
        {body}
    finally:
        print("tidied up", flush=True)

doors.run(main)
"""


# What only SIGTERM said.
LEFT = "the same command does what is left"


def _door(body):
    code = _DOOR.format(body=body)
    return door_processes.run(door_processes.SCRIPT, code)


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("os.kill(os.getpid(), 15); time.sleep(9)", 75, f"preempted; {LEFT}"),
        ("os.kill(os.getpid(), 2); time.sleep(9)", 130, f"interrupted; {LEFT}"),
        (
            "raise KeyboardInterrupt('saved at step 3')",
            130,
            "interrupted: saved at step 3; the same command goes on from there",
        ),
        ("raise UsageError('--a=1 is wrong')", 2, "error: --a=1 is wrong"),
        ("open('/dev/full', 'w', 1).write('x\\n')", 74, "No space left on"),
    ],
)
def test_how_a_door_ends(body, status, line):
    done = _door(body)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines() == ["ready", "tidied up"]
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and line in lines[0]


@pytest.mark.parametrize("keeps_cause", [True, False])
@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOSPC, 74), (errno.EROFS, 74), (errno.EACCES, 2)],
)
def test_a_full_disk_is_no_mistake_of_the_users(
    number, status, keeps_cause, capsys
):
    """It was status 2 wherever the `OSError` had been put into words."""

    def main(argv):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            # Keras' `fit` does the second.
            raise UsageError("cannot be written: make room") from (
                error if keeps_cause else None
            )

    with pytest.raises(SystemExit) as end:
        doors.run(main, [])
    assert end.value.code == status
    assert capsys.readouterr().err == "error: cannot be written: make room\n"


def test_a_second_sigterm_ends_a_door_at_once():
    done = _door(
        "import contextlib\n"
        "        with contextlib.suppress(BaseException):\n"
        "            os.kill(os.getpid(), 15); time.sleep(9)\n"
        "        os.kill(os.getpid(), 15); time.sleep(9)"
    )
    assert done.returncode == -signal.SIGTERM
    assert done.stdout.splitlines() == ["ready"]


def test_a_door_gives_sigterm_back():
    handler = signal.getsignal(signal.SIGTERM)
    doors.run(lambda argv: None, [])
    assert signal.getsignal(signal.SIGTERM) == handler


def test_other_errors_of_a_door_are_not_hidden():
    def main(argv):
        raise FileNotFoundError(2, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        doors.run(main, [])
