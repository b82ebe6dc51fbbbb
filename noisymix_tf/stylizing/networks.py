"""The network whose features are matched: VGG up to a layer."""

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.models import keras_file
from noisymix_tf.models.common import layer_seed

_NETWORKS = {
    "vgg16": keras.applications.VGG16,
    "vgg19": keras.applications.VGG19,
}
# Of ImageNet in the order blue, green, red, as these networks take it.
_BGR_MEAN = (103.939, 116.779, 123.68)
# The first layer of each block, as in AdaIN; each block halves the image.
_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")
# Rows of the deepest layer that are left of an image, at least. With fewer, the
# content's features say little about where things are.
_LEAST_ROWS = 8


def layers_for(side):
    """Names of the layers whose features are matched.

    Args:
        side: The shorter side of the image, in pixels.

    Returns:
        The first layer of each of the blocks 1 to 4 that leave 8 rows, at
        least that of the first: from 64 pixels on all four.

    Example:

    >>> layers_for(32)
    ('block1_conv1', 'block2_conv1', 'block3_conv1')
    """
    count = sum(side >> depth >= _LEAST_ROWS for depth in range(len(_LAYERS)))
    return _LAYERS[: max(1, count)]


def feature_network(name, weights=None, seed=0):
    """A network from images to the features of all layers of `layers_for`.

    Args:
        name: `"vgg16"` or `"vgg19"`.
        weights: File of its weights without the top, as keras.applications
            has them; None for random ones: He initialisation, no biases.
        seed: Seed of random weights.

    Returns:
        `keras.Model` from float32 RGB `[B, h, w, 3]`, 0..255, to a list of
        features, float32 `[B, h', w', C]`, one for each layer. It is not
        trainable.

    Raises:
        UsageError: The file does not hold these weights.
    """
    vgg = _NETWORKS[name](
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    if weights is None:
        _initialize(vgg, seed)
    else:
        _load(vgg, name, weights)
    inputs = keras.Input((None, None, 3), name="images")
    x = inputs[..., ::-1] - np.array(_BGR_MEAN, np.float32)
    features = []
    for layer in vgg.layers[1:]:
        x = layer(x)
        if layer.name in _LAYERS:
            features.append(x)
        if layer.name == _LAYERS[-1]:
            break
    network = keras.Model(inputs, features, name=f"{name}_features")
    network.trainable = False
    return network


def _initialize(vgg, seed):
    for layer in vgg.layers:
        if layer.weights:
            kernel, bias = layer.weights
            generator = np.random.default_rng(layer_seed(seed, layer.name))
            deviation = np.sqrt(2 / np.prod(kernel.shape[:3]))
            drawn = generator.standard_normal(kernel.shape, np.float32)
            kernel.assign(drawn * deviation)
            bias.assign(np.zeros(bias.shape, np.float32))
        if layer.name == _LAYERS[-1]:
            return


def _load(vgg, name, path):
    try:
        vgg.load_weights(path)
    except Exception as error:  # Whatever a damaged or foreign file leads to.
        reason = keras_file.reason(path, error)
        raise UsageError(
            f"--vgg_weights={path} cannot be read as weights of {name} without "
            f"its top ({reason}): give such a file as "
            f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5, or leave the "
            "flag out for random features."
        ) from error
