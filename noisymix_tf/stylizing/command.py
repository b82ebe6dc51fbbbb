"""What the door of the stylizer does."""

import functools
import hashlib
import pathlib
import sys

import keras

from noisymix_tf import devices, image_trees
from noisymix_tf.corruption_sets.image_files import SUFFIXES
from noisymix_tf.errors import UsageError
from noisymix_tf.stylizing import networks
from noisymix_tf.stylizing.styles import Styles, moments_of
from noisymix_tf.stylizing.transfer import Transfer


def run(config):
    """Writes the tree that a configuration asks for.

    Args:
        config: `noisymix_tf.config.stylize.StylizeConfig`.

    Raises:
        UsageError: A flag that cannot be used, or a directory that holds
            something else.
    """
    if config.style.styles is None:
        raise UsageError(
            "--styles is missing: name a folder of style pictures."
        )
    styles = Styles(config.style.styles)
    source = image_trees.source(config.source, SUFFIXES[config.tree.format])
    network = networks.feature_network(
        config.style.network, config.style.vgg_weights, config.tree.seed
    )
    settings = image_trees.settings(config, source) | {
        "style_pictures": len(styles),
        "style_names": styles.digest(),
        "features": _features(config.style.vgg_weights),
    }
    with image_trees.tree_folder(config.tree.output_dir, settings) as folder:
        _say(
            f"{len(source)} training images, {len(styles)} styles, "
            f"{config.style.network} with {_words(config.style.vgg_weights)}"
        )
        devices.announce()
        _say(f"Writing to {folder.path}")
        image_trees.fill(
            folder,
            source,
            Stylist(config, source.names, styles, network),
            image_format=config.tree.format,
            batch_size=config.tree.batch_size,
        )


class Stylist:
    """Stylizes images of a source, each with the style drawn for its name.

    Args:
        config: `StylizeConfig`.
        names: Names of the images, of which positions are numbers.
        styles: `Styles`.
        network: Of `networks.feature_network`.
    """

    def __init__(self, config, names, styles, network):
        self._names = names
        self._styles = styles
        self._seed = config.tree.seed
        style = config.style

        @functools.cache
        def transfer_at(layers):
            outputs = network.outputs[: len(layers)]
            transfer = Transfer(
                keras.Model(network.inputs, outputs),
                steps=style.steps,
                step_size=style.step_size,
                style_weight=style.style_weight,
                content_weight=style.content_weight,
                style_strength=style.style_strength,
            )
            return transfer, moments_of(styles, transfer)

        self._transfer_at = transfer_at

    def __call__(self, images, positions):
        """Stylized images: uint8 `[B, h, w, 3]` of the same."""
        side = min(images.shape[1:3])
        transfer, moments = self._transfer_at(networks.layers_for(side))
        numbers = [
            self._styles.draw(self._seed, self._names[p]) for p in positions
        ]
        return transfer(images, moments(numbers, side)).numpy()


def _features(path):
    """What tells weights apart: a word of their bytes, or `"random"`."""
    if path is None:
        return "random"
    content = pathlib.Path(path).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _words(path):
    if path is None:
        return (
            "random weights (no --vgg_weights): its features tell colours and "
            "fine texture, not the brushwork that a trained network knows"
        )
    return f"the weights of {path}"


def _say(text):
    print(text, file=sys.stderr, flush=True)
