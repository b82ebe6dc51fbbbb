"""Residual networks of bottleneck blocks, as NoisyMix trains them on ImageNet.

He et al. (2016), "Deep Residual Learning for Image Recognition", in
torchvision's form: the 3x3 convolution of a block carries the stride, and
images are padded alike on all sides. Convolutions start from He's normal law
of their outputs, the dense layer from PyTorch's default, and every batch
normalisation, the last of a block too, from a scale of one.
"""

import functools

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.models import common, initializers
from noisymix_tf.models.torch_names import TorchNames

TORCH_NAMES = TorchNames(
    {"stem": "conv1", "stem_bn": "bn1", "logits": "fc"},
    inside={"shortcut": "downsample.0", "shortcut_bn": "downsample.1"},
)
_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_conv = functools.partial(common.conv, kernel=initializers.he_fan_out)


def resnet(
    depth,
    *,
    name=None,
    input_shape=(224, 224, 3),
    num_classes=1000,
    mean=common.IMAGENET_MEAN,
    std=common.IMAGENET_STD,
    width=1.0,
    dropout=0.0,
    seed=0,
):
    """Builds a ResNet of four stages of bottleneck blocks.

    The stem brings the image to a quarter of its side; the stages put out 256,
    512, 1024 and 2048 channels, and each but the first halves the image. Layer
    `"stage{i}"` puts out the end of stage i, after its ReLU.

    Args:
        depth: Number of layers: 50, 101 or 152.
        name: Name of the model; `"resnet{depth}"` if `None`.
        input_shape: `(height, width, channels)`, at least 32 pixels a side; a
            side may be `None`.
        num_classes: Number of logits, at least 2.
        mean: Mean of each channel, for pixels scaled to 0..1; a float serves
            all channels. ImageNet's by default.
        std: Standard deviation of each channel, in the same units.
        width: Multiplier of all channel counts.
        dropout: Rate of dropout before the last convolution of a block; the
            paper has none.
        seed: Integer that determines the initial weights and the dropout.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]` to
        float32 logits `[N, num_classes]`.

    Raises:
        UsageError: If an argument cannot be used.

    Example:

    >>> resnet(50, input_shape=(64, 64, 3), num_classes=200).output_shape
    (None, 200)
    """
    if depth not in _BLOCKS:
        raise UsageError(
            f"A ResNet of depth {depth} with bottlenecks does not exist; "
            f"give {', '.join(map(str, _BLOCKS))}."
        )
    inputs, x = common.normalized_input(input_shape, mean, std, strides=5)
    x = _conv(x, common.channels(64, width), 7, "stem", stride=2, seed=seed)
    x = common.batch_norm_relu(x, "stem_bn")
    # Behind a ReLU, zeros around the image never win a maximum.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, num_blocks in enumerate(_BLOCKS[depth], start=1):
        filters = common.channels(64 * 2 ** (stage - 1), width)
        x = common.stage(
            _block, x, filters, stage, num_blocks, dropout=dropout, seed=seed
        )
    logits = common.classify(x, num_classes, seed=seed)
    return keras.Model(inputs, logits, name=name or f"resnet{depth}")


def _block(x, filters, name, *, stride, dropout, seed, output):
    shortcut = x
    if stride != 1 or x.shape[-1] != 4 * filters:
        shortcut = _conv(
            x, 4 * filters, 1, f"{name}_shortcut", stride=stride, seed=seed
        )
        shortcut = common.batch_norm(shortcut, f"{name}_shortcut_bn")
    y = _conv(x, filters, 1, f"{name}_conv1", seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn1")
    y = _conv(y, filters, 3, f"{name}_conv2", stride=stride, seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn2")
    y = common.dropout(y, dropout, f"{name}_dropout", seed=seed)
    y = _conv(y, 4 * filters, 1, f"{name}_conv3", seed=seed)
    y = common.batch_norm(y, f"{name}_bn3")
    return common.add_relu(y, shortcut, name, output)
