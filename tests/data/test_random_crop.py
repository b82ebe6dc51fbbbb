"""RandomResizedCrop: its law, its pixels, and that a part is decoded alone."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from noisymix_tf import config, rng
from noisymix_tf.data import ArraySplit, FileSplit, RandomResizedCrop
from noisymix_tf.data.decode import decode_image
from noisymix_tf.training import setup
from support import evaluation_toys, picture_folders
from support.usage import assert_usage_error

CROP = RandomResizedCrop()


@tf.function
def draw(number, height, width):
    return tf.map_fn(
        lambda step: CROP.box(rng.stream(0, step, "crop"), height, width),
        tf.range(number),
    )


def boxes(*numbers):
    """Boxes of many seeds, NumPy `[number, 4]`."""
    return draw(*map(tf.constant, numbers)).numpy()


def published(number, height, width, seed=0):
    """Boxes drawn as torchvision's documentation and code describe it."""
    draws = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        for _ in range(10):
            area = height * width * draws.uniform(0.08, 1)
            ratio = np.exp(draws.uniform(np.log(3 / 4), np.log(4 / 3)))
            w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top = draws.integers(0, height - h + 1)
                left = draws.integers(0, width - w + 1)
                found.append((top, left, h, w))
                break
    return np.array(found)


@pytest.mark.parametrize("size", [(375, 500), (224, 224), (90, 180)])
def test_boxes_follow_the_published_law(size):
    ours, theirs = boxes(4000, *size), published(4000, *size)

    def figures(box):
        top, left, high, wide = box.T.astype(float)
        rest = np.maximum(np.array([[size[0]], [size[1]]]) - [high, wide], 1)
        return high * wide, wide / high, top / rest[0], left / rest[1]

    for one, other in zip(figures(ours), figures(theirs)):
        assert stats.ks_2samp(one, other).pvalue > 1e-3
    # Large parts fit only with the image's own ratio; nothing else is tied.
    both = (np.transpose(figures(each)) for each in (ours, theirs))
    ties = [np.nan_to_num(stats.spearmanr(each).statistic) for each in both]
    np.testing.assert_allclose(*ties, atol=0.08)
    # All of the image is reached, and no more.
    top, left, high, wide = ours.T
    assert top.min() == 0 and left.min() == 0
    assert ((top + high).max(), (left + wide).max()) == size


@pytest.mark.parametrize(
    "size, centre",
    [
        # Cut to the largest part of a ratio of 4/3 or 3/4, as torchvision.
        ((10, 400), (0, 193, 10, 13)),
        ((400, 10), (193, 0, 13, 10)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_where_nothing_fits_the_centre_is_taken(size, centre):
    assert set(map(tuple, boxes(50, *size))) == {centre}


# Pixels


def photograph(seed=0, size=(150, 200)):
    """A random image with edges, smooth parts and colours."""
    pixels = np.array(picture_folders.picture(seed, size, 20))
    pixels[50:75, 50:100] = [250, 10, 90]
    return Image.fromarray(pixels)


def encoded(kind="JPEG", mode="RGB", size=(150, 200), **options):
    buffer = io.BytesIO()
    photograph(size=size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@tf.function(reduce_retracing=True)
def part_and_cut(content, step):
    seed = rng.stream(1, step, "crop")
    whole = decode_image(content, has_bmp=True)
    return (
        CROP.decode(content, seed, (32, 40), has_bmp=True),
        CROP.apply(whole, seed, (32, 40)),
    )


@pytest.mark.parametrize(
    "options",
    [
        *({"subsampling": kind, "size": (151, 203)} for kind in (0, 1, 2)),
        {"progressive": True, "restart_marker_blocks": 3},
        *({"mode": mode} for mode in ("L", "CMYK")),
        *({"mode": "P", "kind": kind} for kind in ("PNG", "GIF", "BMP")),
    ],
    ids=str,
)
def test_a_part_is_that_part_of_the_whole(options):
    """Of a JPEG no more is decoded."""
    content = tf.constant(encoded(**options))
    for step in tf.range(20):
        np.testing.assert_array_equal(*part_and_cut(content, step))


def test_a_truncated_file_is_an_error():
    content = encoded()
    for length in (40, len(content) - 900):
        with pytest.raises(tf.errors.OpError):
            CROP.decode(content[:length], [0, 1], (32, 32))


# Splits


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / name for name in ("a.jpg", "b.png", "c.jpg", "d.bmp")]
    for seed, path in enumerate(paths):
        photograph(seed).save(path)
    return FileSplit(paths, range(4), image_size=32)


def test_the_part_depends_on_seed_and_image_and_not_on_its_neighbours(files):
    """And is the same of an image in memory."""
    order, seed = tf.constant([3, 0, 2, 1]), tf.constant([5, 6])
    batch = files.fetch_crops(order, seed, CROP).numpy()
    pixels = [decode_image(tf.io.read_file(p), True) for p in files.paths]
    memory = ArraySplit(np.stack(pixels), range(4))
    whole = memory.fetch_crops(order, seed, CROP)
    for place, index in enumerate(order):
        own = tf.random.experimental.stateless_fold_in(seed, index)
        expected = CROP.apply(pixels[index], own, (32, 32))
        np.testing.assert_array_equal(batch[place], expected)
        expected = CROP.apply(pixels[index], own, (150, 200))
        np.testing.assert_array_equal(whole[place], expected)
    other = files.fetch_crops(order, tf.constant([5, 7]), CROP).numpy()
    assert (other != batch).any(axis=(1, 2, 3)).all()


def test_the_flag_and_what_the_dataset_wants(files):
    def batch(dataset, **options):
        chosen = config.Config(
            data=config.DataConfig(**options),
            method=config.MethodConfig(views="none", stability="none"),
            optimizer=config.OptimizerConfig(batch_size=4),
        )
        views = next(iter(setup.views(chosen, dataset)))[0].numpy()
        return set(map(bytes, views))

    own = evaluation_toys.whole_dataset()
    own = dataclasses.replace(own, train=files, padding=0)
    resized = dataclasses.replace(own, train_crop="resized")
    whole = set(map(bytes, files.fetch(tf.range(4)).numpy()))
    crops = batch(own, train_crop="resized")
    # What a flag does not say, the dataset does.
    assert batch(own) == batch(resized, train_crop="pad") == whole
    assert batch(resized) == crops and not crops & whole
    odd = config.DataConfig(crop_padding=2, train_crop="resized")
    assert_usage_error(lambda: setup.dataset(odd), "--crop_padding=2 belongs")
