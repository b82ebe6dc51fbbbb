"""The learning rate of every step, against its formula."""

import math

import numpy as np
import pytest

from noisymix_tf.config import OptimizerConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.training import schedules, setup


def _rate(step, peak, final, steps, warmup):
    if step < warmup:
        return peak * step / warmup
    u = (step - warmup) / (steps - warmup)
    return final + (peak - final) * (1 + math.cos(math.pi * u)) / 2


@pytest.mark.parametrize("warmup", [0, 1, 20])
def test_every_step_has_the_rate_of_the_formula(warmup):
    schedule = schedules.warmup_cosine(0.4, 1e-3, steps=60, warmup_steps=warmup)
    for step in range(61):
        np.testing.assert_allclose(
            float(schedule(step)),
            _rate(step, 0.4, 1e-3, 60, warmup),
            rtol=2e-5,
            atol=1e-9,
        )


def test_flags_count_epochs_and_scale_with_the_batch():
    config = OptimizerConfig(
        epochs=6,
        batch_size=1024,
        learning_rate=0.1,
        final_learning_rate=1e-6,
        warmup_epochs=1.5,
        base_batch_size=256,
    )
    optimizer = setup.optimizer(config, steps_per_epoch=10)
    for step in (0, 1, 14, 15, 16, 30, 60):
        np.testing.assert_allclose(
            float(optimizer._learning_rate(step)),
            _rate(step, 0.4, 1e-6, 60, 15),
            rtol=2e-5,
        )


def test_the_rate_is_taken_as_it_is_by_default():
    assert schedules.peak_rate(0.1, 1024) == 0.1
    assert schedules.peak_rate(0.1, 64, 256) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 5, "warmup_epochs": 5}, "--warmup_epochs=5 leaves nothing"),
        ({"base_batch_size": 0}, "--base_batch_size=0 must be at least 1."),
        ({"accumulation_steps": 0}, "--accumulation_steps=0 must be at least"),
        ({"label_smoothing": 1.0}, "--label_smoothing=1.0 must be in [0, 1)."),
        ({"ema": 1.0}, "--ema=1.0 must be in [0, 1)."),
        ({"clip_norm": -1.0}, "--clip_norm=-1.0 must be at least 0."),
        ({"steps_per_execution": 0}, "--steps_per_execution=0 must be at"),
    ],
)
def test_bad_values_are_one_line(values, message):
    with pytest.raises(UsageError) as error:
        OptimizerConfig(**values)
    assert message in str(error.value) and "\n" not in str(error.value)
