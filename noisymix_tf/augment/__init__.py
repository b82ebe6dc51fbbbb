"""Augmentation of uint8 image batches, compiled with XLA on any device."""

from noisymix_tf.augment.augmix import AugMixOptions, augmix, augmix_views
from noisymix_tf.augment.basic import gaussian_views, random_crop_flip
from noisymix_tf.augment.ipmix import ipmix_views
from noisymix_tf.augment.pixmix import pixmix_views
from noisymix_tf.augment.policy import (
    auto_augment_views,
    rand_augment_views,
    trivial_augment_views,
)
from noisymix_tf.augment.prime import prime_views
from noisymix_tf.augment.views import VIEWS, batch_views, device_views

__all__ = [
    "VIEWS",
    "AugMixOptions",
    "augmix",
    "augmix_views",
    "auto_augment_views",
    "batch_views",
    "device_views",
    "gaussian_views",
    "ipmix_views",
    "pixmix_views",
    "prime_views",
    "rand_augment_views",
    "random_crop_flip",
    "trivial_augment_views",
]
