"""Splits in memory, balanced subsets, the digits, and what is refused."""

import functools
import types

import numpy as np
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from sklearn.datasets import load_digits

from noisymix_tf import data
from noisymix_tf.commands import data_service
from noisymix_tf.commands.data_service import ServerConfig
from noisymix_tf.data import ArraySplit, FileSplit, JoinedSplit, Preprocess
from noisymix_tf.data import RandomResizedCrop as Crop
from noisymix_tf.data.classes import balanced_indices, balanced_subset
from noisymix_tf.data.service import count_workers
from support.released_sets import assert_holds, noise
from support.usage import assert_usage_error


def random_split(size=4):
    return ArraySplit(noise(23, size, size, 3), np.arange(23) ** 2 % 5)


SPLIT = random_split()


def test_a_split_gathers_in_order_without_a_copy_in_the_graph():
    indices = tf.constant([3, 0, 22, 3])
    # Before it was called eagerly.
    traced = tf.function(random_split().fetch).get_concrete_function(indices)
    assert [t.shape for t in traced.captured_inputs] == [(23, 4, 4, 3)]
    assert traced.output_shapes == (4, 4, 4, 3)
    for fetched in (SPLIT.fetch(indices), traced(indices)):
        assert fetched.dtype == tf.uint8
        same(fetched, SPLIT.images[indices])
    assert_holds(SPLIT, SPLIT.images, SPLIT.labels)


def test_balanced_subsets_hold_the_first_of_each_class():
    for sizes, num_examples, expected in (
        ((50, 50, 50), 32, (11, 11, 10)),  # the remainder: lowest ids
        ((50, 4, 50), 31, (14, 4, 13)),  # a small class: the others fill up
        ((10, 50, 50), 31, (10, 11, 10)),  # remainder passes over a full class
        ((1, 2, 50, 0), 40, (1, 2, 37, 0)),  # filled up twice
    ):
        labels = np.repeat(np.arange(len(sizes)), sizes)
        labels = np.random.default_rng(0).permutation(labels)
        found = balanced_indices(labels, num_examples).tolist()
        own = [np.flatnonzero(labels == k)[:n] for k, n in enumerate(expected)]
        assert found == sorted(np.concatenate(own))
    split = ArraySplit(SPLIT.images[:10], np.arange(10) % 2)
    part = balanced_subset(split, 4, "it")
    same(part.labels, [0, 1, 0, 1])
    same(part.images, split.images[:4])
    assert balanced_subset(split, None, "it") is split
    assert balanced_subset(split, 10, "it") is split


def test_every_fifth_enlarged_digit_of_a_class_is_for_testing():
    digits = data.load("digits", preprocess="as_stored", image_size=32)
    assert digits.name == "digits" and digits.image_shape == (32, 32, 3)
    assert digits.class_names == tuple("0123456789")
    assert digits.mean == digits.std == (0.5, 0.5, 0.5) and not digits.flip
    assert digits.padding == 4 and digits.train_crop == "pad"
    assert "test=<ArraySplit: 364 images of 32 x 32>" in str(digits)
    source = load_digits()
    for label in range(10):
        small = source.images[source.target == label][..., None] * 255 / 16
        large = tf.image.resize(small, [32, 32], "bicubic", antialias=True)
        expected = np.clip(np.rint(large), 0, 255)
        for split, wanted in (
            (digits.test, expected[::5]),
            (digits.train, np.delete(expected, np.s_[::5], axis=0)),
        ):
            actual = split.images[split.labels == label]
            # A half may round either way.
            assert np.abs(actual - wanted).max() <= 1
            assert (actual == actual[..., :1]).all()


