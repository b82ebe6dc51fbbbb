"""Every callback beside two devices that share the batches."""

import keras
import numpy as np
import pytest

from noisymix_tf import distribution, model_card
from noisymix_tf.callbacks import (
    BestCheckpoint,
    CorruptionEvaluation,
    JsonLines,
    NoisyMixSchedule,
)
from noisymix_tf.callbacks.json_lines import read_json_lines
from support import fit_models
from support.fresh_models import assert_equal

IMAGES = np.random.default_rng(0).integers(0, 256, [9, 8, 8, 3], np.uint8)
LABELS = np.arange(9) % 3
NAME = "val_corruption_accuracy"
QUIET = {
    "jsd_weight": 0,
    "mixing": "none",
    "additive_noise": 0,
    "multiplicative_noise": 0,
}


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_callbacks_see_what_one_device_would_show(tmp_path, kind):
    strategy = distribution.strategy("mirrored")
    with strategy.scope():
        model = fit_models.model(kind, **(QUIET if kind == "noisymix" else {}))
    evaluation = CorruptionEvaluation(IMAGES, LABELS, ["contrast"])
    callbacks = [evaluation, JsonLines(tmp_path / "metrics.jsonl")]
    callbacks.append(BestCheckpoint(tmp_path / "best.keras", "epochs", "max"))
    count = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(epochs=epoch)
    )
    if kind == "noisymix":
        weight = NoisyMixSchedule(jsd_weight=lambda epoch: 5.0 * epoch)
        callbacks.insert(0, weight)
    history = fit_models.fit(model, 3, [count, *callbacks])
    lines = read_json_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert [line["loss"] for line in lines] == history["loss"]
    saved = keras.models.load_model(tmp_path / "best.keras")
    classifier = getattr(model, "model", model)
    assert_equal(saved.get_weights(), [w.numpy() for w in classifier.weights])
    best = model_card.read(tmp_path / "best.keras")["best"]
    assert (best["epoch"], best["step"]) == (3, 12)
    evaluation.set_model(saved)
    assert evaluation.measure()[NAME] == history[NAME][-1]
    if kind == "noisymix":
        weighted = np.array([0, 5, 10]) * history["jsd"]
        np.testing.assert_allclose(
            history["loss"], history["cross_entropy"] + weighted, rtol=1e-5
        )
    # Within the scope of the strategy, too.
    with strategy.scope():
        fit_models.fit(model, 1, [evaluation])
