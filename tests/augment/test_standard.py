"""The random crop and flip."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.augment import random_crop_flip
from support.augmentation import (
    assert_even_signs,
    assert_law,
    assert_uncorrelated,
)


def numbered(batch, height=6, width=7, channels=3):
    """Images all of whose values differ from 0 and, in an image, by place."""
    places = np.arange(height * width * channels) % 250 + 1
    image = places.reshape([height, width, channels]).astype(np.uint8)
    return np.tile(image, [batch, 1, 1, 1])


def found(image, results, padding):
    """Row, column and mirroring of every crop, `[3, B]`; each must be one."""
    height, width, _ = image.shape
    padded = np.pad(image, [(padding, padding)] * 2 + [(0, 0)])
    places = {}
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            crop = padded[row : row + height, column : column + width]
            for mirrored in (False, True):
                key = (crop[:, ::-1] if mirrored else crop).tobytes()
                places[key] = (row, column, mirrored)
    return np.array([places[each.tobytes()] for each in results]).T


def test_offsets_and_flips_are_uniform_and_independent():
    images = numbered(5000)
    results = random_crop_flip(images, [1, 2], padding=2).numpy()
    rows, columns, mirrored = found(images[0], results, 2)
    for offsets in (rows, columns):
        assert_law(offsets, dict.fromkeys(range(5), 1 / 5))
    assert_even_signs(0.5 - mirrored)
    assert_uncorrelated(rows, columns, mirrored)


def test_last_smaller_batch_of_a_pipeline():
    dataset = tf.data.Dataset.from_tensor_slices(numbered(7)).batch(4)
    _, last = dataset.map(lambda each: random_crop_flip(each, [3, 4]))
    np.testing.assert_array_equal(last, random_crop_flip(numbered(3), [3, 4]))


@pytest.mark.parametrize("channels", [1, 3])
def test_same_everywhere(channels):
    images = numbered(8, channels=channels)
    seed = tf.constant([-3, 4])
    eager = random_crop_flip(images, seed)
    compiled = tf.function(random_crop_flip, jit_compile=True)(images, seed)
    assert eager.dtype == tf.uint8
    np.testing.assert_array_equal(eager, compiled)
    assert not np.array_equal(eager, random_crop_flip(images, [-3, 5]))


def test_neither_crop_nor_flip_unless_asked_for():
    images = numbered(64)
    same = random_crop_flip(images, [0, 0], padding=0, flip=False)
    np.testing.assert_array_equal(same, images)
    for padding, flip in ((0, True), (1, False)):
        results = random_crop_flip(
            images, [0, 0], padding=padding, flip=flip
        ).numpy()
        _, _, mirrored = found(images[0], results, padding)
        assert (0 < sum(mirrored) < 64) == flip
