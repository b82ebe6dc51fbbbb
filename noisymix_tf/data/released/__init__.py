"""Released robustness benchmarks, read in the layouts they are published in.

>>> from noisymix_tf.data import load, released
>>> cifar10 = load("cifar10")
>>> shifted = released.corrupted_images("CIFAR-10-C", cifar10)
>>> fog = shifted.split("fog", 3)  # like any other test images
"""

from noisymix_tf.data.released.classes import IMAGENET_R_CLASSES
from noisymix_tf.data.released.corrupted import corrupted_images
from noisymix_tf.data.released.perturbed import perturbed_sequences
from noisymix_tf.data.released.shifted import shifted_images

__all__ = [
    "IMAGENET_R_CLASSES",
    "corrupted_images",
    "perturbed_sequences",
    "shifted_images",
]
