"""Flags of the network."""

import dataclasses

from noisymix_tf.config.fields import MOMENTUM, POSITIVE, Group, field

NETWORKS = (
    *("preact_resnet18", "preact_wide_resnet18", "wide_resnet28_4"),
    *("wide_resnet40_2", "resnet20", "resnet56", "resnet50"),
)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Group):
    """Which network."""

    model: str = field(
        "preact_resnet18",
        f"Network: {', '.join(NETWORKS)}.",
        known=("model", NETWORKS, "noisymix_tf.models.zoo"),
    )
    width: float = field(
        1.0, "Factor of the number of channels.", range=POSITIVE
    )
    dropout: float | None = field(
        None,
        "Dropout inside blocks; by default the network's own.",
        kind=float,
        range=MOMENTUM,
    )
    precision: str = field(
        "float32",
        "What the network computes in: float32, mixed_bfloat16 or "
        "mixed_float16 (with a scaled loss). Weights, loss and measurements "
        "are float32 in any case.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
