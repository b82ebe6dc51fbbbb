"""Gaussian views: the law of the noise, and where they run."""

import numpy as np
import tensorflow as tf
from scipy import stats

from noisymix_tf.augment import gaussian_views
from support.augmentation import P_VALUE, sample_images

SHAPE = (16, 12, 3)


def test_noise_is_gaussian_and_a_function_of_the_seed():
    images = sample_images(12, SHAPE, seed=0)

    def made(seed, **options):
        return gaussian_views(
            images, seed, level=20.0, num_views=2, **options
        ).numpy()

    views = made([1, -2])
    assert views.shape == (12, 3, *SHAPE) and views.dtype == np.float32
    np.testing.assert_array_equal(views[:, 0], images)
    noise = (views[:, 1:] - images[:, np.newaxis]) / 20.0
    assert stats.kstest(noise.ravel(), "norm").pvalue > P_VALUE
    # Every view of every image has its own.
    rows = noise.reshape([24, -1])
    correlations = np.corrcoef(rows)[np.triu_indices(24, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(rows.shape[1])

    np.testing.assert_array_equal(made([1, -2]), views)
    np.testing.assert_array_equal(made([1, -2], clean=False), views[:, 1:])
    assert not np.array_equal(made([1, -3]), views)

    @tf.function(jit_compile=True)
    def step(images, seed):
        return gaussian_views(images, seed, level=20.0, num_views=2)

    again = step(tf.constant(images), tf.constant([1, -2]))
    np.testing.assert_allclose(again, views, atol=1e-4)
