"""Flags of DeepAugment."""

import dataclasses

from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    SHARE,
    Group,
    field,
)
from noisymix_tf.config.image_trees import ImageSourceConfig, TreeConfig


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(Group):
    """The network, which is trained on the same images."""

    autoencoder_steps: int = field(
        2000, "Steps of its training.", range=AT_LEAST_1
    )
    autoencoder_crops: int = field(
        4096,
        "Crops of 32 pixels that it is trained on, from all images if there "
        "are fewer.",
        range=AT_LEAST_1,
    )
    autoencoder_batch_size: int = field(
        32, "Crops in a batch.", range=AT_LEAST_1
    )
    autoencoder_width: int = field(
        48, "Channels of its hidden layers.", range=AT_LEAST_1
    )
    learning_rate: float = field(1e-3, "Peak rate of Adam.", range=POSITIVE)


@dataclasses.dataclass(frozen=True)
class PerturbationConfig(Group):
    """How the trained network is perturbed for each batch."""

    strength: float = field(
        1.0,
        "From the plain autoencoder (0) to the strongest perturbation (1).",
        range=SHARE,
    )
    weight_perturbations: int = field(
        3,
        "Layers whose weights are perturbed, each in a random way.",
        range=AT_LEAST_0,
    )


@dataclasses.dataclass(frozen=True)
class DeepAugmentConfig:
    """Everything that determines a tree of DeepAugment."""

    source: ImageSourceConfig = dataclasses.field(
        default_factory=ImageSourceConfig
    )
    autoencoder: AutoencoderConfig = dataclasses.field(
        default_factory=AutoencoderConfig
    )
    perturbation: PerturbationConfig = dataclasses.field(
        default_factory=PerturbationConfig
    )
    tree: TreeConfig = dataclasses.field(default_factory=TreeConfig)
