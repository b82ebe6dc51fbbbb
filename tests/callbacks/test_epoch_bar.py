"""What a training says while it works."""

import re

import pytest

from noisymix_tf.callbacks.epoch_bar import EpochBar

LOGS = {
    "accuracy": 0.12345,
    "cross_entropy": 2.2,
    "jsd": 0.0033,
    "loss": 12.34567,
}
VALIDATION = {"val_accuracy": 0.5, "val_loss": 1.0}


def _say(verbose, capsys, steps=5004):
    """An epoch's beginning, some steps and its end."""
    bar = EpochBar(90, verbose)
    bar.set_params({"steps": steps, "epochs": 4})
    bar.on_epoch_begin(3)
    for batch in range(3):
        # A long training, and one that is drawn at every step.
        bar._bar._start -= 30
        bar._bar._last_update = 0
        bar.on_train_batch_end(batch, LOGS)
    bar.on_epoch_end(3, {**LOGS, **VALIDATION})
    return capsys.readouterr().out


def test_a_bar_fits_a_terminal(capsys):
    """With all metrics it had 112 columns: a new line at each step."""
    drawn = _say(1, capsys)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[\d+m|\x08", "", drawn))
    assert len(lines) > 5 and max(map(len, lines)) <= 80
    assert "loss: 12.3457 - accuracy: 0.1235" in drawn
    assert drawn.endswith("\nval_accuracy: 0.5000\n")


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_continued_run_counts_its_epochs(capsys, verbose):
    """The `fit` of the rest of an epoch took it for the last: 4/4."""
    assert _say(verbose, capsys).startswith("Epoch 4/90\n")


def test_a_line_has_everything_and_silence_nothing(capsys):
    _, line = _say(2, capsys).splitlines()
    assert all(f" - {name}: " in line for name in {**LOGS, **VALIDATION})
    assert _say(0, capsys) == ""
