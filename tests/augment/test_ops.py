"""Every image operation against golden arrays and Pillow, bit by bit."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf.augment import nearest, ops, pillow_reference, tables
from support import augmentation as laws

NAMES = [each.name for each in ops.ALL_OPERATIONS]
FUNCTIONS = {name: ops.named(name) for name in NAMES} | {
    f"nearest_{name}": getattr(nearest, name) for name in laws.NEAREST
}
PILLOW = pillow_reference.ALL_OPERATIONS | {
    f"nearest_{name}": operation for name, operation in laws.NEAREST.items()
}
COMPILED_SHAPES = [(32, 32, 3), (17, 23, 1)]
SHAPES = [*COMPILED_SHAPES, (5, 14, 3), (2, 2, 1)]
BATCH = 32


@functools.cache
def program(compiled):
    """All operations are branches of it; it is compiled once a shape."""

    @tf.function(jit_compile=compiled)
    def apply(images, values, number):
        def one(each):
            calls = [functools.partial(f, *each) for f in FUNCTIONS.values()]
            return tf.switch_case(number, calls)

        return tf.map_fn(one, (images, values), fn_output_signature=tf.uint8)

    return apply


def results(name, images, parameters, compiled=True):
    """By batches of one size, the last of which is filled up."""
    number = tf.constant(list(FUNCTIONS).index(name))
    order = np.arange(-(-len(images) // BATCH) * BATCH) % len(images)
    parameters = np.asarray(parameters, np.float64)
    made = [
        program(compiled)(images[part], parameters[part], number)
        for part in order.reshape(-1, BATCH)
    ]
    return np.concatenate(made)[: len(images)]


def golden_cases(cases, name):
    """Images, parameters and results of all golden arrays of an operation."""
    keys = [key for key in cases.files if key.startswith(f"{name}__")]
    images, numbers = cases["input"], [laws.split_key(key)[1] for key in keys]
    expected = np.concatenate([cases[key] for key in keys])
    parameters = np.repeat(numbers, len(images))
    return np.tile(images, [len(keys), 1, 1, 1]), parameters, expected


@pytest.mark.parametrize("name", NAMES)
def test_golden(golden, name):
    for file in ("cifar32", "edge32"):
        cases = golden(f"augmix_ops_{file}.npz")
        images, parameters, expected = golden_cases(cases, name)
        for compiled in (True, False):
            same(results(name, images, parameters, compiled), expected)
        eager = ops.named(name)(tf.constant(images[-1]), parameters[-1])
        same(eager, expected[-1])


@pytest.mark.slow
def test_golden_at_full_size(full_golden):
    cases = full_golden("augmix_ops_imagenet224.npz")
    names = sorted({key.split("__")[0] for key in cases.files} & {*NAMES})
    assert len(names) > 5
    for name in names:
        images, parameters, expected = golden_cases(cases, name)
        same(results(name, images, parameters), expected, err_msg=name)


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
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_pillow(name, shape):
    parameters = sample_parameters(name, shape)
    images = laws.sample_images(len(parameters), shape, seed=1)
    made = results(name, images, parameters, shape in COMPILED_SHAPES)
    for image, parameter, result in zip(images, parameters, made):
        expected = laws.with_pillow(PILLOW[name], image, parameter)
        same(result, expected, err_msg=str(parameter))


def test_autocontrast_table_for_every_range():
    """All 32,640 pairs of a lowest and a highest value: nothing is fused."""
    low, high = np.triu_indices(256, k=1)
    counts = np.zeros([len(low), 256], np.int32)
    for ends in (low, high):
        counts[np.arange(len(low)), ends] = 1
    table = tf.function(tables.autocontrast_table, jit_compile=True)
    scale = 255.0 / (high - low)
    offset = -low * scale
    expected = np.arange(256) * scale[:, np.newaxis] + offset[:, np.newaxis]
    same(table(tf.constant(counts)), np.clip(expected, 0, 255).astype(np.uint8))
