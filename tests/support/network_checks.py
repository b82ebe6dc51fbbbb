"""What the tests of the networks share."""

import numpy as np


def images_like(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def normalized(images, mean=0.5, std=0.5):
    """What a PyTorch network is given for images: float64 `[N, C, H, W]`."""
    x = (images / 255.0 - np.array(mean)) / np.array(std)
    return x.transpose(0, 3, 1, 2)


def trainable_count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
