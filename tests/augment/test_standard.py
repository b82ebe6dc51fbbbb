"""The random crop and flip."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.augment import random_crop_flip
from noisymix_tf.errors import UsageError


def numbered(batch, height=6, width=7, channels=3):
    """Images all of whose values differ from 0 and, in an image, by place."""
    places = np.arange(height * width * channels) % 250 + 1
    image = places.reshape([height, width, channels]).astype(np.uint8)
    return np.tile(image, [batch, 1, 1, 1])


def find(image, result, padding):
    """The `(row, column, mirrored)` by which the result was cropped."""
    height, width, _ = image.shape
    margin = (padding, padding)
    padded = np.pad(image, [margin, margin, (0, 0)])
    return [
        (row, column, mirrored)
        for row in range(2 * padding + 1)
        for column in range(2 * padding + 1)
        for mirrored in (False, True)
        if np.array_equal(
            padded[row : row + height, column : column + width][
                :, :: -1 if mirrored else 1
            ],
            result,
        )
    ]


def test_offsets_and_flips_are_uniform():
    padding, batch = 2, 5000
    images = numbered(batch)
    results = random_crop_flip(images, [1, 2], padding=padding).numpy()
    found = [find(images[0], result, padding) for result in results]
    assert all(len(each) == 1 for each in found)
    rows, columns, mirrored = np.array([each[0] for each in found]).T
    for offsets in (rows, columns):
        counts = np.bincount(offsets, minlength=2 * padding + 1)
        sigma = np.sqrt(batch * 0.2 * 0.8)
        assert np.all(np.abs(counts - batch / 5) < 4 * sigma)
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(batch)
    # Independent draws: correlations of 5000 pairs within 4 sigma.
    correlations = np.corrcoef([rows, columns, mirrored])[np.triu_indices(3, 1)]
    assert np.all(np.abs(correlations) < 4 / np.sqrt(batch))


@pytest.mark.parametrize("channels", [1, 3])
def test_same_everywhere(channels):
    images = numbered(8, channels=channels)
    seed = tf.constant([3, 4])
    eager = random_crop_flip(images, seed)
    compiled = tf.function(random_crop_flip, jit_compile=True)(images, seed)
    dataset = tf.data.Dataset.from_tensors(images)
    (mapped,) = dataset.map(lambda each: random_crop_flip(each, seed))
    assert eager.dtype == tf.uint8
    np.testing.assert_array_equal(eager, compiled)
    np.testing.assert_array_equal(eager, mapped)
    assert not np.array_equal(eager, random_crop_flip(images, [3, 5]))


def test_last_smaller_batch_in_a_pipeline():
    dataset = tf.data.Dataset.from_tensor_slices(numbered(7)).batch(4)
    sizes = [
        len(batch)
        for batch in dataset.map(lambda each: random_crop_flip(each, [0, 0]))
    ]
    assert sizes == [4, 3]


def test_padding_zero():
    images = numbered(64)
    same = random_crop_flip(images, [0, 0], padding=0, flip=False)
    np.testing.assert_array_equal(same, images)
    flipped = random_crop_flip(images, [0, 0], padding=0).numpy()
    mirrored = [find(images[0], each, 0)[0][2] for each in flipped]
    assert 0 < sum(mirrored) < 64


def test_no_flip():
    images = numbered(64)
    results = random_crop_flip(images, [0, 0], padding=1, flip=False).numpy()
    assert not any(find(images[0], each, 1)[0][2] for each in results)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros([2, 4, 4, 3], np.float32), {}, "uint8 .* got float32"),
        (np.zeros([4, 4, 3], np.uint8), {}, r"\[B, H, W, C\]"),
        (np.zeros([2, 4, 4, 2], np.uint8), {}, "1 or 3 channels"),
        (numbered(2), {"padding": -1}, "padding .* got -1"),
        (numbered(2), {"padding": 1.5}, "padding .* got 1.5"),
        (numbered(2), {"padding": True}, "padding .* got True"),
    ],
)
def test_refuses(images, options, message):
    with pytest.raises(UsageError, match=message) as error:
        random_crop_flip(images, [0, 0], **options)
    assert "\n" not in str(error.value)


def test_refuses_unknown_size():
    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([2, None, 4, 3], tf.uint8)],
    )
    def crop(images):
        return random_crop_flip(images, [0, 0])

    with pytest.raises(UsageError, match="known height and width"):
        crop.get_concrete_function()
