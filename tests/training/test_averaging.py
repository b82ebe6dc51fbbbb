"""The average of the weights, against its closed form over recorded weights."""

import keras
import numpy as np
import pytest

from noisymix_tf import model_card
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models
from support.trainings import assert_equal, fresh
from support.usage import assert_usage_error

DECAY = 0.3


def _expected(recorded):
    """sum_t share_t w_t with the shares that the decays leave of each step."""
    decays = [min(DECAY, t / (t + 9)) for t in range(len(recorded))]
    shares = [(1 - d) * np.prod(decays[t + 1 :]) for t, d in enumerate(decays)]
    assert sum(shares) == pytest.approx(1.0)
    return [
        sum(s * w.astype(np.float64) for s, w in zip(shares, ws))
        for ws in zip(*recorded)
    ]


def _averages(trainer):
    with trainer.evaluation_weights():
        return trainer.model.get_weights()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_average_is_the_closed_form_statistics_included(jit_compile):
    options = {"jit_compile": True, **fit_models.QUIET} if jit_compile else {}
    trainer, weights = fresh("noisymix", ema=DECAY, **options), []
    recorder = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: weights.append(
            trainer.model.get_weights()
        )
    )
    fit_models.fit(trainer, callbacks=[recorder], steps_per_epoch=10)
    raw, averages = trainer.model.get_weights(), _averages(trainer)
    assert len(averages) == 8  # Two of them moving statistics.
    for value, expected in zip(averages, _expected(weights)):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    # The weights that are trained on are back, and not what was averaged.
    assert_equal(raw, trainer.model.get_weights())
    assert all((a != b).any() for a, b in zip(raw, averages))
    with trainer.evaluation_weights():  # Contexts nest.
        assert_equal(_averages(trainer), averages)
        assert_equal(trainer.model.get_weights(), averages)


def test_what_measures_and_saves_takes_the_averages(tmp_path):
    """And training itself is as it is without them."""
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


def test_bad_decays_and_models_without_weights_are_refused():
    for decay in (1.0, -0.1, True, "0.9"):
        made = lambda ema=decay: fit_models.model("noisymix", ema=ema)  # noqa: E731
        assert_usage_error(made, "a number in [0, 1)")
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    assert_usage_error(lambda: NoisyMix(unbuilt, "input", ema=0.9))
