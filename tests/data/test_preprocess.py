"""Preprocess: its words, and its pixels against Pillow and torchvision."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data.preprocess import Preprocess
from support import picture_folders as folders
from support.released_sets import noise
from support.usage import assert_usage_error as refused


def test_words_tell_the_side_and_others_and_small_images_are_refused(tmp_path):
    words = {"as_stored": None, "resize256-crop224": 224}
    for word, side in {**words, "resize24": 24, "crop24": 24}.items():
        assert str(Preprocess.parse(word)) == word
        assert Preprocess.parse(Preprocess.parse(word)).side == side
    bad = "- resize -crop2 resize2crop2 crop2-resize2 resize0 Resize2 resize2.5"
    for word in (*bad.split(), "", "crop2 ", None, 224):
        said = refused(lambda w=word: Preprocess.parse(w), repr(word))
        assert "such as resize256-crop224" in said
    refused(lambda: Preprocess.parse("resize2-crop56"), "crops 56 pixels")
    preprocess, small = Preprocess.parse("crop32"), noise(31, 40, 3)
    words = "31 x 40, too small for crop32"
    refused(lambda: preprocess.apply(small), words)
    unknown = tf.TensorSpec([None, None, 3], tf.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(preprocess.apply, input_signature=[unknown])(small)
    folders.save(tmp_path / "b.png", small)
    split = data.FileSplit([tmp_path / "b.png"], [0], preprocess)
    refused(lambda: list(split.batches(2)), "b.png'", words)


RULES = [(256, 224), (224, None), (24, 24), (None, 224), (None, None)]
# Without a resize the rests are halves of odd numbers that go to even ones.
SIZES = [(224, 224), (375, 500), (500, 333), (226, 301)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rule", RULES)
def test_pixels_are_those_of_pillow_within_one_level(size, rule):
    """Noise is the worst case for two roundings, and crops elsewhere."""
    image = noise(*size, 3)
    made = Preprocess(*rule).apply(image)
    # What torchvision's Resize and CenterCrop make of a Pillow image.
    (resize, crop), expected = rule, Image.fromarray(image)
    height, width = size
    if resize:
        longer = int(resize * max(size) / min(size))
        large = (resize, longer) if width <= height else (longer, resize)
        width, height = large if crop else (resize, resize)
        expected = expected.resize((width, height), Image.BILINEAR)
    if crop:
        top = int(round((height - crop) / 2.0))  # noqa: RUF046
        left = int(round((width - crop) / 2.0))  # noqa: RUF046
        expected = expected.crop((left, top, left + crop, top + crop))
    expected = np.asarray(expected).astype(int)
    assert made.dtype == tf.uint8 and made.shape == expected.shape
    error = made.numpy().astype(int) - expected
    is_resized = rule[0] and size != (rule[0], rule[0])
    assert np.abs(error).max() <= (1 if is_resized else 0)
    assert (error != 0).mean() < 0.25
    # Pillow's first rounding is upwards.
    assert -0.15 < error.mean() < 0.02


@pytest.mark.parametrize("word", ["resize40-crop32", "resize32", "crop32"])
def test_batches_and_graphs_give_the_same(word):
    preprocess = Preprocess.parse(word)
    images = noise(3, 50, 37, 3)
    expected = np.stack([preprocess.apply(image) for image in images])
    same(preprocess.apply(images), expected)
    unknown = tf.TensorSpec([None, None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    same(traced(images), expected)
    output = traced.get_concrete_function().output_shapes
    assert output.as_list() == [None, 32, 32, 3]
