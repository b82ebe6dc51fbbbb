"""Parts that the networks share, made of built-in Keras layers only.

A saved model therefore loads with plain `keras.models.load_model`. Each layer
starts from a seed of its own, so that a network is a pure function of the
arguments it is built with.
"""

import zlib

import keras
import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.models import initializers

# Of each channel, for pixels scaled to 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def layer_seed(seed, name):
    """Derives the seed of one layer from the model's seed and its name."""
    if not is_whole(seed):
        raise UsageError(f"seed is {seed!r}; give an integer of at least 0.")
    if seed < 0:
        raise UsageError(f"seed is {seed}; give an integer of at least 0.")
    words = np.random.SeedSequence([int(seed), zlib.crc32(name.encode())])
    return int(words.generate_state(1)[0] >> 1)


def channels(base, width):
    """Scales a channel count; `UsageError` where nothing would be left."""
    if not (np.isfinite(width) and width > 0):
        raise UsageError(
            f"width is {width}; give a positive multiplier such as 1.0 or 0.25."
        )
    scaled = int(base * width)
    if scaled < 1:
        raise UsageError(
            f"width {width} leaves none of {base} channels; "
            f"give at least {1 / base:g}."
        )
    return scaled


def normalized_input(input_shape, mean, std, *, strides):
    """The input of pixels 0..255 and the layer that normalises it.

    Args:
        input_shape: `(height, width, channels)`; a side may be `None`.
        mean: Mean of each channel for pixels scaled to 0..1; a float serves
            all channels.
        std: Standard deviation of each channel, in the same units.
        strides: How many times the network halves the image.

    Returns:
        `(inputs, x)`: the input tensor, named `"images"`, and the output of
        the layer `"normalize"`, `(pixels / 255 - mean) / std`.
    """
    height, width, num_channels = _checked_shape(input_shape, 2**strides)
    mean = _per_channel("mean", mean, num_channels)
    std = _per_channel("std", std, num_channels)
    if min(std) <= 0:
        raise UsageError(f"std is {std}; give positive numbers.")
    inputs = keras.Input((height, width, num_channels), name="images")
    # float32 under every policy: half precision has no room for pixels with a
    # fraction, and noise at this point would be rounded.
    x = keras.layers.Rescaling(
        scale=[1.0 / (255.0 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std)],
        dtype="float32",
        name="normalize",
    )(inputs)
    return inputs, x


def conv(
    x,
    filters,
    size,
    name,
    *,
    stride=1,
    use_bias=False,
    kernel=initializers.uniform,
    seed,
):
    """A square convolution, padded as PyTorch pads `size // 2`.

    Args:
        x: `[N, H, W, C]`.
        filters: Number of output channels.
        size: Height and width of the kernel, odd.
        name: Name of the layer.
        stride: Every how many pixels there is an output.
        use_bias: Whether a bias is added.
        kernel: Function of `initializers.py` that the kernel starts from.
        seed: The model's seed.
    """
    padding = "same"
    if stride > 1 and size > 1:
        # "same" would pad one row fewer above than below.
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    elif stride > 1:
        # The same values. TensorFlow's oneDNN gradient of a strided 1 x 1
        # convolution writes out of bounds for odd batch sizes (2.21, AVX-512).
        x = subsample(x, stride, f"{name}_stride")
        stride = 1
    fans = x.shape[-1] * size**2, filters * size**2
    return keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        use_bias=use_bias,
        name=name,
        kernel_initializer=kernel(*fans, layer_seed(seed, f"{name}/kernel")),
        bias_initializer=initializers.uniform(
            *fans, layer_seed(seed, f"{name}/bias")
        ),
    )(x)


def subsample(x, stride, name):
    """The first of every `stride` rows and columns, as a layer."""
    return keras.layers.AveragePooling2D(1, strides=stride, name=name)(x)


def stage(block, x, filters, number, num_blocks, **arguments):
    """A residual stage; every stage but the first halves the image.

    Args:
        block: Function of `(x, filters, name, *, stride, output, ...)`, where
            `output` names the layer that ends the block, or is `None`.
        x: Input of the stage.
        filters: Its number of channels.
        number: Which stage it is, from 1; its last layer is `"stage{number}"`.
        num_blocks: How many blocks it has.
        **arguments: Passed on to `block`.
    """
    for index in range(1, num_blocks + 1):
        x = block(
            x,
            filters,
            f"stage{number}_block{index}",
            stride=2 if number > 1 and index == 1 else 1,
            output=f"stage{number}" if index == num_blocks else None,
            **arguments,
        )
    return x


def batch_norm(x, name, *, momentum=0.9):
    """Batch normalisation with PyTorch's constants.

    `momentum` is Keras's, the weight of the old statistics: one minus
    PyTorch's.
    """
    return keras.layers.BatchNormalization(
        momentum=momentum, epsilon=1e-5, name=name
    )(x)


def batch_norm_relu(x, name, *, momentum=0.9):
    """Batch normalisation `name`, then ReLU."""
    x = batch_norm(x, name, momentum=momentum)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def add_relu(y, shortcut, name, output):
    """The end of a block that rectifies its sum.

    Args:
        y: Output of the residual branch.
        shortcut: What it is added to, of the same shape.
        name: Name of the block.
        output: Name of the ReLU, or `None` for one made of the block's.
    """
    x = keras.layers.Add(name=f"{name}_add")([y, shortcut])
    return keras.layers.ReLU(name=output or f"{name}_relu")(x)


def dropout(x, rate, name, *, seed):
    """Dropout with a seed of its own; no layer at all for a rate of zero."""
    if not 0 <= rate < 1:
        raise UsageError(f"dropout is {rate}; give a rate in [0, 1).")
    if rate == 0:
        return x
    return keras.layers.Dropout(rate, seed=layer_seed(seed, name), name=name)(x)


def classify(
    x,
    num_classes,
    *,
    kernel=initializers.uniform,
    bias=initializers.uniform,
    seed,
):
    """Global average pooling and the dense layer `"logits"`, in float32."""
    if num_classes < 2:
        raise UsageError(f"num_classes is {num_classes}; give at least 2.")
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    fans = x.shape[-1], num_classes
    return keras.layers.Dense(
        num_classes,
        dtype="float32",
        name="logits",
        kernel_initializer=kernel(*fans, layer_seed(seed, "logits/kernel")),
        bias_initializer=bias(*fans, layer_seed(seed, "logits/bias")),
    )(x)


def _checked_shape(input_shape, smallest):
    shape = tuple(input_shape)
    if len(shape) != 3 or not isinstance(shape[2], (int, np.integer)):
        raise UsageError(
            f"input_shape is {shape}; give (height, width, channels)."
        )
    if shape[2] < 1:
        raise UsageError(f"input_shape {shape} has no channels.")
    for side in shape[:2]:
        if side is not None and side < smallest:
            raise UsageError(
                f"input_shape {shape} is too small for this network, "
                f"which needs at least {smallest} pixels a side."
            )
    return shape


def _per_channel(what, values, num_channels):
    if np.ndim(values) == 0:
        values = [values] * num_channels
    values = [float(v) for v in values]
    if len(values) != num_channels:
        raise UsageError(
            f"{what} has {len(values)} values but the images have "
            f"{num_channels} channels; give one value for each, or a float."
        )
    return values
