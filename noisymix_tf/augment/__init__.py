"""Augmentation of uint8 image batches, compiled with XLA on any device."""

from noisymix_tf.augment.augmix import AugMixOptions, augmix, augmix_views
from noisymix_tf.augment.standard import random_crop_flip
from noisymix_tf.augment.views import batch_views

__all__ = [
    "AugMixOptions",
    "augmix",
    "augmix_views",
    "batch_views",
    "random_crop_flip",
]
