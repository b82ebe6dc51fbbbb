"""ImageNet as tensorflow-datasets prepares it, in both kinds of files."""

import functools
import os
import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.data.released.classes import class_indices, imagenet_wnids
from noisymix_tf.data.tfrecords import TFRecordImages, find_records
from support.usage import assert_usage_error


def copy_of(root, to):
    ignore = shutil.ignore_patterns(".noisymix_tf*")
    return shutil.copytree(root, to, ignore=ignore)


def load(root, image_size=32):
    return data.load("imagenet", data_dir=root, image_size=image_size)


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_every_image_is_found_anywhere(imagenet_roots, imagenet_examples, kind):
    imagenet = load(imagenet_roots[kind])
    splits = imagenet.train, imagenet.test
    for split, written in zip(splits, imagenet_examples):
        read = tf.function(split.read, autograph=False)
        images = [read(i).numpy() for i in tf.range(len(split))]
        assert sorted(zip(images, split.labels.tolist())) == sorted(written)
    train = imagenet.train
    train.check()
    whole = np.concatenate([images for images, _ in train.batches(5)])
    order = [22, 0, 7, 7, 13]
    np.testing.assert_array_equal(train.fetch(tf.constant(order)), whole[order])
    ((images, labels),) = train.subset([9, 2]).batches(2)
    np.testing.assert_array_equal(images, whole[[9, 2]])
    np.testing.assert_array_equal(labels, train.labels[[9, 2]])
    assert imagenet.class_names == imagenet_wnids()
    assert class_indices(["n01443537"], imagenet, "here") == [1]
    assert imagenet.train_crop == "resized" and imagenet.flip
    assert imagenet.image_shape == (32, 32, 3)
    # By default the size of the benchmarks.
    usual = load(imagenet_roots[kind], None).test
    assert str(usual.preprocess) == "resize256-crop224"


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_the_walk_is_remembered(imagenet_roots, kind, tmp_path, monkeypatch):
    """But a damaged table, or one of other files, is made anew."""
    copy = copy_of(imagenet_roots[kind], tmp_path / "copy")
    before = load(copy).test.identity
    os.utime(next(copy.rglob("imagenet2012-validation.*")), (1, 1))
    assert load(copy).test.identity.times != before.times
    labels = load(copy).train.labels.tolist()
    (table,) = copy.rglob(".noisymix_tf_train.npz")
    np.savez(table, labels=np.zeros(23), about=np.array(["old"]))
    assert load(copy).train.labels.tolist() == labels
    for damage in (b"", b"PK\x03\x04 no archive"):
        table.write_bytes(damage)
        assert load(copy).train.labels.tolist() == labels
    with monkeypatch.context() as patch:
        for way in ("find_records", "ArrayRecordImages.labels"):
            patch.setattr(f"noisymix_tf.data.prepared_split.{way}", None)
        assert load(copy).train.labels.tolist() == labels
        next(load(copy).train.batches(3))
    # Without a place for it the table is made every time.
    table.unlink()
    refuse = mock.Mock(side_effect=PermissionError)
    monkeypatch.setattr("noisymix_tf.data.index_file.np.savez", refuse)
    assert len(load(copy).train) == 23
    assert not table.exists() and not list(copy.rglob("*.partial"))


def test_damaged_files_are_named(imagenet_roots, tmp_path):
    shard, info = "*-train.*00001-of*", "dataset_info.json"
    for kind, name, change, words in (
        ("tfrecord", shard, None, "00001-of-00003 is missing"),
        ("tfrecord", shard, lambda old: old[:-7], "00003 is damaged"),
        ("tfrecord", shard, lambda _: b"\5" * 99, "00003 is damaged"),
        ("tfrecord", shard, lambda _: b"", " in train, but should have 23"),
        ("tfrecord", info, lambda _: b"{", "Cannot use the prepared"),
        ("tfrecord", info, None, "No ImageNet is prepared in "),
        ("tfrecord", info, lambda i: i.replace(b"idat", b""), "lacks the sp"),
        ("array_record", shard, lambda _: b"\5" * 99, "the ArrayRecord files"),
    ):
        copy = copy_of(imagenet_roots[kind], tmp_path / "damaged")
        (path,) = copy.rglob(name)
        content = path.read_bytes()
        path.unlink()
        if change:
            path.write_bytes(change(content))
        assert_usage_error(functools.partial(load, copy), words, "repare", copy)
        shutil.rmtree(copy)
    copy_of(imagenet_roots["tfrecord"], copy)
    bad = load(copy).train.read(4).numpy()
    for path in copy.rglob("*-train.*-of*"):
        path.write_bytes(path.read_bytes().replace(bad, bytes(len(bad))))
    assert_usage_error(load(copy).train.check, "byte ", "Replace or remove")


def test_the_walk_steps_over_images_of_any_length(tmp_path):
    def write(path, *records, image="image", label="label"):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for pixels, number, extra in records:
                example = tf.train.Example()
                features = example.features.feature
                features[image].bytes_list.value.append(pixels)
                features[label].int64_list.value.append(number)
                features["extra"].bytes_list.value.append(extra)
                writer.write(example.SerializeToString())
        return str(path)

    lengths = [*range(600), 5000, 70_000]
    pictures = [np.random.default_rng(0).bytes(length) for length in lengths]
    records = [(p, 100 * i, bytes(i % 11 * 90)) for i, p in enumerate(pictures)]
    path = write(tmp_path / "a.tfrecord", *records)
    offsets, labels = find_records(path)
    assert labels.tolist() == [100 * i for i in range(len(lengths))]
    images = TFRecordImages([path], np.zeros(len(labels)), offsets)
    read = tf.function(images.read)
    for place in (601, 3, 600, 0, *range(120, 140), 512):
        assert read(tf.constant(place)).numpy() == pictures[place]
    # Records of something else are refused.
    path = write(tmp_path / "b", (b"x", 3, b""), image="picture", label="kind")
    assert_usage_error(lambda: find_records(path), "/b is damaged or holds no")
    offsets, labels = find_records(path, label="kind")
    assert labels.tolist() == [3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        TFRecordImages([path], [0], offsets).read(0)
