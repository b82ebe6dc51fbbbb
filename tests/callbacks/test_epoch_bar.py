"""What a training says while it works."""

import re

from noisymix_tf.callbacks.epoch_bar import EpochBar

LOGS = {
    "accuracy": 0.12345,
    "cross_entropy": 2.2,
    "jsd": 0.0033,
    "loss": 12.34567,
}
VALIDATION = {"val_accuracy": 0.5, "val_loss": 1.0}


def _say(verbose, capsys):
    """An epoch's beginning, some steps and its end."""
    bar = EpochBar(90, verbose)
    bar.set_params({"steps": 5004, "epochs": 4})
    bar.on_epoch_begin(3)
    for batch in range(3):
        # Keras' bar: a long training, and one that is drawn at every step.
        bar._bar._start -= 30
        bar._bar._last_update = 0
        bar.on_train_batch_end(batch, LOGS)
    bar.on_epoch_end(3, {**LOGS, **VALIDATION})
    return capsys.readouterr().out


def test_a_bar_fits_a_terminal_and_a_line_has_everything(capsys):
    """With all metrics it had 112 columns; a continued run counted to 4/4."""
    drawn = _say(1, capsys)
    assert drawn.startswith("Epoch 4/90\n")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[\d+m|\x08", "", drawn))
    assert len(lines) > 5 and max(map(len, lines)) <= 80
    assert "loss: 12.3457 - accuracy: 0.1235" in drawn
    assert drawn.endswith("\nval_accuracy: 0.5000\n")
    first, line = _say(2, capsys).splitlines()
    assert first == "Epoch 4/90"
    assert all(f" - {name}: " in line for name in {**LOGS, **VALIDATION})
    assert _say(0, capsys) == ""
