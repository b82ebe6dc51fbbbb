"""What the door of DeepAugment does."""

import os
import sys
import zlib

import keras
import numpy as np

from noisymix_tf import devices, image_trees
from noisymix_tf.corruption_sets.image_files import SUFFIXES
from noisymix_tf.deep_augment import autoencoder
from noisymix_tf.deep_augment.perturbed import PerturbedNetwork
from noisymix_tf.errors import UsageError


def run(config):
    """Trains an autoencoder, unless it is there, and writes the tree.

    Args:
        config: `noisymix_tf.config.deepaugment.DeepAugmentConfig`.

    Raises:
        UsageError: A flag that cannot be used, or a directory that holds
            something else.
    """
    source = image_trees.source(config.source, SUFFIXES[config.tree.format])
    settings = image_trees.settings(config, source)
    with image_trees.tree_folder(config.tree.output_dir, settings) as folder:
        devices.announce()
        _say(f"Writing to {folder.path}")
        network = PerturbedNetwork(
            _autoencoder(config, source, folder.path / "autoencoder.keras"),
            config.perturbation.strength,
            config.perturbation.weight_perturbations,
        )

        def make(images, positions):
            # Named by the first image: batches stay what they are.
            name = zlib.crc32(source.names[positions[0]].encode())
            generator = np.random.default_rng([config.tree.seed, name])
            return network(images, generator)

        image_trees.fill(
            folder,
            source,
            make,
            image_format=config.tree.format,
            batch_size=config.tree.batch_size,
        )


def _autoencoder(config, source, path):
    """The autoencoder of a tree, trained once."""
    partial = path.with_name(".partial.keras")
    partial.unlink(missing_ok=True)
    if path.exists():
        try:
            return keras.models.load_model(path, compile=False)
        except Exception as error:
            raise UsageError(
                f"{path} is damaged; remove it, and it is trained again."
            ) from error
    _say(
        f"Training the autoencoder on {len(source)} images, "
        f"{config.autoencoder.autoencoder_steps} steps"
    )
    model, error = autoencoder.trained(
        source, config.autoencoder, config.tree.seed
    )
    if not np.isfinite(error):
        raise UsageError(
            f"The autoencoder diverged with --learning_rate="
            f"{config.autoencoder.learning_rate}: lower it."
        )
    _say(f"It reproduces them up to {error:.1f} grey levels (RMS)")
    model.save(partial)
    os.replace(partial, path)
    return model


def _say(text):
    print(text, file=sys.stderr, flush=True)
