"""Training images in the styles of pictures: their textures, its own shapes.

Geirhos et al. (2019), "ImageNet-trained CNNs are biased towards texture;
increasing shape bias improves accuracy and robustness", arXiv:1811.12231, made
Stylized ImageNet with the decoder of Huang and Belongie (2017), "Arbitrary
style transfer in real-time with adaptive instance normalization" (AdaIN),
arXiv:1703.06868. Its loss is minimised here for each image, as in Gatys et al.
(2015), arXiv:1508.06576.
"""

import functools
import pathlib
import zlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import pictures
from noisymix_tf.data import folder
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest
from noisymix_tf.models import classifier
from noisymix_tf.models.common import layer_seed
from noisymix_tf.sets import changed

# Of ImageNet: blue, green, red, as these networks take it.
_BGR_MEAN = (103.939, 116.779, 123.68)
# The first layer of each block, as in AdaIN; each block halves the image.
_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")
# Paint is laid on in layers of these resolutions. In pixels alone, the easiest
# way to a style's statistics is noise, in which no brushstroke is seen.
_STRIDES = (1, 2, 4, 8)
# Adam's constants.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
# Below this variance, of features of order 1 to 1000, a channel is constant.
_LEAST_VARIANCE = 1e-5


class Stylist:
    """Gives images of a `Source` the `styles` that are drawn for their names.

    `settings` are what decides pixels besides the flags, a `StylizeConfig`.
    """

    def __init__(self, config, source):
        self._seed, self._names = config.seed, source.names
        self.styles, file = Styles(config.styles), config.vgg_weights
        network = feature_network(config.network, file, self._seed)
        self.settings = {
            "style_pictures": len(self.styles),
            "style_names": self.styles.digest(),
            "features": file_digest(file)[:16] if file else "random",
        }

        @functools.cache
        def transfer_at(depth):
            layers = keras.Model(network.inputs, network.outputs[:depth])
            return Transfer(layers, config)

        @functools.lru_cache(4096)
        def moments_of(number, side):
            picture = self.styles.read(number, side)[None]
            return transfer_at(depth_for(side)).moments(picture)

        self._transfer_at, self._moments_of = transfer_at, moments_of

    def __call__(self, images, positions) -> np.ndarray:
        """uint8 `[B, h, w, 3]` of the same, at positions of the source."""
        side, drawn = min(images.shape[1:3]), self.styles.draw
        numbers = [drawn(self._seed, self._names[p]) for p in positions]
        each = [self._moments_of(number, side) for number in numbers]
        wanted = tf.nest.map_structure(lambda *own: tf.concat(own, 0), *each)
        optimize = self._transfer_at(depth_for(side))
        return optimize(images, wanted).numpy()


class Styles:
    """A folder of pictures, any of which may be any image's style.

    Pictures below it count, hidden ones do not. A `UsageError` says that there
    is no such folder, no picture in it, or one whose name is no line of UTF-8.
    """

    def __init__(self, path):
        what, known = "a folder of pictures", folder.EXTENSIONS
        self._root = pathlib.Path(folder.existing(path, what, "--styles="))
        there = sorted(self._root.rglob("*"))
        there = [p for p in there if not pictures.is_hidden(p, self._root)]
        there = [p for p in there if p.suffix.lower() in known and p.is_file()]
        for each in there:
            folder.check_name(each)
        if not there:
            raise UsageError(
                f"--styles={path} holds no pictures ({', '.join(known)}): give "
                "a folder of some."
            )
        self._paths = there

    def __len__(self):
        return len(self._paths)

    def digest(self) -> str:
        """A word for which pictures these are: names and sizes of files."""
        return changed.digest(
            f"{path.relative_to(self._root)} {path.stat().st_size}"
            for path in self._paths
        )

    def draw(self, seed, name) -> int:
        """The number of the style of an image; a function of both."""
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return int(generator.integers(len(self)))

    def read(self, number, side) -> tf.Tensor:
        """A picture as a square: uint8 tensor `[side, side, 3]`."""
        picture = changed.decoded(str(self._paths[number]), "style")
        return Preprocess(side, side).apply(picture)


def feature_network(name, weights=None, seed=0) -> keras.Model:
    """The network whose features are matched, `"vgg16"` or `"vgg19"`.

    From float32 RGB `[B, h, w, 3]`, 0..255, to a list of features
    `[B, h', w', C]`: of the first layer of the blocks 1 to 4. `weights` are a
    file of those without the top, as keras.applications has them, or else a
    `UsageError`; None for random ones: He initialisation, no biases.
    """
    build = getattr(keras.applications, name.upper())
    vgg = build(include_top=False, weights=None, input_shape=(None, None, 3))
    inputs = keras.Input((None, None, 3), name="images")
    x = inputs[..., ::-1] - np.array(_BGR_MEAN, np.float32)
    layers = vgg.layers[1 : vgg.layers.index(vgg.get_layer(_LAYERS[-1])) + 1]
    if weights is None:
        _initialize(layers, seed)
    else:
        _load(vgg, name, weights)
    features = []
    for layer in layers:
        x = layer(x)
        if layer.name in _LAYERS:
            features.append(x)
    network = keras.Model(inputs, features, name=f"{name}_features")
    network.trainable = False
    return network


