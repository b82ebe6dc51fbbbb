"""Flags of the optimizer."""

import dataclasses

from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    MOMENTUM,
    POSITIVE,
    Group,
    field,
)
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Group):
    """Stochastic gradient descent with a cosine schedule."""

    epochs: int = field(200, "Epochs.", range=AT_LEAST_1)
    batch_size: int = field(
        128,
        "Images a step; each counts once for all its views.",
        range=AT_LEAST_1,
    )
    learning_rate: float = field(
        0.1, "Learning rate at the start.", range=POSITIVE
    )
    final_learning_rate: float = field(
        1e-6, "Learning rate at the end of the cosine.", range=AT_LEAST_0
    )
    momentum: float = field(0.9, "Momentum.", range=MOMENTUM)
    nesterov: bool = field(True, "Nesterov's momentum.")
    weight_decay: float = field(
        5e-4, "Weight decay of all trainable variables.", range=AT_LEAST_0
    )
    weight_decay_mode: str = field(
        "l2",
        "l2: in the gradient, as the reference; decoupled: as in AdamW.",
        choices=("l2", "decoupled"),
    )
    warmup_epochs: float = field(
        0.0,
        "Epochs in which the learning rate rises linearly from 0, before the "
        "cosine begins; part of --epochs.",
        range=AT_LEAST_0,
    )
    base_batch_size: int | None = field(
        None,
        "Batch size that the learning rate is meant for: it is multiplied by "
        "batch_size * accumulation_steps / base_batch_size. By default it is "
        "taken as it is.",
        kind=int,
        range=AT_LEAST_1,
    )
    clip_norm: float = field(
        0.0,
        "Largest norm of the gradient of all weights together, without weight "
        "decay; a longer one is shortened to it. 0: no limit.",
        range=AT_LEAST_0,
    )
    accumulation_steps: int = field(
        1,
        "Batches whose gradients are averaged into one change of the weights, "
        "for large batches on small devices.",
        range=AT_LEAST_1,
    )
    steps_per_execution: int = field(
        1,
        "Steps that are run between two returns to Python; what is left of an "
        "epoch is run at its end.",
        range=AT_LEAST_1,
    )
    label_smoothing: float = field(
        0.0,
        "Share of each label that is spread evenly over all classes.",
        range=MOMENTUM,
    )
    ema: float = field(
        0.0,
        "Decay of the exponential moving average of the weights, such as "
        "0.999; 0: no average.",
        range=MOMENTUM,
    )
    evaluate_ema: bool = field(
        True, "With ema: measure, save and export the averaged weights."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise UsageError(
                f"--warmup_epochs={self.warmup_epochs} leaves nothing of "
                f"--epochs={self.epochs} for the cosine: warm up for less."
            )
