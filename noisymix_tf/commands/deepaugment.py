"""Write training images seen by a perturbed network.

python -m noisymix_tf deepaugment --data_dir=PHOTOS \\
    --output_dir=trees/deepaugment
"""

import dataclasses
import os
import zlib

import numpy as np

from noisymix_tf.commands import command
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    SHARE,
    Options,
    option,
)
from noisymix_tf.progress import say
from noisymix_tf.sets import changed
from noisymix_tf.sets.changed import ImageSourceConfig, TreeConfig


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(Options):
    """The network, which is trained on the same images."""

    autoencoder_steps: int = option(2000, "Steps of its training.", AT_LEAST_1)
    autoencoder_crops: int = option(
        4096,
        "Crops of 32 pixels that it is trained on, from all images if there "
        "are fewer.",
        AT_LEAST_1,
    )
    autoencoder_batch_size: int = option(32, "Crops in a batch.", AT_LEAST_1)
    autoencoder_width: int = option(
        48, "Channels of its hidden layers.", AT_LEAST_1
    )
    learning_rate: float = option(1e-3, "Peak rate of Adam.", POSITIVE)


@dataclasses.dataclass(frozen=True)
class PerturbationConfig(Options):
    """How the trained network is perturbed for each batch."""

    strength: float = option(
        1.0,
        "From the plain autoencoder (0) to the strongest perturbation (1).",
        SHARE,
    )
    weight_perturbations: int = option(
        3,
        "Layers whose weights are perturbed, each in a random way.",
        AT_LEAST_0,
    )


@dataclasses.dataclass(frozen=True)
class DeepAugmentConfig(
    ImageSourceConfig, AutoencoderConfig, PerturbationConfig, TreeConfig
):
    """Everything that determines a tree of DeepAugment."""


@command("deepaugment", DeepAugmentConfig)
def run(config: DeepAugmentConfig) -> None:
    """Trains an autoencoder, unless it is there, and writes the tree."""
    changed.begin(config)
    from noisymix_tf.sets import deepaugmented, writer

    source = changed.source(config, config.format)
    with changed.tree_folder(config, source) as folder:
        path = folder.path / "autoencoder.keras"
        model = _found_or_trained(config, source, path)
        seed = config.seed
        network = deepaugmented.PerturbedNetwork(
            model, config.strength, config.weight_perturbations
        )

        def make(images, positions):
            # Named by the first image: batches stay what they are.
            name = zlib.crc32(source.names[positions[0]].encode())
            return network(images, np.random.default_rng([seed, name]))

        part = changed.ChangedPart(source, make, config.batch_size)
        writer.write(folder, [part])


def _found_or_trained(config, source, path):
    """The autoencoder of a tree, trained once."""
    from noisymix_tf.sets import deepaugmented

    partial = path.with_name(".partial.keras")
    partial.unlink(missing_ok=True)
    if path.exists():
        try:
            return keras.models.load_model(path, compile=False)
        except Exception as error:
            raise UsageError(
                f"{path} is damaged; remove it, and it is trained again."
            ) from error
    steps = config.autoencoder_steps
    say(f"Training the autoencoder on {len(source)} images, {steps} steps")
    model, error = deepaugmented.trained(source, config, config.seed)
    if not np.isfinite(error):
        raise UsageError(
            f"The autoencoder diverged with --learning_rate="
            f"{config.learning_rate}: lower it."
        )
    say(f"It reproduces them up to {error:.1f} grey levels (RMS)")
    model.save(partial)
    os.replace(partial, path)
    return model
