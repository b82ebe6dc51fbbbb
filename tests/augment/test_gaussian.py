"""Gaussian views: the law of the noise, and where they run."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from test_augment_ops import sample_images

from noisymix_tf.augment import gaussian_views
from noisymix_tf.errors import UsageError

SHAPE = (16, 12, 3)


@pytest.fixture(scope="module")
def images():
    return sample_images(12, SHAPE, seed=0)


@pytest.fixture(scope="module")
def views(images):
    return gaussian_views(images, [1, 2], level=20.0, num_views=2).numpy()


def test_noise_is_gaussian_of_the_level(images, views):
    assert views.shape == (12, 3, *SHAPE) and views.dtype == np.float32
    np.testing.assert_array_equal(views[:, 0], images)
    noise = (views[:, 1:] - images[:, np.newaxis]) / 20.0
    assert stats.kstest(noise.ravel(), "norm").pvalue > 6e-5
    # Every view of every image has its own.
    rows = noise.reshape([24, -1])
    correlations = np.corrcoef(rows)[np.triu_indices(24, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(rows.shape[1])


def test_pure_function_of_images_and_seed(images, views):
    def again(seed, **options):
        return gaussian_views(images, seed, level=20.0, num_views=2, **options)

    np.testing.assert_array_equal(again([1, 2]), views)
    np.testing.assert_array_equal(again([1, 2], clean=False), views[:, 1:])
    assert not np.array_equal(again([1, 3]), views)


def test_parts_of_a_batch_get_what_they_get_in_it(images, views):
    for index in range(3):
        part = slice(4 * index, 4 * index + 4)
        np.testing.assert_array_equal(
            gaussian_views(
                images[part], [1, 2], level=20.0, num_views=2, shard=(index, 3)
            ),
            views[part],
        )


def test_inside_a_compiled_step(images, views):
    @tf.function(jit_compile=True)
    def step(images, seed):
        return gaussian_views(images, seed, level=20.0, num_views=2)

    again = step(tf.constant(images), tf.constant([1, 2]))
    np.testing.assert_allclose(again, views, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": -1}, "level .* got -1"),
        ({"level": float("inf")}, "level .* got inf"),
        ({"level": "2"}, "level .* got '2'"),
        ({"num_views": 0}, "num_views .* got 0"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(UsageError, match=message):
        gaussian_views(np.zeros([2, 4, 4, 3], np.uint8), [0, 0], **options)
