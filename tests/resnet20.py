"""The oracle's CIFAR-10 ResNet-20 in plain Keras, with its trained weights."""

import keras
import numpy as np

_MEAN = np.array([0.485, 0.456, 0.406])
_STD = np.array([0.229, 0.224, 0.225])


def resnet20(weights):
    """Builds the network of He et al. (2016), section 4.2, option A.

    Args:
        weights: Mapping of PyTorch names to arrays in PyTorch's layouts.

    Returns:
        Functional model from pixels 0..255 `[B, 32, 32, 3]` to logits.
    """
    inputs = keras.Input([32, 32, 3])
    x = keras.layers.Rescaling(1 / (255 * _STD), -_MEAN / _STD)(inputs)
    x = _relu(_conv_bn(x, weights, "conv1", "bn1"))
    for stage, filters in ((1, 16), (2, 32), (3, 64)):
        for block in range(3):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            y = _conv_bn(x, weights, f"{name}.conv1", f"{name}.bn1", stride)
            y = _conv_bn(_relu(y), weights, f"{name}.conv2", f"{name}.bn2")
            if stride == 2:
                extra = filters // 4
                x = x[:, ::2, ::2]
                x = keras.ops.pad(x, [(0, 0)] * 3 + [(extra, extra)])
            x = _relu(x + y)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(10)
    outputs = head(x)
    head.set_weights([weights["linear.weight"].T, weights["linear.bias"]])
    return keras.Model(inputs, outputs)


def _relu(x):
    return keras.layers.ReLU()(x)


def _conv_bn(x, weights, conv, norm, stride=1):
    kernel = weights[f"{conv}.weight"].transpose(2, 3, 1, 0)
    x = keras.layers.ZeroPadding2D(1)(x)
    layer = keras.layers.Conv2D(kernel.shape[-1], 3, stride, use_bias=False)
    x = layer(x)
    layer.set_weights([kernel])
    layer = keras.layers.BatchNormalization(epsilon=1e-5)
    x = layer(x)
    names = ("weight", "bias", "running_mean", "running_var")
    layer.set_weights([weights[f"{norm}.{part}"] for part in names])
    return x
