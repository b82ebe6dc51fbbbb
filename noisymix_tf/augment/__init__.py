"""Augmentation of uint8 image batches on the host, compiled with XLA."""

from noisymix_tf.augment.augmix import AugMixOptions, augmix, augmix_views
from noisymix_tf.augment.standard import random_crop_flip

__all__ = ["AugMixOptions", "augmix", "augmix_views", "random_crop_flip"]
