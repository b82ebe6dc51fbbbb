"""The learning rate of every step, against its formula."""

import math

import keras
import pytest

from noisymix_tf.config import OptimizerConfig
from noisymix_tf.training import schedules, setup
from support.usage import assert_usage_error


def _rate(step, peak, final, steps, warmup):
    if step < warmup:
        return peak * step / warmup
    u = (step - warmup) / (steps - warmup)
    return final + (peak - final) * (1 + math.cos(math.pi * u)) / 2


@pytest.mark.parametrize("warmup", [0, 1, 20])
def test_every_step_has_the_rate_of_the_formula(warmup):
    schedule = schedules.warmup_cosine(0.4, 1e-3, steps=60, warmup_steps=warmup)
    for step in (0, 1, 2, 7, 19, 20, 21, 30, 59, 60):
        expected = _rate(step, 0.4, 1e-3, 60, warmup)
        assert float(schedule(step)) == pytest.approx(expected, 2e-5, 1e-9)


@pytest.mark.parametrize("base, factor", [(None, 1), (256, 4)])
@pytest.mark.parametrize("warmup_epochs", [0, 1.5])
def test_flags_count_epochs_and_scale_with_the_batch(
    base, factor, warmup_epochs
):
    config = OptimizerConfig(
        epochs=6,
        batch_size=512,
        accumulation_steps=2,
        learning_rate=0.1,
        final_learning_rate=1e-6,
        warmup_epochs=warmup_epochs,
        base_batch_size=base,
    )
    rate = setup.optimizer(config, steps_per_epoch=10).get_config()
    rate = keras.optimizers.schedules.deserialize(rate["learning_rate"])
    for step in (0, 1, 14, 15, 16, 30, 60):
        expected = _rate(step, 0.1 * factor, 1e-6, 60, int(10 * warmup_epochs))
        assert float(rate(step)) == pytest.approx(expected, 2e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 5, "warmup_epochs": 5}, "--warmup_epochs=5 leaves nothing"),
        ({"base_batch_size": 0}, "--base_batch_size=0 must be at least 1."),
        ({"label_smoothing": 1.0}, "--label_smoothing=1.0 must be in [0, 1)."),
    ],
)
def test_bad_values_are_one_line(values, message):
    assert_usage_error(lambda: OptimizerConfig(**values), message)
