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
