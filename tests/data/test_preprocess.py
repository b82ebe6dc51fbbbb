"""Preprocess: its words, and its pixels against Pillow and torchvision."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data.preprocess import Preprocess
from support import picture_folders as folders
from support.released_sets import noise
from support.usage import assert_usage_error


def torchvision(image, resize=None, crop=None):
    """What torchvision's Resize and CenterCrop make of a Pillow image."""
    image = Image.fromarray(image)
    width, height = image.size
    if resize:
        longer = int(resize * max(image.size) / min(image.size))
        size = (resize, longer) if width <= height else (longer, resize)
        size = size if crop else (resize, resize)
        image = image.resize(size, Image.Resampling.BILINEAR)
    if crop:
        width, height = image.size
        top = int(round((height - crop) / 2.0))  # noqa: RUF046
        left = int(round((width - crop) / 2.0))  # noqa: RUF046
        image = image.crop((left, top, left + crop, top + crop))
    return np.asarray(image).astype(int)


def test_a_word_is_given_back_and_tells_the_side_and_others_are_refused():
    words = {"as_stored": None, "resize256-crop224": 224}
    for word, side in {**words, "resize24": 24, "crop24": 24}.items():
        assert str(Preprocess.parse(word)) == word
        assert Preprocess.parse(Preprocess.parse(word)).side == side
    bad = "- resize -crop2 resize2crop2 crop2-resize2 resize0 Resize2 resize2.5"
    for word in (*bad.split(), "", "crop2 ", None, 224):
        words = (repr(word), "such as resize256-crop224")
        assert_usage_error(lambda w=word: Preprocess.parse(w), *words)
    larger = lambda: Preprocess.parse("resize224-crop256")  # noqa: E731
    assert_usage_error(larger, "crops 256 pixels")


@pytest.mark.parametrize("size", [(224, 224), (375, 500), (500, 333), (64, 90)])
@pytest.mark.parametrize("rule", [(256, 224), (224, None), (32, 32), (24, 24)])
def test_pixels_are_those_of_pillow_within_one_level(size, rule):
    """The worst case for two roundings instead of one is noise."""
    image = noise(*size, 3)
    made = Preprocess(*rule).apply(image)
    assert made.dtype == tf.uint8
    expected = torchvision(image, *rule)
    assert made.shape == expected.shape
    error = made.numpy().astype(int) - expected
    assert np.abs(error).max() <= 1
    assert (error != 0).mean() < 0.25
    # Pillow's first rounding is upwards.
    assert -0.15 < error.mean() < 0.02


@pytest.mark.parametrize(
    "rule, size, tolerance",
    [
        # Odd rests: 77 -> 38, 1 -> 0, 3 -> 2 (half goes to the even number).
        ((None, 224), (225, 301), 0),
        ((None, 224), (226, 227), 0),
        ((224, None), (224, 224), 0),
        ((224, 224), (224, 224), 0),
        ((None, None), (24, 31), 0),
        ((64, 64), (333, 500), 1),  # how long the longer side becomes
        ((64, 64), (100, 299), 1),
    ],
)
def test_a_crop_begins_where_torchvision_begins(rule, size, tolerance):
    """And what is not resized is untouched."""
    image = np.zeros([*size, 3], np.uint8)
    image[..., 0] = np.arange(size[1])
    image[..., 1] = np.arange(size[0])[:, None]
    made = Preprocess(*rule).apply(image).numpy().astype(int)
    assert np.abs(made - torchvision(image, *rule)).max() <= tolerance


@pytest.mark.parametrize("word", ["resize40-crop32", "resize32", "crop32"])
def test_batches_graphs_and_files_give_the_same(word, tmp_path):
    preprocess = Preprocess.parse(word)
    images = noise(3, 50, 37, 3)
    expected = np.stack([preprocess.apply(image) for image in images])
    np.testing.assert_array_equal(preprocess.apply(images), expected)
    unknown = tf.TensorSpec([None, None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    np.testing.assert_array_equal(traced(images), expected)
    output = traced.get_concrete_function().output_shapes
    assert output.as_list() == [None, 32, 32, 3]
    images = [noise(*size, 3) for size in [(50, 37), (33, 80), (32, 32)]]
    paths = [tmp_path / f"{place}.png" for place in range(3)]
    for item in zip(paths, images):
        folders.save(*item)
    part = data.FileSplit(paths, range(3), preprocess).subset([2, 0])
    assert part.preprocess == preprocess
    assert part.image_shape == (32, 32, 3)
    ((found, _),) = part.batches(3)
    expected = [preprocess.apply(images[i]) for i in (2, 0)]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(part.fetch(tf.range(2)), found)


def test_an_image_smaller_than_the_crop_is_refused(tmp_path):
    preprocess, small = Preprocess.parse("crop32"), noise(31, 40, 3)
    words = "31 x 40, too small for crop32"
    assert_usage_error(lambda: preprocess.apply(small), words)
    unknown = tf.TensorSpec([None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(small)
    folders.save(tmp_path / "b.png", small)
    split = data.FileSplit([tmp_path / "b.png"], [0], preprocess)
    assert_usage_error(lambda: list(split.batches(2)), "b.png'", words)


def test_a_folder_is_brought_to_size(tmp_path):
    root = folders.make(tmp_path, 1, 1, (50, 37))
    for size, word, said, shape in (
        (32, "resize40-crop32", "resize40-crop32", (32, 32, 3)),
        (None, None, "as_stored", (50, 37, 3)),
        (8, None, "resize8-crop8", (8, 8, 3)),
    ):
        options = {"image_size": size, "preprocess": word}
        dataset = data.load("folder", data_dir=root, **options)
        assert dataset.image_shape == shape
        for split in (dataset.train, dataset.test):
            assert str(split.preprocess) == said
