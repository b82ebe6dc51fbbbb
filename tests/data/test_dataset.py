"""Splits in memory, the registry of datasets, and what is refused."""

import functools
import types

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf.data as data
from noisymix_tf.data import ArraySplit, FileSplit, JoinedSplit, Preprocess
from noisymix_tf.data import RandomResizedCrop as Crop
from support.usage import assert_usage_error


def random_split(size=4):
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, [23, size, size, 3], dtype=np.uint8)
    return ArraySplit(images, draws.integers(0, 5, 23))


SPLIT = random_split()


def test_a_split_gathers_in_order_without_a_copy_in_the_graph():
    indices = tf.constant([3, 0, 22, 3])
    # Before it was called eagerly.
    traced = tf.function(random_split().fetch).get_concrete_function(indices)
    assert [t.shape for t in traced.captured_inputs] == [(23, 4, 4, 3)]
    assert traced.output_shapes == (4, 4, 4, 3)
    fetched = SPLIT.fetch(indices)
    assert fetched.dtype == tf.uint8
    np.testing.assert_array_equal(fetched, SPLIT.images[indices])
    np.testing.assert_array_equal(traced(indices), fetched)
    images, labels = zip(*SPLIT.batches(10))
    assert [len(b) for b in images] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate(images), SPLIT.images)
    np.testing.assert_array_equal(np.concatenate(labels), SPLIT.labels)
    assert labels[0].dtype == np.int32
    part = SPLIT.subset([5, 2])
    assert part.image_shape == (4, 4, 3)
    np.testing.assert_array_equal(part.images, SPLIT.images[[5, 2]])
    np.testing.assert_array_equal(part.labels, SPLIT.labels[[5, 2]])


def arrays(*shape, labels=(0, 1), dtype=np.uint8):
    return ArraySplit(np.zeros(shape, dtype), labels)


def views(split=SPLIT, **options):
    return data.views(split, **{"batch_size": 2, **options})


load = data.load
digits = functools.partial(load, "digits")
folder = functools.partial(load, "folder", image_size=9)
FILES = FileSplit(["a.png"] * 23, [0] * 23, 8)
JOINED = JoinedSplit([SPLIT, SPLIT.subset([])])
NO_SPLIT = types.SimpleNamespace(train=None)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: arrays(2, 4, 4, 3, dtype="f4"), "float32"),
        (lambda: arrays(2, 4, 4), "[2, 4, 4]"),
        (lambda: arrays(2, 4, 4, 1), "[N, H, W, 3]"),
        (lambda: arrays(2, 4, 4, 3, labels=[0]), "2 images but 1 labels"),
        (lambda: arrays(2, 4, 4, 3, labels=[0.5, 1]), "float64"),
        (lambda: arrays(2, 4, 4, 3, labels=[-1, 1]), "got -1"),
        (lambda: FileSplit(["a"], [0, 1], 8), "1 files but 2 labels"),
        (lambda: FileSplit(["a"], [0], Preprocess()), "tells no size"),
        (lambda: JoinedSplit([SPLIT, random_split(5)]), "not 4 x 4 and 5 x 5"),
        (lambda: load("mnist"), "'mnist'. Known: digits, cifar10"),
        (lambda: digits(image_size="64"), "image_size='64' must be a whole"),
        (lambda: digits(test_examples=2.5), "test_examples=2.5 must be a"),
        (lambda: digits(train_examples=9), "=9 leaves some of the 10 classes"),
        (lambda: digits(test_examples=2000), "has only 364"),
        (lambda: digits(test_examples=0), "number from 1 to"),
        (lambda: digits(data_dir="D"), "--data_dir=D: digits is built in"),
        (lambda: digits(image_size=64), "=64: digits images are 32 x 32"),
        (lambda: load("cifar100", preprocess="crop8"), "=crop8: cifar100 imag"),
        (lambda: load("folder"), "needs --data_dir=DIR"),
        (lambda: folder(image_size=0), "--image_size=0"),
        (lambda: folder(preprocess="crop8"), "=9 does not go with preproces"),
        (lambda: load("imagenet", preprocess="as_stored"), "several sizes"),
        (lambda: views(NO_SPLIT), "a SimpleNamespace: give its train, as in"),
        (lambda: views("digits"), "got a str: load one"),
        (lambda: views(augment="augmix"), "augment='augmix' must be a funct"),
        (lambda: views(standard=1), "standard=1 must be a function"),
        (lambda: views(batch_size=24), "batch_size=24 is more than the 23"),
        (lambda: views(batch_size=0), "=0: give a number from 1 to 23"),
        (lambda: views(start_step=-1), "start_step=-1"),
        (lambda: views(shard=(0, 3)), "shard=(0, 3)"),
        (lambda: views(shard=(2, 2)), "shard=(2, 2)"),
        # NumPy's errors, or other images: of files True was the second.
        (lambda: SPLIT.subset([10**6]), "no image 1000000 in a split of 23"),
        (lambda: FILES.subset([0, -1]), "no image -1"),
        (lambda: FILES.subset([True, False]), "got bool"),
        (lambda: JOINED.subset([0.5]), "got float64"),
        (lambda: SPLIT.subset(3), "got int64 []"),
        (lambda: Crop(scale=(0.5, 0.2)), "scale=(0.5, 0.2)"),
        (lambda: Crop(scale=(0.5, 1.2)), "at most 1"),
        (lambda: Crop(ratio=(0, 1)), "ratio=(0, 1)"),
        (lambda: Crop(tries=0), "tries=0"),
    ],
)
def test_bad_input_is_one_line(call, words):
    assert_usage_error(call, words)
