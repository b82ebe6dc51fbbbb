"""Image classifiers by name, as functional Keras models."""

from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD
from noisymix_tf.models.networks import (
    augmix_wide_resnet,
    cifar_resnet,
    preact_resnet,
    resnet,
    wide_resnet,
)
from noisymix_tf.models.zoo import (
    MODELS,
    Architecture,
    TorchNames,
    build,
    default_taps,
    load_torch_weights,
    synchronized,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MODELS",
    "Architecture",
    "TorchNames",
    "augmix_wide_resnet",
    "build",
    "cifar_resnet",
    "default_taps",
    "load_torch_weights",
    "preact_resnet",
    "resnet",
    "synchronized",
    "wide_resnet",
]
