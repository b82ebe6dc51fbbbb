"""Pre-activation ResNet-18 for small images, as NoisyMix trains it.

He et al. (2016), "Identity Mappings in Deep Residual Networks". Two details
differ from that paper and agree with NoisyMix's network: every shortcut, the
identity too, starts from the normalised and rectified input of its block, and
nothing normalises the last stage before it is pooled. Convolutions and the
dense layer start from PyTorch's default initialisation.
"""

import keras

from noisymix_tf.models import common
from noisymix_tf.models.torch_names import TorchNames

TORCH_NAMES = TorchNames(
    {"stem": "conv1", "logits": "linear"}, inside={"shortcut": "shortcut.0"}
)


def preact_resnet(
    name,
    *,
    blocks=(2, 2, 2, 2),
    base=64,
    input_shape=(32, 32, 3),
    num_classes=10,
    mean=0.5,
    std=0.5,
    width=1.0,
    dropout=0.0,
    seed=0,
):
    """Builds a pre-activation ResNet with basic blocks and a 3x3 stem.

    Each stage but the first halves the image and doubles the channels. Layer
    `"stage{i}"` puts out the sum that ends stage i, before any normalisation
    or ReLU.

    Args:
        name: Name of the model.
        blocks: Number of blocks of each stage.
        base: Number of channels of the stem and the first stage.
        input_shape: `(height, width, channels)`; a side may be `None`.
        num_classes: Number of logits, at least 2.
        mean: Mean of each channel, for pixels scaled to 0..1; a float serves
            all channels.
        std: Standard deviation of each channel, in the same units.
        width: Multiplier of all channel counts.
        dropout: Rate of dropout between the convolutions of a block; the
            reference has none.
        seed: Integer that determines the initial weights.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]` to
        float32 logits `[N, num_classes]`.

    Raises:
        UsageError: If an argument cannot be used.

    Example:

    >>> preact_resnet("small", width=0.25).output_shape
    (None, 10)
    """
    inputs, x = common.normalized_input(
        input_shape, mean, std, strides=len(blocks) - 1
    )
    filters = common.channels(base, width)
    x = common.conv(x, filters, 3, "stem", seed=seed)
    for stage, num_blocks in enumerate(blocks, start=1):
        filters = common.channels(base * 2 ** (stage - 1), width)
        x = common.stage(
            _block, x, filters, stage, num_blocks, dropout=dropout, seed=seed
        )
    logits = common.classify(x, num_classes, seed=seed)
    return keras.Model(inputs, logits, name=name)


def _block(x, filters, name, *, stride, dropout, seed, output):
    x = common.batch_norm_relu(x, f"{name}_bn1")
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = common.conv(
            x, filters, 1, f"{name}_shortcut", stride=stride, seed=seed
        )
    y = common.conv(x, filters, 3, f"{name}_conv1", stride=stride, seed=seed)
    y = common.dropout(y, dropout, f"{name}_dropout", seed=seed)
    y = common.batch_norm_relu(y, f"{name}_bn2")
    y = common.conv(y, filters, 3, f"{name}_conv2", seed=seed)
    return keras.layers.Add(name=output or f"{name}_add")([y, shortcut])
