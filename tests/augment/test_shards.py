"""Parts of a batch get what they get in the whole; what is refused."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment
from noisymix_tf.augment import batch_views, shards
from support.augmentation import sample_images
from support.usage import assert_usage_error

FUNCTIONS = {
    "crop": augment.random_crop_flip,
    "augmix": functools.partial(augment.augmix_views, width=2),
    "gaussian": augment.gaussian_views,
    "auto": augment.auto_augment_views,
    "rand": augment.rand_augment_views,
    "trivial": functools.partial(augment.trivial_augment_views, cutout=4),
}
IMAGES = np.tile(sample_images(2, (6, 7, 3), seed=0), [3, 1, 1, 1])


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
    whole = function(IMAGES, seed)
    parts = [
        function(part, seed, shard=(index, 3))
        for index, part in enumerate(np.split(IMAGES, 3))
    ]
    np.testing.assert_array_equal(tf.concat(parts, 0), whole)


def test_functions_that_know_no_parts_draw_for_each():
    def brighter(images, seed):
        more = tf.random.stateless_uniform([len(images), 1, 1, 1], seed, 0, 99)
        return images + tf.cast(more, images.dtype)

    make = functools.partial(
        batch_views, IMAGES[:2] // 4, seed=1, step=2, standard=brighter
    )
    parts = [make(shard=(index, 2)) for index in (0, 1, 0)]
    np.testing.assert_array_equal(parts[0], parts[2])
    assert not np.array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], make())


@pytest.mark.parametrize(
    "shard", [2, (2, 2), (-1, 2), (0, 0), (0, 1.5), (0, 1, 2)]
)
def test_refuses_what_is_no_part(shard):
    call = functools.partial(shards.checked, shard)
    assert_usage_error(call, f"shard={shard!r} must be (index, count)")


def refused(function, **options):
    """A call that is refused, unless the images already are."""
    images = options.pop("images", IMAGES)
    return lambda: function(images, [0, 0], **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        *(
            (refused(augment.augmix_views, **{name: value}), words)
            for name, value, words in [
                ("severity", 0.05, "severity must be a number from 0.1 to 10"),
                ("severity", 11, "got 11;"),
                ("severity", "3", "got '3';"),
                ("severity", float("nan"), "got nan;"),
                ("width", 0, "width must be a whole number of chains, at"),
                ("width", 2.5, "got 2.5;"),
                ("depth", 0, "depth must be a whole number, at least 1, or -1"),
                ("depth", -2, "got -2"),
                ("alpha", 0, "alpha must be a positive number, got 0"),
                ("alpha", float("inf"), "got inf"),
                ("num_views", 0, "AugMix num_views must be"),
            ]
        ),
        (refused(augment.gaussian_views, level=-1), "least 0, got -1"),
        (refused(augment.gaussian_views, level=float("inf")), "got inf"),
        (refused(augment.gaussian_views, level="2"), "got '2'"),
        (refused(augment.gaussian_views, num_views=0), "num_views must be"),
        (refused(augment.auto_augment_views, policy="mnist"), "policy 'mnist'"),
        (refused(augment.rand_augment_views, num_ops=0), "num_ops must be"),
        (refused(augment.rand_augment_views, num_ops=1.5), "got 1.5"),
        (refused(augment.rand_augment_views, magnitude=31), "0 to 30, got 31"),
        (refused(augment.rand_augment_views, magnitude="9"), "got '9'"),
        (refused(augment.trivial_augment_views, cutout=-1), "cutout must be"),
        (refused(augment.trivial_augment_views, num_views=0), "got 0"),
        *(
            (refused(augment.random_crop_flip, padding=value), f"got {value}")
            for value in (-1, 1.5, True)
        ),
        *(
            (refused(function, images=images), words)
            for function in FUNCTIONS.values()
            for images, words in [
                (IMAGES / 255, "takes uint8 images with pixels 0 to 255, got"),
                (IMAGES[0], "takes a batch [B, H, W, C] of known height and"),
                (IMAGES[..., :2], "1 or 3 channels, got shape (6, 6, 7, 2)"),
            ]
        ),
        *(
            (refused(function, shard=3), "shard=3")
            for function in FUNCTIONS.values()
        ),
    ],
)
def test_refuses(call, words):
    assert_usage_error(call, words)


def test_refuses_images_of_unknown_size():
    images = tf.TensorSpec([2, None, 4, 3], tf.uint8)
    crop = tf.function(lambda x: augment.random_crop_flip(x, [0, 0]))
    assert_usage_error(
        lambda: crop.get_concrete_function(images), "height and width"
    )
