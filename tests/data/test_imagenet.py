"""ImageNet as tensorflow-datasets prepares it, in both kinds of files."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.data.identity import which
from noisymix_tf.data.released.classes import class_indices, imagenet_wnids
from noisymix_tf.data.tfrecords import TFRecordImages, find_records
from support.usage import assert_usage_error


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def kind(request):
    return request.param


@pytest.fixture
def copy(imagenet_roots, kind, tmp_path):
    ignore = shutil.ignore_patterns(".noisymix_tf*")
    root = imagenet_roots[kind]
    return shutil.copytree(root, tmp_path / "copy", ignore=ignore)


def load(root, image_size=32):
    return data.load("imagenet", data_dir=root, image_size=image_size)


def test_every_image_is_found_anywhere(imagenet_roots, imagenet_examples, kind):
    imagenet = load(imagenet_roots[kind])
    for split, written in zip(
        (imagenet.train, imagenet.test), imagenet_examples
    ):
        read = tf.function(split.read, autograph=False)
        images = [read(i).numpy() for i in tf.range(len(split))]
        found = zip(images, split.labels.tolist())
        assert sorted(found) == sorted(written)
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
    usual = load(imagenet_roots[kind], None)
    assert str(usual.test.preprocess) == "resize256-crop224"
    assert usual.image_shape == (224, 224, 3)


def test_it_is_known_by_its_files(copy):
    """Only the first image and the labels told prepared splits apart."""

    def word(part=range(9)):
        return str(load(copy).test.subset(part).identity)

    before = str(load(copy).test.identity)
    assert before == word()
    # Three of the nine have one label.
    labels = load(copy).test.labels
    alike = np.flatnonzero(labels == np.bincount(labels).argmax())
    assert len({before, *(word([place]) for place in alike)}) == 4
    os.utime(next(copy.rglob("imagenet2012-validation.*")), (1, 1))
    assert word() != before and which(word()) == which(before)


def test_the_walk_is_remembered_beside_the_files(copy, monkeypatch):
    """But a damaged table, or one of other files, is made anew."""
    labels = load(copy).train.labels.tolist()
    tables = sorted(copy.rglob(".noisymix_tf*"))
    names = [path.name for path in tables]
    assert names == [".noisymix_tf_train.npz", ".noisymix_tf_validation.npz"]
    np.savez(tables[0], labels=np.zeros(23), about=np.array(["old"]))
    assert load(copy).train.labels.tolist() == labels
    for damage in (b"", b"PK\x03\x04 no archive"):
        tables[0].write_bytes(damage)
        assert load(copy).train.labels.tolist() == labels

    def refuse(*_, **__):
        raise PermissionError("written")

    with monkeypatch.context() as patch:
        for way in ("find_records", "ArrayRecordImages.labels"):
            patch.setattr(f"noisymix_tf.data.prepared_split.{way}", None)
        assert load(copy).train.labels.tolist() == labels
        next(load(copy).train.batches(3))
    # Without a place for it the table is made every time.
    tables[0].unlink()
    monkeypatch.setattr("noisymix_tf.data.index_file.np.savez", refuse)
    assert len(load(copy).train) == 23
    assert not tables[0].exists() and not list(copy.rglob("*.partial"))


SHARD, INFO = "*-train.*00001-of*", "dataset_info.json"
FIVES = lambda old: b"\5" * len(old)  # noqa: E731
NO_TEST = lambda old: old.replace(b'"validation"', b'"val"')  # noqa: E731


@pytest.mark.parametrize(
    "kind, name, change, words",
    [
        ("tfrecord", SHARD, None, "00001-of-00003 is missing"),
        ("tfrecord", SHARD, lambda old: old[:-7], "00003 is damaged"),
        ("tfrecord", SHARD, FIVES, "00003 is damaged"),
        ("tfrecord", SHARD, lambda _: b"", " in train, but should have 23"),
        ("tfrecord", INFO, lambda _: b"{", "Cannot use the prepared"),
        ("tfrecord", INFO, None, "No ImageNet is prepared in "),
        ("tfrecord", INFO, NO_TEST, "lacks the split"),
        ("array_record", SHARD, FIVES, "the ArrayRecord files"),
    ],
    indirect=["kind"],
)
def test_damaged_files_are_named(copy, name, change, words):
    (path,) = copy.rglob(name)
    content = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(content))
    assert_usage_error(lambda: load(copy), words, "repare", copy)


@pytest.mark.parametrize("kind", ["tfrecord"], indirect=True)
def test_a_damaged_image_is_named(copy):
    bad = load(copy).train.read(4).numpy()
    for path in copy.rglob("*-train.*-of*"):
        content = path.read_bytes()
        path.write_bytes(content.replace(bad, b"\0" * len(bad)))
    words = ("byte ", "Replace or remove")
    assert_usage_error(load(copy).train.check, *words)


def write(path, *records):
    """A TFRecord file; features are numbers or bytes."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for features in records:
            example = tf.train.Example()
            for name, value in features.items():
                made = example.features.feature[name]
                if isinstance(value, int):
                    made.int64_list.value.append(value)
                else:
                    made.bytes_list.value.append(value)
            writer.write(example.SerializeToString())
    return str(path)


def test_the_walk_steps_over_images_of_any_length(tmp_path):
    lengths = [*range(600), 5000, 70_000]
    pictures = [np.random.default_rng(0).bytes(length) for length in lengths]
    records = [
        {"image": picture, "label": 100 * i, "extra": b"x" * (i % 11 * 90)}
        for i, picture in enumerate(pictures)
    ]
    path = write(tmp_path / "a.tfrecord", *records)
    offsets, labels = find_records(path)
    assert labels.tolist() == [100 * i for i in range(len(lengths))]
    images = TFRecordImages([path], np.zeros(len(labels)), offsets)
    read = tf.function(images.read)
    for place in (601, 3, 600, 0, *range(120, 140), 512):
        assert read(tf.constant(place)).numpy() == pictures[place]
    # Records of something else are refused.
    path = write(tmp_path / "b.tfrecord", {"picture": b"x", "kind": 3})
    words = "b.tfrecord is damaged or holds no"
    assert_usage_error(lambda: find_records(path), words)
    offsets, labels = find_records(path, label="kind")
    assert labels.tolist() == [3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        TFRecordImages([path], [0], offsets).read(0)
