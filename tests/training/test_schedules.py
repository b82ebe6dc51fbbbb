"""The learning rate of every step, against its formula."""

import math

import keras
import pytest

from noisymix_tf.config import OptimizerConfig
from noisymix_tf.training import setup
from support.usage import assert_usage_error


@pytest.mark.parametrize("base, peak", [(None, 0.1), (256, 0.4)])
@pytest.mark.parametrize("warmup", [0, 15])
def test_flags_count_epochs_and_scale_with_the_batch(base, peak, warmup):
    config = OptimizerConfig(
        epochs=6,
        batch_size=512,
        accumulation_steps=2,
        learning_rate=0.1,
        final_learning_rate=1e-3,
        warmup_epochs=warmup / 10,
        base_batch_size=base,
    )
    made = setup.optimizer(config, steps_per_epoch=10).get_config()
    rate = keras.optimizers.schedules.deserialize(made["learning_rate"])
    for step in (0, 1, 14, 15, 16, 30, 59, 60):
        u = (step - warmup) / (60 - warmup)
        cosine = 1e-3 + (peak - 1e-3) * (1 + math.cos(math.pi * u)) / 2
        expected = cosine if u >= 0 else peak * step / warmup
        assert float(rate(step)) == pytest.approx(expected, 2e-5, 1e-9)


def test_bad_values_are_one_line():
    for values, words in (
        ({"epochs": 5, "warmup_epochs": 5}, "--warmup_epochs=5 leaves nothing"),
        ({"base_batch_size": 0}, "--base_batch_size=0 must be at least 1."),
        ({"accumulation_steps": 0}, "--accumulation_steps=0 must be at least"),
        ({"label_smoothing": 1.0}, "--label_smoothing=1.0 must be in [0, 1)."),
        ({"ema": 1.0}, "--ema=1.0 must be in [0, 1)."),
        ({"clip_norm": -1.0}, "--clip_norm=-1.0 must be at least 0."),
        ({"steps_per_execution": 0}, "--steps_per_execution=0 must be at"),
    ):
        assert_usage_error(lambda v=values: OptimizerConfig(**v), words)
