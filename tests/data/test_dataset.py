"""Splits in memory, the dataset record, and the registry of datasets."""

import ast
import pathlib
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf.data as data
from noisymix_tf.errors import UsageError

DATASET = types.SimpleNamespace(train=None, test=None)


def random_split(num=23, size=4):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [num, size, size, 3], dtype=np.uint8)
    return data.ArraySplit(images, rng.integers(0, 5, num))


def test_fetch_gathers():
    split = random_split()
    indices = [3, 0, 22, 3]
    fetched = split.fetch(tf.constant(indices))
    assert fetched.dtype == tf.uint8
    np.testing.assert_array_equal(fetched, split.images[indices])


def test_fetch_inside_a_map_has_a_static_shape():
    split = random_split()  # not fetched from eagerly before
    indices = tf.data.Dataset.range(23).batch(4, drop_remainder=True)
    images = indices.map(split.fetch)
    assert images.element_spec.shape == (4, 4, 4, 3)
    seen = np.concatenate(list(images.as_numpy_iterator()))
    np.testing.assert_array_equal(seen, split.images[:20])


def test_images_are_not_copied_into_the_graph():
    split = random_split(num=1_000, size=32)  # 3 MB
    traced = tf.function(split.fetch).get_concrete_function(
        tf.TensorSpec([8], tf.int32)
    )
    assert traced.graph.as_graph_def().ByteSize() < 10_000
    assert [t.shape for t in traced.captured_inputs] == [(1_000, 32, 32, 3)]


def test_batches_keep_the_order_and_the_last_partial_batch():
    split = random_split()
    images, labels = zip(*split.batches(10))
    assert [len(b) for b in images] == [10, 10, 3]
    np.testing.assert_array_equal(np.concatenate(images), split.images)
    np.testing.assert_array_equal(np.concatenate(labels), split.labels)
    assert labels[0].dtype == np.int32


def test_subset():
    split = random_split()
    part = split.subset([5, 2])
    assert len(part) == 2
    assert part.image_shape == (4, 4, 3)
    np.testing.assert_array_equal(part.images, split.images[[5, 2]])
    np.testing.assert_array_equal(part.labels, split.labels[[5, 2]])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros([2, 4, 4, 3], np.float32), [0, 1], "float32"),
        (np.zeros([2, 4, 4], np.uint8), [0, 1], r"\[2, 4, 4\]"),
        (np.zeros([2, 4, 4, 1], np.uint8), [0, 1], r"\[N, H, W, 3\]"),
        (np.zeros([2, 4, 4, 3], np.uint8), [0], "2 images but 1 labels"),
        (np.zeros([2, 4, 4, 3], np.uint8), [0.5, 1], "float64"),
        (np.zeros([2, 4, 4, 3], np.uint8), [-1, 1], "got -1"),
    ],
)
def test_refuses_other_arrays(images, labels, message):
    with pytest.raises(UsageError, match=message):
        data.ArraySplit(images, labels)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([10**6], "no image 1000000 in a split of 23"),
        ([0, -1], "no image -1"),
        ([True, False], "got bool"),
        ([0.5], "got float64"),
        (3, r"got int64 \[\]"),
    ],
)
def test_positions_that_are_none_are_refused(indices, message):
    """NumPy's errors, or other images: of files True was the second."""
    files = data.FileSplit(["a.png"] * 23, [0] * 23, 8)
    array = random_split()
    for split in (array, files, data.JoinedSplit([array, array.subset([])])):
        with pytest.raises(UsageError, match=message):
            split.subset(indices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": "64"}, "image_size='64' must be a whole number"),
        ({"image_size": (64, 64)}, r"image_size=\(64, 64\) must be a whole"),
        ({"train_examples": "50"}, "train_examples='50' must be a whole"),
        ({"test_examples": 2.5}, "test_examples=2.5 must be a whole"),
        ({"train_examples": 9}, "=9 leaves some of the 10 classes of digits"),
    ],
)
def test_bad_arguments_of_load_are_one_line(options, message):
    with pytest.raises(UsageError, match=message):
        data.load("digits", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": DATASET}, "got a SimpleNamespace: give its train, as in"),
        ({"split": "digits"}, "got a str: load one"),
        ({"augment": "augmix"}, "augment='augmix' must be a function"),
        ({"standard": 1}, "standard=1 must be a function"),
    ],
)
def test_bad_arguments_of_views_are_one_line(options, message):
    """AttributeErrors out of the middle of a pipeline."""
    with pytest.raises(UsageError, match=message):
        data.views(**{"split": random_split(), "batch_size": 2, **options})


def test_unknown_dataset():
    with pytest.raises(UsageError, match=r"'mnist'.*digits, cifar10"):
        data.load("mnist")


def test_import_stays_cheap():
    """Modules at the top of a file are TensorFlow, NumPy or the library's.

    Looking at `sys.modules` would not do: Keras and Keras-CV import much of
    what we must not where it is installed.
    """
    allowed = {"noisymix_tf", "numpy", "tensorflow", *sys.stdlib_module_names}
    for path in pathlib.Path(data.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            assert {name.split(".")[0] for name in names} <= allowed, path


def test_readers_are_imported_when_asked_for():
    tree = ast.parse(pathlib.Path(data.__file__).read_text())
    top = {n.module for n in tree.body if isinstance(n, ast.ImportFrom)}
    for reader in ("digits", "cifar", "imagenet", "folder"):
        assert f"noisymix_tf.data.{reader}" not in top
