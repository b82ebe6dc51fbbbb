"""RandomResizedCrop: its law, its pixels, and that a part is decoded alone."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

from noisymix_tf import rng
from noisymix_tf.config import (
    Config,
    DataConfig,
    MethodConfig,
    OptimizerConfig,
)
from noisymix_tf.data import (
    ArraySplit,
    Dataset,
    FileSplit,
    RandomResizedCrop,
)
from noisymix_tf.data.decode import decode_image
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup

CROP = RandomResizedCrop()


def photograph(height=150, width=200, seed=0):
    """A random image with edges, smooth parts and colours."""
    draws = np.random.default_rng(seed)
    small = draws.integers(0, 256, [height // 8, width // 8, 3], np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.BICUBIC)
    pixels = np.array(image)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = [250, 10, 90]
    return Image.fromarray(pixels)


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def boxes(number, height, width, crop=CROP):
    """Boxes of many seeds, NumPy `[number, 4]`."""
    draw = tf.function(
        lambda: tf.map_fn(
            lambda step: crop.box(rng.stream(0, step, "crop"), height, width),
            tf.range(number),
        )
    )
    return draw().numpy()


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


# The law


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
    tied, others_tied = (
        np.nan_to_num(stats.spearmanr(np.array(figures(each)).T).statistic)
        for each in (ours, theirs)
    )
    np.testing.assert_allclose(tied, others_tied, atol=0.08)


def test_boxes_lie_inside_and_keep_the_ranges():
    top, left, high, wide = boxes(4000, 375, 500).T
    assert top.min() == 0 and left.min() == 0
    assert (top + high).max() == 375 and (left + wide).max() == 500
    shares = high * wide / (375 * 500)
    assert 0.079 < shares.min() < 0.085 and 0.95 < shares.max() <= 1
    ratios = wide / high
    assert 0.74 < ratios.min() < 0.76 and 1.32 < ratios.max() < 1.35


@pytest.mark.parametrize(
    ("size", "centre"),
    [
        # Cut to the largest part of a ratio of 4/3 or 3/4, as torchvision.
        ((10, 400), (0, 193, 10, 13)),
        ((400, 10), (193, 0, 13, 10)),
    ],
)
def test_where_nothing_fits_the_centre_is_taken(size, centre):
    assert set(map(tuple, boxes(50, *size))) == {centre}


def test_one_pixel_is_an_image():
    assert set(map(tuple, boxes(5, 1, 1))) == {(0, 0, 1, 1)}


def test_a_box_is_a_function_of_the_seed():
    first, again, other = (
        CROP.box(seed, 375, 500).numpy().tolist()
        for seed in ([3, 4], [3, 4], [3, 5])
    )
    assert first == again != other


# Pixels


@pytest.mark.parametrize("size", [(64, 64), (224, 224), (40, 100)])
def test_pixels_are_those_of_pillow(size):
    image = photograph()
    for step in range(10):
        seed = rng.stream(0, step, "crop")
        ours = CROP.apply(np.array(image), seed, size).numpy().astype(int)
        top, left, high, wide = CROP.box(seed, 150, 200).numpy().tolist()
        part = image.crop((left, top, left + wide, top + high))
        theirs = np.array(part.resize(size[::-1], Image.BILINEAR), int)
        # Pillow rounds to 8 bits between its two passes, TensorFlow does not.
        assert np.abs(ours - theirs).max() <= 1


JPEGS = {
    "420": {"subsampling": 2},
    "422": {"subsampling": 1},
    "444": {"subsampling": 0},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "odd": {"size": (151, 203)},
    "restarts": {"restart_marker_blocks": 3},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_part_of_a_jpeg_is_that_part_of_the_whole(kind):
    options = dict(JPEGS[kind])
    image = photograph(*options.pop("size", (150, 200)))
    image = image.convert(options.pop("mode", "RGB"))
    content = encoded(image, quality=90, **options)
    whole = decode_image(content)

    @tf.function
    def both(step):
        seed = rng.stream(1, step, "crop")
        return (
            CROP.decode(content, seed, (48, 48)),
            CROP.apply(whole, seed, (48, 48)),
        )

    for step in range(20):
        part, cut = both(tf.constant(step))
        np.testing.assert_array_equal(part, cut)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_other_files_are_decoded_whole(kind):
    image = photograph()
    content = encoded(image.convert("P") if kind == "GIF" else image, kind)
    part = CROP.decode(content, [0, 1], (32, 40), has_bmp=kind == "BMP")
    whole = CROP.apply(decode_image(content, True), [0, 1], (32, 40))
    np.testing.assert_array_equal(part, whole)
    assert part.shape == (32, 40, 3) and part.dtype == tf.uint8


def test_a_truncated_file_is_an_error():
    content = encoded(photograph())
    with pytest.raises(tf.errors.OpError):
        CROP.decode(content[:-900], [0, 1], (32, 32))
    with pytest.raises(tf.errors.OpError):
        CROP.decode(content[:40], [0, 1], (32, 32))


# Splits


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / name for name in ("a.jpg", "b.png", "c.jpg", "d.bmp")]
    for seed, path in enumerate(paths):
        photograph(seed=seed).save(path)
    return FileSplit(paths, range(4), image_size=32)


def test_the_part_depends_on_the_image_and_not_on_its_neighbours(files):
    fetch = tf.function(
        lambda indices: files.fetch_crops(indices, [5, 6], CROP)
    )
    batch = fetch(tf.constant([3, 0, 2, 1])).numpy()
    assert batch.shape == (4, 32, 32, 3)
    for place, index in enumerate([3, 0, 2, 1]):
        alone = fetch(tf.constant([index])).numpy()[0]
        np.testing.assert_array_equal(batch[place], alone)
    other = files.fetch_crops(tf.constant([3]), [5, 7], CROP).numpy()
    assert (other != batch[:1]).any()


def test_images_in_memory_get_the_same_parts(files):
    pixels = np.stack(
        [decode_image(tf.io.read_file(p), True) for p in files.paths]
    )
    memory = ArraySplit(pixels, range(4))
    seeds = tf.random.experimental.stateless_fold_in([5, 6], 2)
    part = memory.fetch_crops(tf.constant([2]), [5, 6], CROP)
    assert part.shape == (1, 150, 200, 3)
    np.testing.assert_array_equal(
        part[0], CROP.apply(pixels[2], seeds, (150, 200))
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.5, 0.2)}, r"scale=\(0.5, 0.2\)"),
        ({"scale": (0.5, 1.2)}, "at most 1"),
        ({"ratio": (0, 1)}, r"ratio=\(0, 1\)"),
        ({"tries": 0}, "tries=0"),
    ],
)
def test_mistakes_are_one_line(options, message):
    with pytest.raises(UsageError, match=message):
        RandomResizedCrop(**options)


# Flags


def config(**options):
    return Config(
        data=DataConfig(**options),
        method=MethodConfig(views="none", stability="none"),
        optimizer=OptimizerConfig(batch_size=4),
    )


def batch(config, dataset):
    return next(iter(setup.views(config, dataset)))[0].numpy()


def test_the_flag_and_what_the_dataset_wants(files):
    own = Dataset(
        name="own",
        train=files,
        test=files,
        class_names=tuple("abcd"),
        image_shape=(32, 32, 3),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        flip=False,
        padding=0,
    )
    order = [4, 32 * 32 * 3]
    whole = {tuple(image.ravel()) for image in files.fetch(tf.range(4)).numpy()}
    padded = batch(config(), own).reshape(order)
    assert {tuple(image) for image in padded} == whole
    crops = batch(config(train_crop="resized"), own).reshape(order)
    assert not whole & {tuple(image) for image in crops}
    # What a flag does not say, the dataset does.
    resized = dataclasses.replace(own, train_crop="resized")
    again = batch(config(), resized).reshape(order)
    np.testing.assert_array_equal(again, crops)
    padded = batch(config(train_crop="pad"), resized).reshape(order)
    assert {tuple(image) for image in padded} == whole


def test_padding_does_not_go_with_resizing():
    with pytest.raises(UsageError, match="--crop_padding=2 belongs to"):
        setup.dataset(DataConfig(crop_padding=2, train_crop="resized"))
