"""Crops, flips and Gaussian views; parts of batches; what is refused."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from scipy import stats

from noisymix_tf import augment
from noisymix_tf.augment import gaussian_views, random_crop_flip
from noisymix_tf.augment.views import checked_shard
from support import augmentation as laws
from support.usage import assert_usage_error


def numbered(batch, channels=3):
    """Images all of whose values differ from 0 and, in an image, by place."""
    image = np.arange(42 * channels, dtype=np.uint8) + 1
    return np.tile(image.reshape([6, 7, channels]), [batch, 1, 1, 1])


def found(images, results, padding):
    """Row, column and mirroring of every crop, `[3, B]`; each must be one."""
    _, height, width, _ = images.shape
    padded = np.pad(images[0], [(padding, padding)] * 2 + [(0, 0)])
    places = {}
    for row, column, mirrored in np.ndindex(*[2 * padding + 1] * 2, 2):
        crop = padded[row : row + height, column : column + width]
        key = (crop[:, ::-1] if mirrored else crop).tobytes()
        places[key] = (row, column, mirrored)
    return np.array([places[each.tobytes()] for each in results.numpy()]).T


@pytest.mark.slow
def test_crops_are_uniform_independent_and_the_same_everywhere():
    images = numbered(5000)
    results = random_crop_flip(images, [1, 2], padding=2)
    rows, columns, mirrored = found(images, results, 2)
    for offsets in (rows, columns):
        laws.assert_law(offsets, dict.fromkeys(range(5), 1 / 5))
    laws.assert_even_signs(0.5 - mirrored)
    laws.assert_uncorrelated(rows, columns, mirrored)
    # Neither unless it is asked for.
    images = numbered(64)
    same(random_crop_flip(images, [0, 0], padding=0, flip=False), images)
    for padding, flip in ((0, True), (1, False)):
        crops = random_crop_flip(images, [0, 0], padding=padding, flip=flip)
        assert (0 < sum(found(images, crops, padding)[2]) < 64) == flip
    images = numbered(8, channels=1)
    seed = tf.constant([-3, 4])
    eager = random_crop_flip(images, seed)
    compiled = tf.function(random_crop_flip, jit_compile=True)(images, seed)
    assert compiled.dtype == tf.uint8
    same(eager, compiled)
    assert not np.array_equal(eager, random_crop_flip(images, [-3, 5]))
    # The last batch of a pipeline is smaller.
    data = tf.data.Dataset.from_tensor_slices(images).batch(5)
    data = data.map(lambda each: random_crop_flip(each, seed))
    assert [len(each) for each in data] == [5, 3]


def test_noise_is_gaussian_and_a_function_of_the_seed():
    images = laws.sample_images(12, (16, 12, 3), seed=0)
    make = functools.partial(gaussian_views, level=20.0, num_views=3)
    views = make(images, [1, -2]).numpy()
    assert views.shape == (12, 3, 16, 12, 3) and views.dtype == np.float32
    same(views[:, 0], images)
    noise = (views[:, 1:] - images[:, np.newaxis]) / 20.0
    assert stats.kstest(noise.ravel(), "norm").pvalue > laws.P_VALUE
    # Every view of every image has its own.
    laws.assert_uncorrelated(*noise.reshape([24, -1]), sigmas=5)
    same(make(images, [1, -2], num_views=2, clean=False), views[:, 1:])
    assert not np.array_equal(make(images, [1, -3]), views)
    step = tf.function(make, jit_compile=True)
    again = step(tf.constant(images), tf.constant([1, -2]))
    np.testing.assert_allclose(again, views, atol=1e-4)


IMAGES = np.tile(laws.sample_images(2, (6, 7, 3), seed=0), [3, 1, 1, 1])
FUNCTIONS = {
    "crop": random_crop_flip,
    "augmix": functools.partial(augment.augmix_views, width=2),
    "gaussian": gaussian_views,
    "auto": augment.auto_augment_views,
    "rand": augment.rand_augment_views,
    "trivial": functools.partial(augment.trivial_augment_views, cutout=4),
}


@pytest.fixture
def without_compilation():
    """What is compared is drawn, which needs no program."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("without_compilation")
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_parts_of_a_batch_get_what_they_get_in_it(function):
    seed = tf.constant([-3, 4])
    parts = [
        function(part, seed, shard=(index, 3))
        for index, part in enumerate(np.split(IMAGES, 3))
    ]
    same(tf.concat(parts, 0), function(IMAGES, seed))


def test_functions_that_know_no_parts_draw_for_each():
    def brighter(images, seed):
        more = tf.random.stateless_uniform([2, 1, 1, 1], seed, 0, 99, tf.int32)
        return images + tf.cast(more, images.dtype)

    more = {"seed": 1, "step": 2, "standard": brighter}
    make = functools.partial(augment.batch_views, IMAGES[:2] // 4, **more)
    first, other, again = (make(shard=(index, 2)) for index in (0, 1, 0))
    same(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, make())


OF_AUGMIX = {"severity": [0.05, 11, "3", math.nan], "width": [0, 2.5]}
OF_AUGMIX |= {"depth": [0, -2], "alpha": [0, math.inf], "num_views": [1]}
OF_RAND = {"num_ops": [0, 1.5], "magnitude": [31, "9"], "scale": ["keras"]}
BAD = {
    augment.augmix_views: OF_AUGMIX,
    gaussian_views: {"level": [-1, math.inf, "2"], "num_views": [1]},
    augment.auto_augment_views: {"policy": ["mnist"]},
    augment.rand_augment_views: OF_RAND,
    augment.trivial_augment_views: {"cutout": [-1], "num_views": [1]},
    random_crop_flip: {"padding": [-1, 1.5, True]},
}


@pytest.mark.parametrize("function", BAD)
def test_refuses(function):
    for name, values in {**BAD[function], "shard": [3]}.items():
        for value in values:
            call = functools.partial(function, IMAGES, [0, 0], **{name: value})
            assert_usage_error(call, name, value)
    for images, words in (
        (IMAGES / 255, "takes uint8 images with pixels 0 to 255, got"),
        (IMAGES[0], "takes a batch [B, H, W, C] of known height and width"),
        (IMAGES[..., :2], "1 or 3 channels, got shape (6, 6, 7, 2)"),
    ):
        assert_usage_error(functools.partial(function, images, [0, 0]), words)
    for shard in (2, (2, 2), (-1, 2), (0, 0), (0, 1.5), (0, 1, 2)):
        call = functools.partial(checked_shard, shard)
        assert_usage_error(call, f"shard={shard!r} must be (index, count)")
    call = functools.partial(augment.rand_augment_views, scale="torchvision")
    words = "whole magnitudes only, got magnitude=2.5"
    assert_usage_error(lambda: call(IMAGES, 0, magnitude=2.5), words)
    unknown = tf.TensorSpec([2, None, 4, 3], tf.uint8)
    traced = tf.function(lambda images: function(images, [0, 0]))
    trace = functools.partial(traced.get_concrete_function, unknown)
    assert_usage_error(trace, "known height and width")
