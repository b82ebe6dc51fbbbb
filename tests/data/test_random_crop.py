"""RandomResizedCrop: its law, its pixels, and that a part is decoded alone."""

import dataclasses
import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image
from scipy import stats

from noisymix_tf import config, rng
from noisymix_tf.data import ArraySplit, FileSplit, RandomResizedCrop
from noisymix_tf.data.preprocess import decode_image
from noisymix_tf.training import setup
from support import evaluation_toys, picture_folders
from support.parsing import parsed

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
    for size, centre in (
        ((10, 400), [0, 193, 10, 13]),
        ((400, 10), [193, 0, 13, 10]),
        ((1, 1), [0, 0, 1, 1]),
    ):
        assert (boxes(tf.range(50), tf.constant(size)) == centre).numpy().all()


def encoded(kind="JPEG", mode="RGB", size=(150, 200), seed=0, **options):
    pixels = np.array(picture_folders.picture(seed, size, 20))
    pixels[50:75, 50:100] = [250, 10, 90]
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@tf.function(reduce_retracing=True)
def part_and_cut(content, step):
    seed, size = rng.stream(1, step, "crop"), (32, 40)
    part = CROP.decode(content, seed, size, has_bmp=True)
    return part, CROP.apply(decode_image(content, has_bmp=True), seed, size)


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
        batch = split.fetch_crops(order, seed, CROP).numpy()
        for image, index in zip(batch, order):
            own = tf.random.experimental.stateless_fold_in(seed, index)
            same(image, CROP.apply(pixels[index], own, split.image_shape[:2]))
        other = split.fetch_crops(order, tf.constant([5, 7]), CROP).numpy()
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
