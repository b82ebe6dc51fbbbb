"""Wide residual networks for small images, as AugMix trains them.

Zagoruyko and Komodakis (2016), "Wide Residual Networks", in the form in which
public AugMix weights come (Hendrycks et al., 2020, "AugMix", section 4.1:
WRN-40-2). It differs from `wide_resnet.py`: no convolution has a bias, the
first convolution of a block carries the stride, a projection shortcut starts
from the normalised and rectified input of its block, and all batch
normalisations have the same momentum. Convolutions start from He's normal law
of their outputs, the dense layer from PyTorch's default without a bias.
"""

import functools

import keras

from noisymix_tf.models import common, initializers
from noisymix_tf.models.torch_names import TorchNames
from noisymix_tf.models.wide_resnet import blocks_per_stage

# AugMix and its descendants spell a shortcut one way, RobustBench and TRADES
# another.
TORCH_NAMES = tuple(
    TorchNames(
        {"stem": "conv1", "final_bn": "bn1", "logits": "fc"},
        block="block{stage}.layer.{index}",
        inside={"shortcut": shortcut},
    )
    for shortcut in ("conv_shortcut", "convShortcut")
)

_conv = functools.partial(common.conv, kernel=initializers.he_fan_out)


def augmix_wide_resnet(
    depth,
    widen,
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
        dropout: Rate of dropout before the second convolution of a block.
        seed: Integer that determines the initial weights and the dropout.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]` to
        float32 logits `[N, num_classes]`.

    Raises:
        UsageError: If an argument cannot be used.

    Example:

    >>> augmix_wide_resnet(10, 1).count_params()
    78330
    """
    num_blocks = blocks_per_stage(depth)
    inputs, x = common.normalized_input(input_shape, mean, std, strides=2)
    stem = common.channels(16, width)
    x = _conv(x, stem, 3, "stem", seed=seed)
    for stage in (1, 2, 3):
        filters = common.channels(16 * 2 ** (stage - 1) * widen, width)
        x = common.stage(
            _block, x, filters, stage, num_blocks, dropout=dropout, seed=seed
        )
    x = common.batch_norm_relu(x, "final_bn")
    logits = common.classify(x, num_classes, bias=initializers.zeros, seed=seed)
    name = name or f"wide_resnet{depth}_{widen}"
    return keras.Model(inputs, logits, name=name)


def _block(x, filters, name, *, stride, dropout, seed, output):
    shortcut = x
    x = common.batch_norm_relu(x, f"{name}_bn1")
    if stride != 1 or x.shape[-1] != filters:
        shortcut = _conv(
            x, filters, 1, f"{name}_shortcut", stride=stride, seed=seed
        )
    y = _conv(x, filters, 3, f"{name}_conv1", stride=stride, seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn2")
    y = common.dropout(y, dropout, f"{name}_dropout", seed=seed)
    y = _conv(y, filters, 3, f"{name}_conv2", seed=seed)
    return keras.layers.Add(name=output or f"{name}_add")([y, shortcut])
