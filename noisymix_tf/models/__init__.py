"""Image classifiers by name, as functional Keras models."""

import functools

from noisymix_tf.models.common import Architecture
from noisymix_tf.models.preact_resnet import preact_resnet
from noisymix_tf.models.torch_weights import load_torch_weights
from noisymix_tf.models.wide_resnet import wide_resnet
from noisymix_tf.registry import Registry

__all__ = [
    "MODELS",
    "Architecture",
    "build",
    "default_taps",
    "load_torch_weights",
    "preact_resnet",
    "wide_resnet",
]

MODELS = Registry("model")


def build(
    name,
    *,
    input_shape=(32, 32, 3),
    num_classes=10,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    width=1.0,
    dropout=None,
    seed=0,
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
        dropout: Rate in [0, 1) of dropout inside the blocks; `None` takes the
            architecture's own.
        seed: Integer of at least 0 that determines the initial weights.

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
    return MODELS.get(name).build(
        input_shape=input_shape,
        num_classes=num_classes,
        mean=mean,
        std=std,
        width=width,
        dropout=dropout,
        seed=seed,
    )


def default_taps(name):
    """Returns the layers at whose outputs the reference mixes this network."""
    return MODELS.get(name).taps


def _add(name, make):
    MODELS.register(name)(Architecture(make))


def _preact_wide_resnet18(*, width, **options):
    return preact_resnet("preact_wide_resnet18", width=2 * width, **options)


_add("preact_resnet18", functools.partial(preact_resnet, "preact_resnet18"))
_add("preact_wide_resnet18", _preact_wide_resnet18)
_add("wide_resnet28_4", functools.partial(wide_resnet, 28, 4))
