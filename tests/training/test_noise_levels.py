"""How strong noise is: what is said of it, against what the step adds."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import progress
from noisymix_tf.mixing import MixPlan
from noisymix_tf.training import noise_levels
from noisymix_tf.training.step import forward
from noisymix_tf.training.trainer import NoisyMix
from support.trainings import assert_equal

TAPS, V = ("a", "b", "c"), 1000
IMAGES = np.random.default_rng(0).integers(0, 256, [32, 8, 8, 3], np.uint8)


def _trainer(stds, *between, **options):
    """Features around zero with so many standard deviations at the taps."""
    layers, before = keras.layers, np.std(IMAGES / 255.0)
    parts = [keras.Input([8, 8, 3]), layers.Rescaling(1 / 255, -0.5)]
    for name, std in zip(TAPS, stds):
        parts += [layers.Rescaling(std / before, name=name), *between]
        before = 1.0 if between else std
    parts += [layers.Flatten(), layers.Dense(3)]
    return NoisyMix(keras.Sequential(parts), TAPS, noise_per_view=1, **options)


def _rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("scale", ["absolute", "std"])
def test_the_step_adds_what_is_said_and_measures_what_is_clean(scale):
    """A unit of another tap, of all views, of mixed features, or learnt."""
    stds = np.array([0.1, 1.0, 9.0], np.float32)
    trainer = _trainer(stds, noise_scale=scale, noise_per_tap=(1, 0.5))
    parts, images = trainer.parts(), tf.cast(IMAGES[:8], tf.float32)
    flat = keras.layers.Flatten()
    segments = [*parts.segments[:3], lambda x, training: flat(x)]
    # Features of the other views are twice as large as the clean one's.
    x = tf.concat([images, tf.tile(2 * images - 127.5, [V, 1, 1, 1])], axis=0)
    said = noise_levels.shares(trainer, images)
    variance = np.var(images) / np.var(IMAGES)

    def step(tap, **changes):
        changed = dataclasses.replace(parts, segments=segments, **changes)
        plan = MixPlan(tf.constant(tap), tf.constant(1.0), tf.range(8))
        with tf.GradientTape() as tape:
            tape.watch(x)
            noisy, variances = forward(changed, x, V + 1, plan)
        return noisy[1:] / 9.0, variances, tape.gradient(noisy, x)

    plain, _, slope = step(3)
    for tap, std in enumerate(stds):
        noisy, variances, slopes = step(tap)
        # A level of 0.5, halved behind the first tap; see `second_moments`.
        share = 0.0968 * (0.5 if tap else 1.0)
        if scale == "absolute":
            share /= std * variance**0.5
        additive, both = said[TAPS[tap]]
        assert additive == pytest.approx(share, rel=1e-3)
        # What is multiplied is twice as large as in the clean view.
        squares = (4.0 * both**2 - 3.0 * additive**2) * variance
        assert _rms(noisy - plain) == pytest.approx(squares**0.5, rel=0.05)
        # But for what is multiplied.
        share = np.mean(np.isclose(slopes, slope, rtol=1e-5))
        assert share == pytest.approx(0.65, rel=0.01)
        assert (variances is None) == (scale == "absolute")
        if variances is not None:
            expected = np.where(np.arange(3) <= tap, stds**2 * variance, 0.0)
            np.testing.assert_allclose(variances, expected, rtol=1e-4)
            # By what was measured before, where there is any.
            wider, _, _ = step(tap, noise_variance=4.0 * variances)
            found = _rms(wider - noisy) / variance**0.5
            assert found == pytest.approx(additive, rel=0.05)


def test_what_is_said_of_a_training(capsys, monkeypatch):
    """And nothing of it is changed."""

    def said(trainer):
        noise_levels.announce(trainer, IMAGES)
        return capsys.readouterr().err.splitlines()

    stds = 0.56, 6.5, 9.0
    norm = keras.layers.BatchNormalization(epsilon=1e-9)
    layers = norm, keras.layers.Dropout(1e-6, seed=1)
    trainer = _trainer(stds, keras.Sequential(layers))
    before = [np.asarray(v).copy() for v in trainer.variables]
    line, note = said(trainer)
    assert_equal(before, trainer.variables)
    assert line == "Noise/std: a 18 %, b 6 %, c 6 %"
    words = "at b, c additive noise is below 2 % of the standard deviation"
    assert words in note and "give --noise_scale=std or another" in note
    monkeypatch.setitem(progress._state, "is_quiet", True)
    assert said(trainer) == [note]
    assert said(_trainer(stds, noise_scale="std")) == []
    [note] = said(_trainer(stds, additive_noise=2.0))
    assert "at a noise is above 50 % of the" in note
    # It is none on purpose.
    assert said(_trainer(stds, noise_per_tap=(1, 0))) == []
