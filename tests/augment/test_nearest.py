"""Rotation and shear by the nearest pixel, against Pillow, pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from test_augment_ops import sample_images

from noisymix_tf.augment import nearest

Image = pytest.importorskip("PIL.Image")

SHAPES = [(32, 32, 3), (17, 23, 3), (6, 9, 1)]
PILLOW = {
    "rotate": lambda image, degrees: image.rotate(degrees),
    "shear_x": lambda image, factor: affine(image, (1, factor, 0, 0, 1, 0)),
    "shear_y": lambda image, factor: affine(image, (1, 0, 0, factor, 1, 0)),
}


def affine(image, coefficients):
    return image.transform(image.size, Image.Transform.AFFINE, coefficients)


def with_pillow(name, image, parameter):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return np.asarray(PILLOW[name](picture, parameter)).reshape(image.shape)


def parameters(name):
    if name == "rotate":
        return np.arange(-135.0, 136.0)
    draws = np.random.default_rng(0).uniform(-1.0, 1.0, 60)
    return np.concatenate([draws, [0.0, 0.99, -0.99, 0.3, 0.1, 0.033]])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PILLOW)
def test_equals_pillow(name, shape):
    values = parameters(name)
    images = sample_images(len(values), shape, seed=1)

    @tf.function(jit_compile=True)
    def apply(images, values):
        return tf.map_fn(
            lambda each: getattr(nearest, name)(*each),
            (images, values),
            fn_output_signature=tf.uint8,
        )

    results = apply(images, values)
    for image, value, result in zip(images, values, results):
        np.testing.assert_array_equal(
            result, with_pillow(name, image, value), err_msg=f"{name} {value}"
        )


@pytest.mark.parametrize("name", PILLOW)
def test_same_without_compilation(name):
    image = sample_images(1, (7, 8, 3), seed=2)[0]
    for value in (-20, 0, 1):
        np.testing.assert_array_equal(
            getattr(nearest, name)(image, value),
            with_pillow(name, image, value),
        )