def depth_for(side) -> int:
    """How many blocks are matched, 1 to 4: those that leave 8 rows.

    With fewer, features of the content say little about where things are.
    """
    return max(1, min(len(_LAYERS), (side // 8).bit_length()))


def _initialize(layers, seed):
    for layer in layers:
        if layer.weights:
            kernel, bias = layer.weights
            generator = np.random.default_rng(layer_seed(seed, layer.name))
            deviation = np.sqrt(2 / np.prod(kernel.shape[:3]))
            drawn = generator.standard_normal(kernel.shape, np.float32)
            kernel.assign(drawn * deviation)
            bias.assign(np.zeros(bias.shape, np.float32))


def _load(vgg, name, path):
    try:
        vgg.load_weights(path)
    except Exception as error:  # Whatever a damaged or foreign file leads to.
        reason = classifier.reason(path, error)
        raise UsageError(
            f"--vgg_weights={path} cannot be read as weights of {name} without "
            f"its top ({reason}): give such a file as "
            f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5, or leave the "
            "flag out for random features."
        ) from error


class Moments(NamedTuple):
    """Mean and deviation of the channels of a layer, float32 `[B, C]` each."""

    mean: tf.Tensor
    std: tf.Tensor

    def towards(self, other, share) -> "Moments":
        """Linear interpolation: self at 0, `other` at 1."""
        return Moments(*(a + share * (b - a) for a, b in zip(self, other)))

    def power(self) -> tf.Tensor:
        return tf.reduce_mean(self.mean**2 + self.std**2, 1)


def moments(features) -> Moments:
    """`Moments` of float32 features `[B, h, w, C]`."""
    mean, variance = tf.nn.moments(features, [1, 2])
    return Moments(mean, tf.sqrt(variance + _LEAST_VARIANCE))


def adapt(features, target) -> tf.Tensor:
    """Features `[B, h, w, C]` with the `Moments` of others (AdaIN)."""
    own = moments(features)
    scale = (target.std / own.std)[:, None, None]
    centred = features - own.mean[:, None, None]
    return centred * scale + target.mean[:, None, None]


class Transfer:
    """Optimises images by the loss of AdaIN's decoder.

    Adam starts from the content and adds to its pixels, at full, half, quarter
    and an eighth of the resolution; they stay within 0..255. The size of its
    steps falls linearly to 0. Images of a batch do not act on each other. The
    network is a `feature_network`, or fewer of its outputs, `style` the options
    of `stylize`.
    """

    def __init__(self, network, style):
        # Keras gives the features of one layer without a list around them.
        self._network = lambda images: tf.nest.flatten(network(images))
        self._style = style
        # One function for all sizes of images.
        pixels = tf.TensorSpec([None, None, None, 3])
        self._features = tf.function(self._network, input_signature=[pixels])
        layers = [tf.TensorSpec([None, x.shape[-1]]) for x in network.outputs]
        inputs = [pixels, [Moments(spec, spec) for spec in layers]]
        self._optimize = tf.function(self._optimized, input_signature=inputs)

    def moments(self, images) -> list[Moments]:
        """List of `Moments`, one for each layer, of images `[B, h, w, 3]`."""
        pixels = tf.cast(images, tf.float32)
        return [moments(x) for x in self._features(pixels)]

    def __call__(self, images, styles) -> tf.Tensor:
        """uint8 `[B, h, w, 3]` of images 0..255 and of styles' `moments`."""
        return self._optimize(tf.cast(images, tf.float32), list(styles))

    def _optimized(self, images, styles):
        content, how = self._network(images), self._style
        pairs, share = zip(content, styles), how.style_strength
        targets = [moments(x).towards(style, share) for x, style in pairs]
        adapted = adapt(content[-1], targets[-1])

        def step(number, layers, means, squares):
            with tf.GradientTape() as tape:
                tape.watch(layers)
                pixels = _painted(images, layers)
                loss = self._loss(self._network(pixels), targets, adapted)
            gradients = tape.gradient(loss, layers)
            count = tf.cast(number, tf.float32)
            size = how.step_size * (1 - count / how.steps)
            parts = zip(layers, gradients, means, squares)
            moved = [_adam(*part, count + 1, size) for part in parts]
            return number + 1, *map(list, zip(*moved))

        count, *size = tf.unstack(tf.shape(images)[:3])
        sides = [[-(-length // s) for length in size] for s in _STRIDES]
        blank = [tf.zeros([count, *lengths, 3]) for lengths in sides]
        going, start = lambda number, *_: number < how.steps, tf.constant(0)
        _, layers, *_ = tf.while_loop(going, step, (start, *[blank] * 3))
        return tf.cast(tf.round(_painted(images, layers)), tf.uint8)

    def _loss(self, features, targets, adapted):
        """Sum over the batch; each layer in units of its style's power."""
        style, how = 0.0, self._style
        for x, target in zip(features, targets):
            mean, std = moments(x)
            distance = (mean - target.mean) ** 2 + (std - target.std) ** 2
            style += tf.reduce_mean(distance, 1) / target.power()
        distance = tf.reduce_mean((features[-1] - adapted) ** 2, [1, 2, 3])
        content = how.content_weight * (distance / targets[-1].power())
        return tf.reduce_sum(how.style_weight * style + content)


def _painted(images, layers):
    """Images with layers of paint on them, each enlarged to their size."""
    size = tf.shape(images)[1:3]
    for layer in layers:
        images += tf.image.resize(layer, size)
    return tf.clip_by_value(images, 0.0, 255.0)


def _adam(value, gradient, mean, square, count, size):
    """The `count`-th step of Adam from 1: value, mean and square of it."""
    mean = _BETA1 * mean + (1 - _BETA1) * gradient
    square = _BETA2 * square + (1 - _BETA2) * gradient**2
    unbiased = mean / (1 - _BETA1**count)
    deviation = tf.sqrt(square / (1 - _BETA2**count))
    return value - size * unbiased / (deviation + _EPSILON), mean, square
