"""What the tests of the networks share."""

import itertools

import keras
import numpy as np


def images_like(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def normalized(images, mean=0.5, std=0.5):
    """What a PyTorch network is given for images: float64 `[N, C, H, W]`."""
    x = (images / 255.0 - np.array(mean)) / np.array(std)
    return x.transpose(0, 3, 1, 2)


def segments(model, taps):
    """The model's functions from pixels to the first tap, tap to tap..."""
    points = [
        model.input,
        *(model.get_layer(t).output for t in taps),
        model.output,
    ]
    return [keras.Model(a, b) for a, b in itertools.pairwise(points)]


def trainable_count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def dropout_rates(model):
    return [x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)]


def kernels(model):
    """`(kernel, fan in, fan out)` of every convolution."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            *window, fan_in, fan_out = layer.kernel.shape
            area = int(np.prod(window))
            yield np.asarray(layer.kernel), area * fan_in, area * fan_out


def assert_uniform(values):
    """Values that should be uniform in ±1: moments at four sigma."""
    n = values.size
    assert np.abs(values).max() <= 1
    assert abs(values.mean()) < 4 * np.sqrt(1 / 3 / n)
    assert abs((values**2).mean() - 1 / 3) < 4 * np.sqrt(4 / 45 / n)


def assert_normal(values):
    """Values that should be standard normal: moments at four sigma."""
    n = values.size
    assert abs(values.mean()) < 4 / np.sqrt(n)
    assert abs((values**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / n)


def assert_constants(model, num_norms):
    """Those of every network here that has no biases and no dropout."""
    norms = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            norms += 1
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias
    assert norms == num_norms
    assert dropout_rates(model) == []
