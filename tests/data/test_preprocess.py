"""Preprocess: its words, and its pixels against Pillow and torchvision."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data.preprocess import Preprocess
from support import picture_folders as folders
from support.usage import assert_usage_error

RULES = ["resize40-crop32", "resize32", "crop32"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def torchvision(image, resize=None, crop=None):
    """What torchvision's Resize and CenterCrop make of a Pillow image."""
    image = Image.fromarray(image)
    width, height = image.size
    if resize and crop:
        short, long = sorted((width, height))
        longer = int(resize * long / short)
        size = (resize, longer) if width <= height else (longer, resize)
        image = image.resize(size, Image.Resampling.BILINEAR)
    elif resize:
        image = image.resize((resize, resize), Image.Resampling.BILINEAR)
    if crop:
        width, height = image.size
        top = int(round((height - crop) / 2.0))  # noqa: RUF046
        left = int(round((width - crop) / 2.0))  # noqa: RUF046
        image = image.crop((left, top, left + crop, top + crop))
    return np.asarray(image).astype(int)


def test_a_word_is_given_back_and_tells_the_side():
    words = ["as_stored", "resize256-crop224", "resize224", "crop224"]
    for word, side in zip(words, [None, 224, 224, 224]):
        assert str(Preprocess.parse(word)) == word
        assert Preprocess.parse(Preprocess.parse(word)).side == side


@pytest.mark.parametrize(
    "word",
    [
        *("", "-", "resize", "resize256-", "-crop224", "resize256crop224"),
        *("crop224-resize256", "resize0", "resize-1", "Resize256-crop224"),
        *("resize256-crop224 ", "resize2.5", "none", None, 224),
    ],
)
def test_other_words_are_refused(word):
    words = (repr(word), "such as resize256-crop224")
    assert_usage_error(lambda: Preprocess.parse(word), *words)


def test_a_crop_larger_than_the_resize_is_refused():
    words = "crops 256 pixels"
    assert_usage_error(lambda: Preprocess.parse("resize224-crop256"), words)


@pytest.mark.parametrize(
    "size",
    [(224, 224), (375, 500), (500, 333), (261, 229), (64, 90), (31, 40)],
)
@pytest.mark.parametrize(
    "rule", [(256, 224), (224, None), (32, 32), (24, 24)], ids=str
)
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
    ("rule", "size"),
    [
        # Odd rests: 77 -> 38, 1 -> 0, 3 -> 2 (half goes to the even number).
        ((None, 224), (224, 301)),
        ((None, 224), (225, 224)),
        ((None, 224), (226, 227)),
        ((224, None), (224, 224)),
        ((224, 224), (224, 224)),
        ((None, None), (24, 31)),
    ],
)
def test_what_is_not_resized_is_untouched(rule, size):
    """And a crop begins where torchvision begins."""
    image = noise(*size, 3)
    made = Preprocess(*rule).apply(image)
    np.testing.assert_array_equal(made, torchvision(image, *rule))


@pytest.mark.parametrize("size", [(333, 500), (500, 375), (100, 299)])
def test_longer_side_is_truncated(size):
    """A crop at the end of the longer side shows how long it became."""
    ramp = np.broadcast_to(np.arange(size[1]) % 256, size).astype(np.uint8)
    image = np.repeat(ramp[..., None], 3, axis=-1)
    made = Preprocess(64, 64).apply(image).numpy().astype(int)
    assert np.abs(made - torchvision(image, 64, 64)).max() <= 1


@pytest.mark.parametrize("word", RULES)
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
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, images):
        folders.save(path, image)
    split = data.FileSplit(paths, range(3), preprocess)
    assert split.image_shape == (32, 32, 3)
    expected = np.stack([preprocess.apply(image) for image in images])
    ((found, _),) = split.batches(3)
    np.testing.assert_array_equal(found, expected)
    part = split.subset(np.array([2, 0]))
    assert split.preprocess == part.preprocess == preprocess
    np.testing.assert_array_equal(part.fetch(tf.range(2)), found[[2, 0]])


def test_an_image_smaller_than_the_crop_is_refused(tmp_path):
    preprocess = Preprocess.parse("crop32")
    small = noise(31, 40, 3)
    words = "31 x 40, too small for crop32"
    assert_usage_error(lambda: preprocess.apply(small), words)
    unknown = tf.TensorSpec([None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(small)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    folders.save(paths[0], noise(40, 40, 3))
    folders.save(paths[1], small)
    split = data.FileSplit(paths, [0, 1], preprocess)
    assert_usage_error(lambda: list(split.batches(2)), "b.png'", words)


def test_a_folder_is_brought_to_size(tmp_path):
    root = folders.make(tmp_path, 1, 1, (50, 37))
    dataset = data.load("folder", data_dir=root, preprocess="resize40-crop32")
    assert dataset.image_shape == (32, 32, 3)
    for split in (dataset.train, dataset.test):
        assert str(split.preprocess) == "resize40-crop32"
        image = next(split.batches(1))[0][0]
        expected = torchvision(folders.read(split.paths[0]), 40, 32)
        assert np.abs(image.astype(int) - expected).max() <= 1
    options = {"image_size": 32, "preprocess": "resize40-crop32"}
    same = data.load("folder", data_dir=root, **options)
    assert same.train.identity == dataset.train.identity
    for options, shape, word in (
        ({"preprocess": "as_stored"}, (50, 37, 3), "as_stored"),
        ({}, (50, 37, 3), "as_stored"),
        ({"image_size": 8}, (8, 8, 3), "resize8-crop8"),
    ):
        dataset = data.load("folder", data_dir=root, **options)
        assert dataset.image_shape == shape
        assert str(dataset.test.preprocess) == word
