"""The networks that `--model` and `build` know by name."""

import dataclasses
import re
from collections.abc import Callable, Mapping

from noisymix_tf.lazy import keras
from noisymix_tf.options import BELOW_1, POSITIVE, Options, option
from noisymix_tf.registry import Registry

# The points at which the reference mixes: the normalised input and the ends
# of the first three residual stages.
REFERENCE_TAPS = ("normalize", "stage1", "stage2", "stage3")
_IN_BLOCK = re.compile(r"stage(\d+)_block(\d+)_(\w+)")


@dataclasses.dataclass(frozen=True)
class TorchNames:
    """What the PyTorch code of some authors calls the layers of a network.

    Attributes:
        outside: Layer outside the stages -> PyTorch's module.
        block: Format of the name of a block, of its `stage` from 1 and its
            `index` from 0.
        inside: Part of a block -> PyTorch's module, where the names differ.

    Example:

    >>> names = TorchNames({"stem": "conv1"}, inside={"shortcut": "skip"})
    >>> names.of("stem"), names.of("stage2_block1_shortcut")
    ('conv1', 'layer2.0.skip')
    """

    outside: Mapping[str, str]
    block: str = "layer{stage}.{index}"
    inside: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def of(self, layer):
        """Returns the module of a layer's name, `None` where there is none."""
        match = _IN_BLOCK.fullmatch(layer)
        if match is None:
            return self.outside.get(layer)
        stage, block, part = match.groups()
        prefix = self.block.format(stage=stage, index=int(block) - 1)
        return f"{prefix}.{self.inside.get(part, part)}"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An entry of the model registry.

    Attributes:
        build: Function of the arguments of `noisymix_tf.models.build`, less
            the name; returns a functional `keras.Model`. Its defaults are the
            network's own.
        torch_names: What the code bases that publish weights of this network
            call its layers.
        taps: Names of the layers at whose output the reference mixes.
    """

    build: Callable
    torch_names: tuple[TorchNames, ...] = ()
    taps: tuple[str, ...] = REFERENCE_TAPS


MODELS = Registry("model")


def build(name, *, width=1.0, seed=0, sync_batch_norm=False, **options):
    """Builds a registered network.

    Two calls with the same arguments give equal weights, bit for bit, whatever
    else the process has done; Keras's global seed is neither used nor moved.

    Args:
        name: One of `MODELS.names()`.
        input_shape: `(height, width, channels)`; a side may be `None`.
        num_classes: Number of logits, at least 2.
        mean: Mean of each channel, for pixels scaled to 0..1; a float serves
            all channels.
        std: Standard deviation of each channel, in the same units.
        width: Multiplier of all channel counts; 0.25 makes a small network.
        dropout: Rate in [0, 1) of dropout inside the blocks.
        seed: Integer of at least 0 that determines the initial weights and the
            dropout.
        sync_batch_norm: Whether batch normalisation takes its statistics from
            the parts of a batch on all replicas of a `tf.distribute` strategy,
            not from each part alone.

    What is `None` or left out is the network's own: `(224, 224, 3)`, 1000
    classes and ImageNet's mean and deviation for `"resnet50"`; `(32, 32, 3)`,
    10 classes and 0.5 for the others. Dropout is 0.1 for `"wide_resnet28_4"`,
    0 elsewhere.

    Returns:
        A functional `keras.Model` from pixels 0..255 `[N, H, W, C]`, float32
        or uint8, to float32 logits `[N, num_classes]`. Its layer `"normalize"`
        puts out the normalised image, `"stage{i}"` the end of stage i.

    Raises:
        UsageError: If the name is unknown or an argument cannot be used.

    Example:

    >>> model = build("preact_resnet18", num_classes=100)
    >>> model(images).shape
    TensorShape([128, 100])
    """
    given = {key: value for key, value in options.items() if value is not None}
    model = MODELS.get(name).build(width=width, seed=seed, **given)
    for layer in model.layers if sync_batch_norm else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    return model


def default_taps(name):
    """Returns the layers at whose outputs the reference mixes this network."""
    return MODELS.get(name).taps


@dataclasses.dataclass(frozen=True)
class ModelConfig(Options):
    """Which network."""

    model: str = option(
        "preact_resnet18", "Network.", choices=MODELS, first=True
    )
    width: float = option(
        1.0, "Factor of the number of channels.", range=POSITIVE
    )
    dropout: float | None = option(
        None,
        "Dropout inside blocks; by default the network's own.",
        range=BELOW_1,
    )
    precision: str = option(
        "float32",
        "What the network computes in: float32, mixed_bfloat16 or "
        "mixed_float16 (with a scaled loss). Weights, loss and measurements "
        "are float32 in any case.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
