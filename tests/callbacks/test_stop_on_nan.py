"""Divergence ends a run, and what was good stays."""

import numpy as np
import pytest

from noisymix_tf.callbacks import Checkpoints, StopOnNaN, TrainingDiverged
from noisymix_tf.errors import UsageError
from noisymix_tf.training.checkpoint import CheckpointFolder
from support import fit_models


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path, kind):
    assert issubclass(TrainingDiverged, UsageError)
    folder = CheckpointFolder(tmp_path / "checkpoints")
    callbacks = [StopOnNaN("do less"), Checkpoints(folder, every_steps=1)]
    # One step at this rate still gives finite weights.
    model = fit_models.model(kind, rate=1e37)
    message = r"became (inf|nan) at step \d.*: do less"
    with pytest.raises(TrainingDiverged, match=message):
        fit_models.fit(model, 3, callbacks)
    copy = fit_models.model(kind)
    assert folder.restore(copy)[0] >= 1
    assert all(np.isfinite(w).all() for w in copy.get_weights())


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_sound_training_is_left_alone(kind):
    model, same = fit_models.model(kind), fit_models.model(kind)
    fit_models.fit(model, 2, [StopOnNaN()])
    fit_models.fit(same, 2)
    for a, b in zip(model.get_weights(), same.get_weights()):
        np.testing.assert_array_equal(a, b)