def test_bad_input_is_one_line():
    def arrays(*shape, labels=(0, 1), dtype=np.uint8):
        return ArraySplit(np.zeros(shape, dtype), labels)

    load, corrupted = data.load, functools.partial(data.corrupted, severity=1)
    many = functools.partial(corrupted, SPLIT, "brightness")
    views = functools.partial(data.views, SPLIT, batch_size=2)
    fed = functools.partial(data.views, batch_size=1)
    digits = functools.partial(load, "digits")
    folder = functools.partial(load, "folder", image_size=9)
    files = FileSplit(["a.png"] * 23, [0] * 23, 8)
    bmp = JoinedSplit([files, FileSplit(["a.bmp"], [0], 8)])
    start, config = data_service.start, ServerConfig
    no_split = types.SimpleNamespace(train=None)
    for call, words in (
        (lambda: arrays(2, 4, 4, 3, dtype="f4"), "float32"),
        (lambda: arrays(2, 4, 4, 3, labels=[0]), "2 images but 1 labels"),
        (lambda: arrays(2, 4, 4, 3, labels=[0.5, 1]), "float64"),
        (lambda: arrays(2, 4, 4, 3, labels=[-1, 1]), "numbers [N] from 0"),
        (lambda: arrays(2, 4, 4, 3, labels=[0, 2**40]), "from 0 to 2147483647"),
        (lambda: FileSplit(["a"], [0], Preprocess()), "tells no size"),
        (lambda: JoinedSplit([SPLIT, random_split(5)]), "not 4 x 4 and 5 x 5"),
        (lambda: load("mnist"), "'mnist'. Known: digits, cifar10"),
        (lambda: digits(test_examples=2.5), "2.5 examples of the digits te"),
        (lambda: digits(train_examples=9), "=9 leaves some of the 10 classes"),
        (lambda: digits(test_examples=2000), "has only 364"),
        (lambda: digits(data_dir="D"), "--data_dir=D: digits is built in"),
        (lambda: digits(image_size=64), "=64: digits images are 32 x 32"),
        (lambda: load("cifar100", preprocess="crop8"), "=crop8: cifar100 imag"),
        (lambda: folder(image_size=0), "--image_size=0"),
        (lambda: folder(preprocess="crop8"), "=9 does not go with preproces"),
        (lambda: load("imagenet", preprocess="as_stored"), "several sizes"),
        (lambda: fed(no_split), "a SimpleNamespace: give its train, as in"),
        (lambda: fed("digits"), "got a str: load one"),
        (lambda: views(augment="augmix"), "augment='augmix' must be a funct"),
        (lambda: views(batch_size=24), "batch_size=24: give a whole number f"),
        (lambda: views(batch_size=0), "=0: give a whole number from 1 to 23"),
        (lambda: views(batch_size="2"), "batch_size='2': give a whole numb"),
        (lambda: views(seed=2**32), "seed=4294967296 must be a whole number"),
        (lambda: views(seed=0.9), "seed=0.9 must be a whole number from 0 to"),
        (lambda: views(start_step=-1), "start_step=-1"),
        (lambda: views(start_step=1.7), "start_step=1.7 must be a whole"),
        (lambda: views(shard=(0, 3)), "shard=(0, 3)"),
        (lambda: views(shard=1), "shard=1 must be (index, count)"),
        # NumPy's errors, or other images: of files True was the second.
        (lambda: SPLIT.subset([10**6]), "no image 1000000 in a split of 23"),
        (lambda: files.subset([0, -1]), "no image -1"),
        (lambda: files.subset([True, False]), "got bool"),
        (lambda: Crop(scale=(0.5, 0.2)), "scale=(0.5, 0.2)"),
        (lambda: Crop(ratio=(0, 1)), "ratio=(0, 1)"),
        (lambda: Crop(tries=0), "tries=0"),
        (lambda: count_workers("http://a:1"), "http://a:1 does not give batch"),
        (lambda: data_service.worker("host:port", 0), "HOST:PORT"),
        (lambda: start(config()), "--workers=HOST"),
        (lambda: start(config(workers=("a",), dispatcher="b:1")), "--workers="),
        (lambda: fed(bmp, service="grpc://h:1"), "grpc://h:1 cannot make b"),
        (lambda: corrupted(SPLIT, "fogg"), "Unknown corruption 'fogg'. Know"),
        (lambda: corrupted(SPLIT, "fog", batch_size=0), "=0 must be a whol"),
        (lambda: many(num_parallel_calls=-3), "num_parallel_calls=-3 must be"),
        (lambda: corrupted(3, "fog"), "or of (images, labels); got int"),
        (lambda: corrupted((np.zeros([2, 8, 8, 3]), [0, 1]), "fog"), "uint8"),
    ):
        assert_usage_error(call, words)
