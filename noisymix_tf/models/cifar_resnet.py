"""Residual networks for small images, after the paper that introduced them.

He et al. (2016), "Deep Residual Learning for Image Recognition", section 4.2:
three stages of basic blocks behind a 3x3 stem, with shortcuts that have no
parameters (option A: where a block halves the image, its input is subsampled
and the new channels are zero, half of them on either side as in published
PyTorch weights). Kernels start from He's normal law of their inputs.
"""

import functools

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.models import common, initializers
from noisymix_tf.models.torch_names import TorchNames

TORCH_NAMES = TorchNames(
    {"stem": "conv1", "stem_bn": "bn1", "logits": "linear"}
)
_conv = functools.partial(common.conv, kernel=initializers.he_fan_in)


def cifar_resnet(
    depth,
    *,
    name=None,
    input_shape=(32, 32, 3),
    num_classes=10,
    mean=0.5,
    std=0.5,
    width=1.0,
    dropout=0.0,
    seed=0,
):
    """Builds a ResNet of three stages of basic blocks.

    The stages have 16, 32 and 64 channels; each but the first halves the image.
    Layer `"stage{i}"` puts out the end of stage i, after its ReLU.

    Args:
        depth: Number of layers, `6 n + 2` for n blocks in each stage.
        name: Name of the model; `"resnet{depth}"` if `None`.
        input_shape: `(height, width, channels)`; a side may be `None`.
        num_classes: Number of logits, at least 2.
        mean: Mean of each channel, for pixels scaled to 0..1; a float serves
            all channels.
        std: Standard deviation of each channel, in the same units.
        width: Multiplier of all channel counts.
        dropout: Rate of dropout before the second convolution of a block; the
            paper has none.
        seed: Integer that determines the initial weights and the dropout.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]` to
        float32 logits `[N, num_classes]`.

    Raises:
        UsageError: If an argument cannot be used.

    Example:

    >>> cifar_resnet(20, width=0.25).output_shape
    (None, 10)
    """
    if depth < 8 or (depth - 2) % 6:
        raise UsageError(
            f"A ResNet of depth {depth} for small images does not exist; "
            "give 6 n + 2, such as 20, 32, 44, 56 or 110."
        )
    inputs, x = common.normalized_input(input_shape, mean, std, strides=2)
    x = _conv(x, common.channels(16, width), 3, "stem", seed=seed)
    x = common.batch_norm_relu(x, "stem_bn")
    for stage in (1, 2, 3):
        filters = common.channels(16 * 2 ** (stage - 1), width)
        x = common.stage(
            _block,
            x,
            filters,
            stage,
            (depth - 2) // 6,
            dropout=dropout,
            seed=seed,
        )
    logits = common.classify(
        x, num_classes, kernel=initializers.he_fan_in, seed=seed
    )
    return keras.Model(inputs, logits, name=name or f"resnet{depth}")


def _block(x, filters, name, *, stride, dropout, seed, output):
    y = _conv(x, filters, 3, f"{name}_conv1", stride=stride, seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn1")
    y = common.dropout(y, dropout, f"{name}_dropout", seed=seed)
    y = _conv(y, filters, 3, f"{name}_conv2", seed=seed)
    y = common.batch_norm(y, f"{name}_bn2")
    shortcut = _shortcut(x, filters, stride, f"{name}_shortcut")
    return common.add_relu(y, shortcut, name, output)


def _shortcut(x, filters, stride, name):
    """Option A: no parameters."""
    if stride != 1:
        x = common.subsample(x, stride, f"{name}_stride")
    new = filters - x.shape[-1]
    if new == 0:
        return x
    # Read as channels first, the last axis is the width of an image: the one
    # layer of Keras that pads channels.
    return keras.layers.ZeroPadding2D(
        ((0, 0), (new // 2, new - new // 2)),
        data_format="channels_first",
        name=f"{name}_pad",
    )(x)
