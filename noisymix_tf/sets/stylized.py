"""Training images in the styles of pictures: their textures, its own shapes.

Geirhos et al. (2019), "ImageNet-trained CNNs are biased towards texture;
increasing shape bias improves accuracy and robustness", arXiv:1811.12231, made
Stylized ImageNet with the decoder of arXiv:1703.06868; see `transfer`.
"""

import functools
import pathlib
import zlib

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.data import folder
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest
from noisymix_tf.sets import changed, transfer


class Stylist:
    """Gives images of a `Source` the styles that are drawn for their names.

    Attributes:
        styles: `Styles`.
        settings: What decides pixels besides the flags, a `StylizeConfig`.
    """

    def __init__(self, config, source):
        style, self._seed = config, config.seed
        self.styles, self._names = Styles(style.styles), source.names
        file = style.vgg_weights
        network = transfer.feature_network(style.network, file, self._seed)
        self.settings = {
            "style_pictures": len(self.styles),
            "style_names": self.styles.digest(),
            "features": file_digest(file)[:16] if file else "random",
        }

        @functools.cache
        def transfer_at(depth):
            layers = keras.Model(network.inputs, network.outputs[:depth])
            return transfer.Transfer(layers, style)

        @functools.lru_cache(4096)
        def moments_of(number, side):
            picture = self.styles.read(number, side)[None]
            return transfer_at(transfer.depth_for(side)).moments(picture)

        self._transfer_at, self._moments_of = transfer_at, moments_of

    def __call__(self, images, positions):
        """uint8 `[B, h, w, 3]` of the same, at positions of the source."""
        side, drawn = min(images.shape[1:3]), self.styles.draw
        numbers = [drawn(self._seed, self._names[p]) for p in positions]
        layers = zip(*(self._moments_of(number, side) for number in numbers))
        wanted = [
            transfer.Moments(*(tf.concat(values, 0) for values in zip(*layer)))
            for layer in layers
        ]
        optimize = self._transfer_at(transfer.depth_for(side))
        return optimize(images, wanted).numpy()


class Styles:
    """A folder of pictures, any of which may be any image's style.

    Pictures below it count, hidden files do not. A `UsageError` says that there
    is no such folder, no picture in it, or one whose name is no line of UTF-8.
    """

    def __init__(self, path):
        what = "a folder of pictures"
        self._root = pathlib.Path(folder.existing(path, what, "--styles="))
        self._paths = sorted(
            path
            for path in self._root.rglob("[!.]*")
            if path.suffix.lower() in folder.EXTENSIONS and path.is_file()
        )
        for each in self._paths:
            folder.check_name(each)
        if not self._paths:
            raise UsageError(
                f"--styles={path} holds no pictures "
                f"({', '.join(folder.EXTENSIONS)}): give a folder of some."
            )

    def __len__(self):
        return len(self._paths)

    def digest(self):
        """A word for which pictures these are: names and sizes of files."""
        return changed.digest(
            f"{path.relative_to(self._root)} {path.stat().st_size}"
            for path in self._paths
        )

    def draw(self, seed, name):
        """The number of the style of an image; a function of both."""
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return int(generator.integers(len(self)))

    def read(self, number, side):
        """A picture as a square: uint8 tensor `[side, side, 3]`."""
        picture = changed.decoded(str(self._paths[number]), "style")
        return Preprocess(side, side).apply(picture)
