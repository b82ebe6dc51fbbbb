"""Every callback beside two devices that share the batches."""

import keras
import numpy as np
import pytest

from noisymix_tf import callbacks as lib
from noisymix_tf import distribution, model_card
from support import fit_models
from support.trainings import assert_equal, log_of

IMAGES = np.random.default_rng(0).integers(0, 256, [9, 8, 8, 3], np.uint8)
QUIET = {"mixing": "none", "additive_noise": 0, "multiplicative_noise": 0}


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_callbacks_see_what_one_device_would_show(tmp_path, kind):
    strategy, path = distribution.strategy("mirrored"), tmp_path / "best.keras"
    options, weight = {}, []
    if kind == "noisymix":
        options = {"jsd_weight": 0, **QUIET}
        weight = [lib.NoisyMixSchedule(jsd_weight=lambda epoch: 5.0 * epoch)]
    with strategy.scope():
        model = fit_models.model(kind, **options)
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(epochs=epoch)
    )
    evaluation = lib.CorruptionEvaluation(
        IMAGES, np.arange(9) % 3, ["contrast"]
    )
    best = lib.BestCheckpoint(path, "epochs", "max")
    lines = lib.JsonLines(tmp_path / "metrics.jsonl")
    callbacks = [*weight, count, evaluation, best, lines]
    history = fit_models.fit(model, 3, callbacks)
    found = [(line["step"], line["loss"]) for line in log_of(tmp_path)]
    assert found == list(zip([4, 8, 12], history["loss"]))
    saved = keras.models.load_model(path)
    classifier = getattr(model, "model", model)
    assert_equal(saved.get_weights(), [w.numpy() for w in classifier.weights])
    assert model_card.read(path)["best"]["step"] == 12
    evaluation.set_model(saved)
    for name, value in evaluation.measure().items():
        assert value == history[name][-1]
    if weight:
        weighted = np.array([0, 5, 10]) * history["jsd"]
        total = history["cross_entropy"] + weighted
        np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
