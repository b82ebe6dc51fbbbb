"""Every image operation against golden arrays and Pillow, bit by bit."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf.augment import colors, fixed, geometry, ops
from noisymix_tf.augment.policy import OPERATIONS
from noisymix_tf.benchmarks import pillow_augmix
from support import augmentation as laws

NAMES = [each.name for each in ops.ALL_OPERATIONS]
NEAREST = [f"nearest_{name}" for name in laws.NEAREST]
PILLOW = pillow_augmix.ALL_OPERATIONS | {
    f"nearest_{name}": operation for name, operation in laws.NEAREST.items()
}
COMPILED_SHAPES = [(32, 32, 3), (17, 23, 1)]
# Another shape is another program.
SLOW = pytest.param(COMPILED_SHAPES[1], marks=pytest.mark.slow)
SHAPES = [COMPILED_SHAPES[0], SLOW, (9, 230, 3), (230, 5, 1), (2, 2, 1)]
BATCH = 32


@functools.cache
def program(form, nearest):
    """All operations are branches of it; it is compiled once a shape."""
    operations = OPERATIONS if nearest else ops.ALL_OPERATIONS
    resample = geometry.nearest if nearest else geometry.bilinear
    resample = resample if form == "dense" else None
    units = np.float64([each.unit for each in operations])

    @tf.function(jit_compile=form != "plain")
    def apply(images, values, number):
        operation = tf.fill([len(images), 1, 1], number)
        values *= tf.gather(units, number)
        values = tf.cast(values[:, None, None] * fixed.ONE, tf.int64)
        made = ops.apply(images, operation, values, operations, resample)
        return made[:, 0]

    return apply, [each.name for each in operations]


def results(name, images, parameters, form="loop"):
    """By batches of one size, the last of which is filled up."""
    apply, names = program(form, name in NEAREST)
    number = tf.constant(names.index(name.removeprefix("nearest_")))
    order = np.arange(-(-len(images) // BATCH) * BATCH) % len(images)
    parameters = np.asarray(parameters, np.float64)
    made = [
        apply(images[part], parameters[part], number)
        for part in order.reshape(-1, BATCH)
    ]
    return np.concatenate(made)[: len(images)]


@pytest.mark.parametrize("name", NAMES)
def test_golden(golden, name):
    for file in ("cifar32", "edge32"):
        cases = golden(f"augmix_ops_{file}.npz")
        keys = [key for key in cases.files if key.startswith(f"{name}__")]
        images = np.tile(cases["input"], [len(keys), 1, 1, 1])
        numbers = [laws.split_key(key)[1] for key in keys]
        parameters = np.repeat(numbers, len(cases["input"]))
        expected = np.concatenate([cases[key] for key in keys])
        for form in ("loop", "plain"):
            same(results(name, images, parameters, form), expected)


def sample_parameters(name, shape):
    kind, limit = name.split("_")[0], max(shape) + 2
    whole = {"posterize": (1, 9), "solarize": (0, 257), "rotate": (-135, 136)}
    whole["translate"] = (-limit, limit + 1)
    kind = "rotate" if "rotate" in name else kind
    if kind in whole:
        return np.arange(*whole[kind])
    ends = {"shear": (-0.3, 0.3), "nearest": (-1.0, 1.0)}.get(kind, (0.0, 2.0))
    draws = np.random.default_rng(2).uniform(*ends, 90)
    # What policies ask for, too.
    marks = [0.0, 0.99, -0.99, 0.3, 0.1, 0.033]
    return np.append(draws, marks) if kind == "nearest" else draws


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [*NAMES, *NEAREST])
def test_equals_pillow(name, shape):
    parameters = sample_parameters(name, shape)
    images = laws.sample_images(len(parameters), shape, seed=1)
    form = "loop" if shape in COMPILED_SHAPES else "plain"
    made = results(name, images, parameters, form)
    for image, parameter, result in zip(images, parameters, made):
        expected = laws.with_pillow(PILLOW[name], image, parameter)
        same(result, expected, err_msg=str(parameter))
    if form == "loop":  # Whole batches at once are the same.
        if name == "rotate":  # No chain turns by more.
            parameters, images = np.arange(-30, 31), images[:61]
            made = results(name, images, parameters)
        dense = results(name, images, parameters, "dense")
        if name == "rotate":
            # The middle of 17 x 23 pixels is on a pixel, up to a last bit of
            # double precision, by which Pillow takes off a level.
            dense[:, 8, 11] = made[:, 8, 11]
        same(dense, made)


@pytest.mark.slow
def test_autocontrast_table_for_every_range():
    """All 32,640 pairs of a lowest and a highest value: nothing is fused."""
    low, high = np.triu_indices(256, k=1)
    counts = np.zeros([len(low), 256], np.int32)
    for ends in (low, high):
        counts[np.arange(len(low)), ends] = 1
    table = tf.function(colors.autocontrast, jit_compile=True)
    scale = 255.0 / (high - low)
    offset = -low * scale
    expected = np.arange(256) * scale[:, np.newaxis] + offset[:, np.newaxis]
    same(table(lambda: counts), np.clip(expected, 0, 255).astype(np.uint8))
