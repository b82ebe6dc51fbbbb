"""The AugMix operations against Pillow, pixel by pixel."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.augment import ops, pillow_reference, tables

Image = pytest.importorskip("PIL.Image")

NAMES = [each.name for each in ops.ALL_OPERATIONS]


@functools.cache
def batched(name, compiled):
    """An operation over a batch of images, each with its own parameter.

    By pairs, so that it is compiled once for images of one shape.
    """

    @tf.function(jit_compile=compiled)
    def apply(images, parameters):
        return tf.map_fn(
            lambda each: ops.named(name)(*each),
            (images, parameters),
            fn_output_signature=tf.uint8,
        )

    def by_pairs(images, parameters):
        parameters = np.asarray(parameters, np.float64)
        pairs = (slice(i, i + 2) for i in range(0, len(images), 2))
        return np.concatenate([apply(images[p], parameters[p]) for p in pairs])

    return by_pairs


def with_pillow(name, image, parameter):
    grey = image.shape[-1] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    result = pillow_reference.ALL_OPERATIONS[name](picture, parameter)
    return np.asarray(result).reshape(image.shape)


def sample_images(count, shape, seed):
    """Smooth, noisy, flat, two-valued and low-contrast images by turns."""
    generator = np.random.default_rng(seed)
    height, width, channels = shape
    y, x, _ = np.mgrid[:height, :width, :1]
    images = []
    for index in range(count):
        noise = generator.uniform(size=shape)
        phase = generator.uniform(0, 6, size=channels)
        wave = 0.5 + 0.5 * np.sin(x / 3 + y / 5 + phase)
        kind = index % 6
        if kind == 0:
            value = 255 * (0.8 * wave + 0.2 * noise)
        elif kind == 1:
            value = 256 * noise
        elif kind == 2:
            value = np.full(shape, generator.integers(256))
        elif kind == 3:
            value = 255 * (noise > 0.5)
        elif kind == 4:
            value = 100 + 10 * noise
        else:
            value = np.minimum(255, 300 * wave)
        images.append(np.clip(value, 0, 255).astype(np.uint8))
    return np.stack(images)


def sample_parameters(name, count, shape, seed):
    generator = np.random.default_rng(seed)
    if name == "posterize":
        return generator.integers(1, 9, count)
    if name == "solarize":
        return generator.integers(0, 257, count)
    if name == "rotate":
        wide = generator.integers(-135, 136, count)
        return np.where(np.arange(count) % 2, np.arange(count) % 61 - 30, wide)
    if name.startswith("shear"):
        return generator.uniform(-0.3, 0.3, count)
    if name.startswith("translate"):
        limit = max(shape) + 2
        return generator.integers(-limit, limit + 1, count)
    return generator.uniform(0.0, 2.0, count)


def split_key(key):
    """Name and parameter of a golden array such as `rotate__deg-5`."""
    name, parameter = key.split("__")
    number = re.search(r"[-+]?[0-9.]+$", parameter)
    return name, float(number.group()) if number else 0.0


@pytest.mark.parametrize(
    ("file", "compiled"),
    [("cifar32", True), ("edge32", True), ("edge32", False)]
    + [("imagenet224", True)],
)
@pytest.mark.parametrize("name", NAMES)
def test_golden(golden, file, compiled, name):
    cases = golden(f"augmix_ops_{file}.npz")
    keys = [key for key in cases.files if key.startswith(f"{name}__")]
    if not keys:
        pytest.skip(f"augmix_ops_{file}.npz has no {name}")
    images = cases["input"]
    for key in keys:
        _, parameter = split_key(key)
        result = batched(name, compiled)(images, [parameter] * len(images))
        np.testing.assert_array_equal(result, cases[key], err_msg=key)


@pytest.mark.parametrize(
    "shape",
    [(32, 32, 3), (17, 23, 3), (9, 30, 1), (3, 4, 3), (2, 2, 1)],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_equals_pillow(name, shape):
    images = sample_images(122, shape, seed=1)
    parameters = sample_parameters(name, len(images), shape, seed=2)
    results = batched(name, True)(images, parameters)
    for image, parameter, result in zip(images, parameters, results):
        expected = with_pillow(name, image, parameter)
        np.testing.assert_array_equal(
            result, expected, err_msg=f"{name} {parameter}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_same_without_compilation(name):
    shape = (8, 13, 3)
    images = sample_images(12, shape, seed=3)
    parameters = sample_parameters(name, len(images), shape, seed=4)
    np.testing.assert_array_equal(
        batched(name, False)(images, parameters),
        batched(name, True)(images, parameters),
    )


def test_keras_cv_tables_equal_pillow():
    ramp = np.arange(256, dtype=np.uint8).reshape([1, 256, 1])
    for bits in range(1, 9):
        np.testing.assert_array_equal(
            tables.posterize_table(bits),
            with_pillow("posterize", ramp, bits).ravel(),
        )
    for threshold in range(257):
        np.testing.assert_array_equal(
            tables.solarize_table(threshold),
            with_pillow("solarize", ramp, threshold).ravel(),
        )


@pytest.mark.parametrize("name", ["posterize", "solarize"])
def test_tables_can_first_be_needed_in_a_trace(name):
    tables._posterize_tables.cache_clear()
    tables._solarize_tables.cache_clear()
    image = sample_images(1, (4, 5, 3), seed=5)
    dataset = tf.data.Dataset.from_tensor_slices(image)
    (result,) = dataset.map(lambda each: ops.named(name)(each, 3))
    np.testing.assert_array_equal(result, with_pillow(name, image[0], 3))


@pytest.mark.parametrize("compiled", [False, True])
def test_autocontrast_table_for_every_range(compiled):
    """All 32,640 pairs of a lowest and a highest value."""
    low, high = np.triu_indices(256, k=1)
    counts = np.zeros([len(low), 256], np.int32)
    counts[np.arange(len(low)), low] = 1
    counts[np.arange(len(low)), high] = 1
    table = tf.function(tables.autocontrast_table, jit_compile=compiled)
    scale = 255.0 / (high - low)
    offset = -low * scale
    expected = np.arange(256) * scale[:, np.newaxis] + offset[:, np.newaxis]
    np.testing.assert_array_equal(
        table(tf.constant(counts)), np.clip(expected, 0, 255).astype(np.uint8)
    )


def test_compose_does_one_table_after_the_other():
    image = sample_images(2, (6, 7, 3), seed=6)[0]
    generator = np.random.default_rng(7)
    first, second = tf.unstack(
        tf.constant(generator.integers(0, 256, [2, 3, 256], np.uint8))
    )
    np.testing.assert_array_equal(
        tables.apply_table(image, tables.compose(second, first)),
        tables.apply_table(tables.apply_table(image, first), second),
    )
    np.testing.assert_array_equal(
        tables.compose(second[0], first), second[0].numpy()[first.numpy()]
    )


def test_push_is_the_histogram_after_the_table():
    image = tf.constant(sample_images(2, (6, 7, 3), seed=8)[1])
    generator = np.random.default_rng(9)
    table = tf.constant(generator.integers(0, 40, [3, 256], np.uint8))
    np.testing.assert_array_equal(
        tables.push(tables.histogram(image), table),
        tables.histogram(tables.apply_table(image, table)),
    )


def test_histogram_counts_values():
    image = sample_images(2, (6, 7, 3), seed=10)[1]
    expected = [
        np.bincount(image[..., c].ravel(), minlength=256) for c in (0, 1, 2)
    ]
    np.testing.assert_array_equal(
        tables.histogram(tf.constant(image)), expected
    )
