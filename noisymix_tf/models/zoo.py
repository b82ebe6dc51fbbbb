"""The networks that `--model` and `build` know by name."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from noisymix_tf.models.augmix_wide_resnet import TORCH_NAMES as AUGMIX_NAMES
from noisymix_tf.models.augmix_wide_resnet import augmix_wide_resnet
from noisymix_tf.models.cifar_resnet import TORCH_NAMES as CIFAR_NAMES
from noisymix_tf.models.cifar_resnet import cifar_resnet
from noisymix_tf.models.preact_resnet import TORCH_NAMES as PREACT_NAMES
from noisymix_tf.models.preact_resnet import preact_resnet
from noisymix_tf.models.resnet import TORCH_NAMES as RESNET_NAMES
from noisymix_tf.models.resnet import resnet
from noisymix_tf.models.torch_names import TorchNames
from noisymix_tf.models.wide_resnet import TORCH_NAMES as WIDE_NAMES
from noisymix_tf.models.wide_resnet import wide_resnet
from noisymix_tf.registry import Registry

# The points at which the reference mixes: the normalised input and the ends
# of the first three residual stages.
REFERENCE_TAPS = ("normalize", "stage1", "stage2", "stage3")


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

    build: Callable[..., keras.Model]
    torch_names: tuple[TorchNames, ...] = ()
    taps: tuple[str, ...] = REFERENCE_TAPS


MODELS = Registry("model")


def build(
    name,
    *,
    input_shape=None,
    num_classes=None,
    mean=None,
    std=None,
    width=1.0,
    dropout=None,
    seed=0,
    sync_batch_norm=False,
):
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
        seed: Integer of at least 0 that determines the initial weights.
        sync_batch_norm: Whether batch normalisation takes its statistics from
            the parts of a batch on all replicas of a `tf.distribute` strategy,
            not from each part alone.

    What is `None` is the network's own: `(224, 224, 3)`, 1000 classes and
    ImageNet's mean and deviation for `"resnet50"`; `(32, 32, 3)`, 10 classes
    and 0.5 for the others. Dropout is 0.1 for `"wide_resnet28_4"`, 0 elsewhere.

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
    chosen = {
        "input_shape": input_shape,
        "num_classes": num_classes,
        "mean": mean,
        "std": std,
        "dropout": dropout,
    }
    model = MODELS.get(name).build(
        width=width,
        seed=seed,
        **{key: value for key, value in chosen.items() if value is not None},
    )
    for layer in model.layers if sync_batch_norm else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    return model


def default_taps(name):
    """Returns the layers at whose outputs the reference mixes this network."""
    return MODELS.get(name).taps


def _add(name, make, *torch_names):
    MODELS.register(name)(Architecture(make, torch_names))


_add(
    "preact_resnet18",
    functools.partial(preact_resnet, "preact_resnet18"),
    PREACT_NAMES,
)
_add(
    "preact_wide_resnet18",
    functools.partial(preact_resnet, "preact_wide_resnet18", base=128),
    PREACT_NAMES,
)
_add("wide_resnet28_4", functools.partial(wide_resnet, 28, 4), WIDE_NAMES)
_add(
    "wide_resnet40_2",
    functools.partial(augmix_wide_resnet, 40, 2),
    *AUGMIX_NAMES,
)
_add("resnet20", functools.partial(cifar_resnet, 20), CIFAR_NAMES)
_add("resnet56", functools.partial(cifar_resnet, 56), CIFAR_NAMES)
_add("resnet50", functools.partial(resnet, 50), RESNET_NAMES)
