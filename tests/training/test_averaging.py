"""The average of the weights, against its closed form over recorded weights."""

import keras
import numpy as np
import pytest

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.training import loop
from noisymix_tf.training.checkpoint import CheckpointFolder
from noisymix_tf.training.trainer import NoisyMix
from support import fit_models

DECAY = 0.3
STEPS = 10


class _Recorder(keras.callbacks.Callback):
    """The classifier's weights after every step."""

    def on_train_begin(self, logs=None):
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.model.get_weights())


def _expected(recorded):
    """sum_t share_t w_t with the shares that the decays leave of each step."""
    decays = [min(DECAY, t / (t + 9)) for t in range(len(recorded))]
    shares = [(1 - d) * np.prod(decays[t + 1 :]) for t, d in enumerate(decays)]
    assert sum(shares) == pytest.approx(1.0)
    return [
        sum(s * w.astype(np.float64) for s, w in zip(shares, ws))
        for ws in zip(*recorded)
    ]


def _weights_of(trainer):
    with trainer.evaluation_weights():
        return trainer.model.get_weights()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_average_is_the_closed_form_statistics_included(jit_compile):
    quiet = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
    trainer = fit_models.model(
        "noisymix", ema=DECAY, mixing="none", jit_compile=jit_compile, **quiet
    )
    recorder = _Recorder()
    fit_models.fit(trainer, callbacks=[recorder], steps_per_epoch=STEPS)
    raw = trainer.model.get_weights()
    averages = _weights_of(trainer)
    assert len(averages) == 8  # Two of them moving statistics.
    for value, expected in zip(averages, _expected(recorder.weights)):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    # The weights that are trained on are back, and not what was averaged.
    for a, b, average in zip(raw, trainer.model.get_weights(), averages):
        np.testing.assert_array_equal(a, b)
        assert (a != average).any()


def test_training_itself_is_not_touched():
    plain = fit_models.model("noisymix")
    trainer = fit_models.model("noisymix", ema=DECAY)
    data = fit_models.batches("plain").take(2)
    for subject in (plain, trainer):
        fit_models.fit(subject, epochs=2, validation_data=data)
    for a, b in zip(plain.model.get_weights(), trainer.model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_what_measures_and_saves_takes_the_averages(tmp_path):
    trainer = fit_models.model("noisymix", ema=DECAY)
    data = fit_models.batches("plain").take(2)
    history = fit_models.fit(trainer, validation_data=data)
    averages = _weights_of(trainer)
    model_card.save(trainer, tmp_path / "average.keras")
    saved = keras.models.load_model(tmp_path / "average.keras")
    for a, b in zip(saved.get_weights(), averages):
        np.testing.assert_array_equal(a, b)
    measured = trainer.evaluate(data, verbose=0, return_dict=True)["loss"]
    assert measured == pytest.approx(history["val_loss"][0], rel=1e-6)
    saved.compile(loss=trainer.loss)
    assert measured == pytest.approx(saved.evaluate(data, verbose=0), rel=1e-5)
    trainer.evaluate_ema = False
    other = trainer.evaluate(data, verbose=0, return_dict=True)["loss"]
    assert other != pytest.approx(measured, rel=1e-4)
    raw = trainer.model.get_weights()
    for a, b in zip(_weights_of(trainer), raw):
        np.testing.assert_array_equal(a, b)


def test_contexts_nest_and_do_nothing_before_the_first_step():
    trainer = fit_models.model("noisymix", ema=DECAY)
    trainer.model.set_weights([w + 1.0 for w in trainer.model.get_weights()])
    for a, b in zip(_weights_of(trainer), trainer.model.get_weights()):
        np.testing.assert_array_equal(a, b)
    fit_models.fit(trainer)
    with trainer.evaluation_weights():
        outer = trainer.model.get_weights()
        with trainer.evaluation_weights():
            inner = trainer.model.get_weights()
        after = trainer.model.get_weights()
    for a, b, c in zip(outer, inner, after):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_a_run_continued_inside_an_epoch_ends_with_the_same_averages(tmp_path):
    """And a finished run that is started again has them still."""

    class _Stop(Exception):
        pass

    class _StopAt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.step.numpy()) == 6:
                raise _Stop

    def run(name, *callbacks):
        trainer = fit_models.model("noisymix", ema=DECAY)
        loop.train(
            trainer,
            lambda step: fit_models.batches("noisymix", step),
            epochs=3,
            steps_per_epoch=fit_models.STEPS,
            checkpoints=CheckpointFolder(tmp_path / name),
            checkpoint_steps=1,
            callbacks=list(callbacks),
            verbose=0,
        )
        return trainer.model.get_weights() + _weights_of(trainer)

    whole = run("whole")
    with pytest.raises(_Stop):
        run("cut", _StopAt())
    for again in (run("cut"), run("cut")):
        for a, b in zip(whole, again):
            np.testing.assert_array_equal(a, b)


def test_averages_are_saved_with_the_trainer(tmp_path):
    trainer = fit_models.model("noisymix", ema=DECAY)
    fit_models.fit(trainer)
    trainer.save(tmp_path / "trainer.keras")
    copy = keras.models.load_model(tmp_path / "trainer.keras")
    assert copy.ema == DECAY and copy.evaluate_ema
    for a, b in zip(_weights_of(trainer), _weights_of(copy)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("decay", [1.0, -0.1, True, "0.9"])
def test_bad_decays_are_refused(decay):
    with pytest.raises(UsageError, match="must be a number in"):
        fit_models.model("noisymix", ema=decay)


def test_a_model_without_weights_is_refused():
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(UsageError):
        NoisyMix(model, "input", ema=0.9)
