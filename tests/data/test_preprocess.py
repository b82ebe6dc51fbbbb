"""Preprocess and RandomResizedCrop against Pillow and torchvision."""

import dataclasses
import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image
from scipy import stats

from noisymix_tf import config, data, rng
from noisymix_tf.data import ArraySplit, FileSplit, RandomResizedCrop
from noisymix_tf.data.preprocess import Preprocess, decode_image
from noisymix_tf.training import setup
from support import evaluation_toys
from support import picture_folders as folders
from support.released_sets import noise
from support.usage import assert_usage_error as refused
from support.usage import parsed


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
    preprocess, images = Preprocess.parse(word), noise(3, 50, 37, 3)
    unknown = tf.TensorSpec([None, None, None, 3], tf.uint8)
    traced = tf.function(preprocess.apply, input_signature=[unknown])
    same(traced(images), [preprocess.apply(image) for image in images])
    output = traced.get_concrete_function().output_shapes
    assert output.as_list() == [None, 32, 32, 3]


CROP = RandomResizedCrop()
OPTIONS = [{"mode": "P", "kind": kind} for kind in ("PNG", "GIF", "BMP")]
OPTIONS += [{"mode": "L"}, {"mode": "CMYK"}]
OPTIONS += [{"subsampling": i, "size": (151, 203)} for i in range(3)]
OPTIONS += [{"progressive": True, "restart_marker_blocks": 3}]


@tf.function
def boxes(seeds, size):
    """A box of every seed, `[N, 4]`."""
    box = functools.partial(CROP.box, height=size[0], width=size[1])
    return tf.map_fn(lambda seed: box(rng.stream(0, seed, "crop")), seeds)


@pytest.mark.parametrize("size", [(375, 500), (224, 224), (90, 180)])
def test_boxes_follow_the_published_law(size):
    ours = boxes(tf.range(4000), tf.constant(size)).numpy()
    # Drawn as torchvision's documentation and code describe it.
    draws, theirs, (height, width) = np.random.default_rng(0), [], size
    while len(theirs) < 4000:
        area = height * width * draws.uniform(0.08, 1)
        ratio = np.exp(draws.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = draws.integers(0, height - h + 1)
            left = draws.integers(0, width - w + 1)
            theirs.append((top, left, h, w))

    def figures(box):
        top, left, high, wide = np.transpose(box).astype(float)
        rest = np.maximum(np.array([[size[0]], [size[1]]]) - [high, wide], 1)
        return high * wide, wide / high, top / rest[0], left / rest[1]

    for one, other in zip(figures(ours), figures(theirs)):
        assert stats.ks_2samp(one, other).pvalue > 1e-3
    # Large parts fit only with the image's own ratio; nothing else is tied.
    both = (np.transpose(figures(each)) for each in (ours, theirs))
    ties = [np.nan_to_num(stats.spearmanr(each).statistic) for each in both]
    np.testing.assert_allclose(*ties, atol=0.08)
    # All of the image is reached, and no more.
    assert ours[:, :2].min(axis=0).tolist() == [0, 0]
    assert (ours[:, :2] + ours[:, 2:]).max(axis=0).tolist() == [*size]


def test_where_nothing_fits_the_centre_is_cut_to_an_allowed_ratio():
    centres = {(10, 400): [0, 193, 10, 13], (400, 10): [193, 0, 13, 10]}
    for size, centre in (centres | {(1, 1): [0, 0, 1, 1]}).items():
        assert (boxes(tf.range(50), tf.constant(size)) == centre).numpy().all()


def encoded(kind="JPEG", mode="RGB", size=(150, 200), seed=0, **options):
    pixels = np.array(folders.picture(seed, size, 20))
    pixels[50:75, 50:100] = [250, 10, 90]
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@tf.function(reduce_retracing=True)
def part_and_cut(content, step):
    seed, size = rng.stream(1, step, "crop"), (32, 40)
    part = CROP.decode(content, seed, size, by_python=True)
    return part, CROP.apply(decode_image(content, by_python=True), seed, size)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_part_is_that_part_of_the_whole(options):
    """Of a JPEG no more is decoded; a truncated file is an error."""
    content = encoded(**options)
    for step in tf.range(20):
        same(*part_and_cut(tf.constant(content), step))
    for length in (40, len(content) - 900):
        with pytest.raises(tf.errors.OpError):
            CROP.decode(content[:length], [0, 1], (32, 32))


def test_crops_are_of_their_seed_and_image_and_where_they_are_wanted(tmp_path):
    """Not of their neighbours, and the same of an image in memory."""
    paths = []
    for seed, kind in enumerate(("JPEG", "PNG", "JPEG", "BMP")):
        paths.append(tmp_path / f"{seed}.{kind}")
        paths[-1].write_bytes(encoded(kind, seed=seed))
    files = FileSplit(paths, range(4), image_size=32)
    order, seed = tf.constant([3, 0, 2, 1]), tf.constant([5, 6])
    pixels = [decode_image(tf.io.read_file(p), True) for p in files.paths]
    for split in (files, ArraySplit(np.stack(pixels), range(4))):
        batch = split.fetch(order, CROP, seed).numpy()
        for image, index in zip(batch, order):
            own = tf.random.experimental.stateless_fold_in(seed, index)
            same(image, CROP.apply(pixels[index], own, split.image_shape[:2]))
        other = split.fetch(order, CROP, tf.constant([5, 7])).numpy()
        assert (other != batch).any(axis=(1, 2, 3)).all()
    plain = {"views": "none", "stability": "none", "batch_size": 4}

    def batch(dataset, **options):
        chosen = parsed(config.Config, **plain, **options)
        views = next(iter(setup.views(chosen, dataset)))[0].numpy()
        return set(map(bytes, views))

    replace, toy = dataclasses.replace, evaluation_toys.whole_dataset()
    own = replace(toy, train=files, padding=0)
    resized = replace(own, train_crop="resized")
    whole = set(map(bytes, files.fetch(tf.range(4)).numpy()))
    # What a flag does not say, the dataset does.
    assert batch(own) == batch(resized, train_crop="pad") == whole
    crops = batch(resized)
    assert batch(own, train_crop="resized") == crops and not crops & whole
