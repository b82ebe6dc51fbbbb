"""Preprocess: its words, and its pixels against Pillow and torchvision."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

WORDS = ["as_stored", "resize256-crop224", "resize224", "crop224"]


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


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_given_back(word):
    assert str(Preprocess.parse(word)) == word
    assert Preprocess.parse(Preprocess.parse(word)) == Preprocess.parse(word)


@pytest.mark.parametrize(
    ("word", "side"), list(zip(WORDS, [None, 224, 224, 224]))
)
def test_side(word, side):
    assert Preprocess.parse(word).side == side


@pytest.mark.parametrize(
    "word",
    [
        "",
        "-",
        "resize",
        "resize256-",
        "-crop224",
        "resize256crop224",
        "crop224-resize256",
        "resize0",
        "resize-1",
        "Resize256-crop224",
        "resize256-crop224 ",
        "resize2.5",
        "none",
        None,
        224,
    ],
)
def test_other_words_are_refused(word):
    with pytest.raises(UsageError) as caught:
        Preprocess.parse(word)
    message = str(caught.value)
    assert repr(word) in message and "resize256-crop224" in message
    assert "\n" not in message


def test_a_crop_larger_than_the_resize_is_refused():
    with pytest.raises(UsageError, match="crops 256 pixels"):
        Preprocess.parse("resize224-crop256")


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
    preprocess = Preprocess(*rule)
    made = preprocess.apply(image)
    assert made.dtype == tf.uint8
    expected = torchvision(image, *rule)
    assert made.shape == expected.shape
    error = made.numpy().astype(int) - expected
    assert np.abs(error).max() <= 1
    assert (error != 0).mean() < 0.25
    # Pillow's first rounding is upwards.
    assert -0.15 < error.mean() < 0.02


@pytest.mark.parametrize("size", [(224, 301), (225, 224), (226, 227)])
def test_crop_begins_where_torchvision_begins(size):
    """Odd rests: 77 -> 38, 1 -> 0, 3 -> 2 (half goes to the even number)."""
    image = noise(*size, 3)
    made = Preprocess.parse("crop224").apply(image)
    np.testing.assert_array_equal(made, torchvision(image, crop=224))


@pytest.mark.parametrize("size", [(333, 500), (500, 375), (100, 299)])
def test_longer_side_is_truncated(size):
    """A crop at the end of the longer side shows how long it became."""
    ramp = np.broadcast_to(np.arange(size[1]) % 256, size).astype(np.uint8)
    image = np.repeat(ramp[..., None], 3, axis=-1)
    made = Preprocess(64, 64).apply(image).numpy().astype(int)
    assert np.abs(made - torchvision(image, 64, 64)).max() <= 1


def test_what_has_the_size_already_is_untouched():
    image = noise(224, 224, 3)
    for word in ("as_stored", "resize224", "resize224-crop224", "crop224"):
        made = Preprocess.parse(word).apply(image)
        np.testing.assert_array_equal(made, image)


@pytest.mark.parametrize("word", ["resize40-crop32", "resize32", "crop32"])
def test_batches_and_graphs_give_the_same(word):
    preprocess = Preprocess.parse(word)
    images = noise(3, 50, 37, 3)
    expected = np.stack([preprocess.apply(image) for image in images])
    np.testing.assert_array_equal(preprocess.apply(images), expected)
    unknown = tf.TensorSpec([None, None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    np.testing.assert_array_equal(traced(images), expected)
    output = traced.get_concrete_function().output_shapes
    assert output.as_list() == [None, 32, 32, 3]


def test_an_image_smaller_than_the_crop_is_refused():
    preprocess = Preprocess.parse("crop32")
    with pytest.raises(UsageError, match="31 x 40, too small for crop32"):
        preprocess.apply(noise(31, 40, 3))
    unknown = tf.TensorSpec([None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(noise(31, 40, 3))


# Splits of files


def save(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(*size, 3, seed=seed)).save(path)
    return path


@pytest.mark.parametrize("word", ["resize40-crop32", "resize32", "crop32"])
def test_files(word, tmp_path):
    sizes = [(50, 37), (33, 80), (32, 32)]
    paths = [
        save(tmp_path / f"{i}.png", size, seed=i)
        for i, size in enumerate(sizes)
    ]
    preprocess = Preprocess.parse(word)
    split = data.FileSplit(paths, range(3), preprocess)
    assert split.preprocess == preprocess
    assert split.image_shape == (32, 32, 3)
    expected = [preprocess.apply(np.asarray(Image.open(p))) for p in paths]
    ((images, _),) = split.batches(3)
    np.testing.assert_array_equal(images, np.stack(expected))
    np.testing.assert_array_equal(split.fetch(tf.range(3)), images)
    part = split.subset(np.array([2, 0]))
    assert part.preprocess == preprocess
    np.testing.assert_array_equal(next(part.batches(2))[0], images[[2, 0]])


def test_a_file_smaller_than_the_crop_is_named(tmp_path):
    paths = [
        save(tmp_path / "a.png", (40, 40)),
        save(tmp_path / "b.png", (30, 90)),
    ]
    split = data.FileSplit(paths, [0, 1], Preprocess(crop=32))
    with pytest.raises(UsageError, match=r"b\.png'.*30 x 90, too small for"):
        list(split.batches(2))


def test_as_stored_needs_a_size(tmp_path):
    path = save(tmp_path / "a.png", (12, 16))
    with pytest.raises(UsageError, match="tells no size"):
        data.FileSplit([path], [0], Preprocess())
    split = data.FileSplit([path], [0], (12, 16))
    assert str(split.preprocess) == "as_stored"
    assert str(data.FileSplit([path], [0], 8).preprocess) == "resize8-crop8"


# Datasets


def make_folder(root):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            save(root / split / name / "0.png", (50, 37))
    return root


def test_a_folder_is_brought_to_size(tmp_path):
    root = make_folder(tmp_path)
    dataset = data.load("folder", data_dir=root, preprocess="resize40-crop32")
    assert dataset.image_shape == (32, 32, 3)
    for split in (dataset.train, dataset.test):
        assert str(split.preprocess) == "resize40-crop32"
    (path, *_), image = dataset.test.paths, next(dataset.test.batches(1))[0][0]
    expected = torchvision(np.asarray(Image.open(path)), 40, 32)
    assert np.abs(image.astype(int) - expected).max() <= 1
    stored = data.load("folder", data_dir=root, preprocess="as_stored")
    assert stored.image_shape == (50, 37, 3)
    same = data.load(
        "folder", data_dir=root, image_size=32, preprocess="resize40-crop32"
    )
    assert same.image_shape == (32, 32, 3)


@pytest.mark.parametrize("word", ["resize40-crop32", "as_stored"])
def test_a_folder_refuses_two_sizes(word, tmp_path):
    with pytest.raises(UsageError, match="--image_size=24 does not go with"):
        data.load(
            "folder",
            data_dir=make_folder(tmp_path),
            image_size=24,
            preprocess=word,
        )


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_datasets_of_one_size_refuse_to_be_resized(name, tmp_path):
    with pytest.raises(UsageError, match="images are 32 x 32"):
        data.load(name, preprocess="resize32")


def test_as_stored_changes_nothing():
    stored = data.load("digits", test_examples=10, preprocess="as_stored").test
    plain = data.load("digits", test_examples=10).test
    np.testing.assert_array_equal(stored.images, plain.images)
