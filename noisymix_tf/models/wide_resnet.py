"""Wide residual networks for small images, as NoisyMix trains them.

Zagoruyko and Komodakis (2016), "Wide Residual Networks". As in NoisyMix's
network, every convolution has a bias, the second convolution of a block
carries the stride, a projection shortcut starts from the raw input of its
block, and the last batch normalisation forgets nine tenths of its statistics
at every step. Convolutions and the dense layer start from PyTorch's default
initialisation.
"""

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.models import common
from noisymix_tf.models.torch_names import TorchNames

TORCH_NAMES = TorchNames(
    {"stem": "conv1", "final_bn": "bn1", "logits": "linear"},
    inside={"shortcut": "shortcut.0"},
)


def wide_resnet(
    depth,
    widen,
    *,
    name=None,
    input_shape=(32, 32, 3),
    num_classes=10,
    mean=0.5,
    std=0.5,
    width=1.0,
    dropout=0.1,
    seed=0,
):
    """Builds a wide ResNet of three stages.

    The stem has 16 channels, the stages 16, 32 and 64 times `widen`. Layer
    `"stage{i}"` puts out the sum that ends stage i, before any normalisation
    or ReLU.

    Args:
        depth: Number of layers, `6 n + 4` for n blocks in each stage.
        widen: Multiplier of the channels of the stages, but not of the stem.
        name: Name of the model; `"wide_resnet{depth}_{widen}"` if `None`.
        input_shape: `(height, width, channels)`; a side may be `None`.
        num_classes: Number of logits, at least 2.
        mean: Mean of each channel, for pixels scaled to 0..1; a float serves
            all channels.
        std: Standard deviation of each channel, in the same units.
        width: Multiplier of all channel counts, the stem's too.
        dropout: Rate of dropout between the convolutions of a block.
        seed: Integer that determines the initial weights and the dropout.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]` to
        float32 logits `[N, num_classes]`.

    Raises:
        UsageError: If an argument cannot be used.

    Example:

    >>> wide_resnet(10, 1).count_params()
    78666
    """
    num_blocks = blocks_per_stage(depth)
    inputs, x = common.normalized_input(input_shape, mean, std, strides=2)
    stem = common.channels(16, width)
    x = common.conv(x, stem, 3, "stem", use_bias=True, seed=seed)
    for stage in (1, 2, 3):
        filters = common.channels(16 * 2 ** (stage - 1) * widen, width)
        x = common.stage(
            _block, x, filters, stage, num_blocks, dropout=dropout, seed=seed
        )
    x = common.batch_norm_relu(x, "final_bn", momentum=0.1)
    logits = common.classify(x, num_classes, seed=seed)
    name = name or f"wide_resnet{depth}_{widen}"
    return keras.Model(inputs, logits, name=name)


def blocks_per_stage(depth):
    """How many blocks each of the three stages has."""
    if depth < 10 or (depth - 4) % 6:
        raise UsageError(
            f"A wide ResNet of depth {depth} does not exist; "
            "give 6 n + 4, such as 10, 16, 28 or 40."
        )
    return (depth - 4) // 6


def _block(x, filters, name, *, stride, dropout, seed, output):
    conv = {"use_bias": True, "seed": seed}
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = common.conv(
            x, filters, 1, f"{name}_shortcut", stride=stride, **conv
        )
    y = common.batch_norm_relu(x, f"{name}_bn1")
    y = common.conv(y, filters, 3, f"{name}_conv1", **conv)
    y = common.dropout(y, dropout, f"{name}_dropout", seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn2")
    y = common.conv(y, filters, 3, f"{name}_conv2", stride=stride, **conv)
    return keras.layers.Add(name=output or f"{name}_add")([y, shortcut])
