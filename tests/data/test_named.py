"""CIFAR and ImageNet as tensorflow-datasets prepares them; absent, damaged."""

import functools
import pathlib
import shutil
import urllib.error
import urllib.request
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from numpy.testing import assert_array_equal as same

from noisymix_tf import data
from noisymix_tf.data import named
from noisymix_tf.data.classes import class_indices, imagenet_wnids
from noisymix_tf.data.records import TFRecordSplit, find_records
from support.released_sets import assert_holds, prepare
from support.usage import assert_usage_error


def copy_of(root, to):
    ignore = shutil.ignore_patterns(".noisymix_tf*")
    return shutil.copytree(root, to, ignore=ignore)


def load(root, image_size=32):
    return data.load("imagenet", data_dir=root, image_size=image_size)


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_every_image_is_found_anywhere(prepared, imagenet_examples, kind):
    imagenet = load(prepared[kind])
    train = imagenet.train
    for split, written in zip((train, imagenet.test), imagenet_examples):
        read = tf.function(split.read, autograph=False)
        images = [read(i).numpy() for i in tf.range(len(split))]
        assert sorted(zip(images, split.labels.tolist())) == sorted(written)
    whole = np.concatenate([images for images, _ in train.batches(5)])
    order = [22, 0, 7, 7, 13]
    same(train.fetch(tf.constant(order)), whole[order])
    assert_holds(train, whole, train.labels)
    assert imagenet.class_names == imagenet_wnids()
    assert class_indices(["n01443537"], imagenet.class_names, "", "") == [1]
    assert imagenet.train_crop == "resized" and imagenet.flip
    assert imagenet.image_shape == whole.shape[1:] == (32, 32, 3)
    # By default the size of the benchmarks.
    usual = load(prepared[kind], None).test
    assert str(usual.preprocess) == "resize256-crop224"


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_the_walk_is_remembered(prepared, kind, tmp_path, monkeypatch):
    """But a damaged table, or one of other files, is made anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = copy_of(prepared[kind], tmp_path / "copy")
    labels = load(copy).train.labels.tolist()

    def assert_mended(tables):
        for table in tables:
            np.savez(table, labels=np.zeros(23), about=np.array(["old"]))
            assert load(copy).train.labels.tolist() == labels
            for damage in (b"", b"PK\x03\x04 no archive"):
                table.write_bytes(damage)
                assert load(copy).train.labels.tolist() == labels
        with monkeypatch.context() as patch:
            for way in ("walk", "_labels"):
                patch.setattr(f"noisymix_tf.data.records.{way}", None)
            assert load(copy).train.labels.tolist() == labels

    cache = tmp_path / "cache/noisymix_tf"
    assert_mended(tables := [*copy.rglob(".noisymix_tf*")])
    # Where nothing can be written beside the files, the user's cache has it.
    for table in tables:
        table.unlink()
    monkeypatch.setattr(pathlib.Path, "with_name", lambda *_: tmp_path / "no/t")
    (tmp_path / "no").touch()
    assert load(copy).train.labels.tolist() == labels
    assert_mended(cache.iterdir())
    load(copy_of(copy, tmp_path / "other"))  # Its tables are others.
    assert len(list(cache.iterdir())) == 4
    # Without a place for it the table is made every time.
    shutil.rmtree(cache.parent)
    cache.parent.touch()
    assert len(load(copy).train) == 23
    assert not list(tmp_path.rglob("*.partial"))


def test_damaged_files_are_named(prepared, tmp_path):
    shard, info = "*-train.*00001-of*", "dataset_info.json"
    for kind, name, change, words in (
        ("tfrecord", shard, None, "No such file or directory: "),
        ("tfrecord", shard, lambda old: old[:-7], "00003: it is cut short"),
        ("tfrecord", shard, lambda _: b"\5" * 99, "00003: it is cut short"),
        ("tfrecord", shard, lambda _: b"", " in train, but should have 23"),
        ("tfrecord", info, lambda _: b"{", "Cannot use the prepared"),
        ("tfrecord", info, None, "No ImageNet is prepared in "),
        ("tfrecord", info, lambda i: i.replace(b"idat", b""), "'validation'"),
        ("array_record", shard, lambda _: b"\5" * 99, "the ArrayRecord files"),
    ):
        copy = copy_of(prepared[kind], tmp_path / "damaged")
        (path,) = copy.rglob(name)
        content = path.read_bytes()
        path.unlink()
        if change:
            path.write_bytes(change(content))
        assert_usage_error(load, words, "repare", copy, root=copy)
        shutil.rmtree(copy)
    copy_of(prepared["tfrecord"], copy)
    bad = load(copy).train.read(4).numpy()
    for path in copy.rglob("*-train.*-of*"):
        path.write_bytes(path.read_bytes().replace(bad, bytes(len(bad))))
    assert_usage_error(load(copy).train.check, "byte ", "Replace or remove")


def test_the_walk_steps_over_images_of_any_length(tmp_path):
    def write(path, *records, label="label"):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for pixels, number, extra in records:
                example = tf.train.Example()
                features = example.features.feature
                features["image"].bytes_list.value.append(pixels)
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
    where = np.stack([0 * offsets, 0 * offsets, offsets])
    read = tf.function(TFRecordSplit([path], where, labels, 8).read)
    for place in (601, 3, 600, 0, *range(120, 140), 512):
        assert read(tf.constant(place)).numpy() == pictures[place]
    # Records of something else are refused.
    path = write(tmp_path / "b", (b"x", 3, b""), label="kind")
    assert_usage_error(lambda: find_records(path), "labels in ", "/b: the rec")
    path = write(tmp_path / "c", (b"x", -1, b""))
    assert_usage_error(lambda: find_records(path), "labels in ", "/c: ")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name, classes", [("cifar10", 10), ("cifar100", 100)])
def test_splits_are_in_order_of_ids(name, classes, tmp_path):
    """Images stay with their (fine) labels; the network is not asked."""
    draws = np.random.default_rng(0)
    builder = tfds.builder(name, data_dir=tmp_path)
    names = [f"class {i}" for i in range(classes)]
    builder.info.features["label"].names = names
    images = draws.integers(0, 256, [2 * classes, 32, 32, 3], np.uint8)

    def examples(split, images):
        for i in draws.permutation(len(images)):
            key = f"{split}_{i:05d}"
            example = {"id": key, "image": images[i], "label": i % classes}
            coarse = {"coarse_label": i % 20} if name == "cifar100" else {}
            yield key, {**example, **coarse}

    parts = {"train": images, "test": 255 - images}
    prepare(builder, {part: examples(part, parts[part]) for part in parts})
    load = functools.partial(data.load, name, data_dir=str(tmp_path))
    dataset = load()
    assert dataset.class_names == tuple(names)
    assert dataset.image_shape == (32, 32, 3) and dataset.flip
    assert dataset.mean == dataset.std == (0.5, 0.5, 0.5)
    for part, pixels in parts.items():
        assert_holds(getattr(dataset, part), pixels, [*range(classes)] * 2)
    (train,) = tmp_path.rglob("*-train.tfrecord*")
    info = train.with_name("dataset_info.json")
    cut = functools.partial(train.write_bytes, train.read_bytes()[:9000])
    for damage in (cut, train.unlink, lambda: info.write_text("{")):
        damage()
        assert_usage_error(load, tmp_path, "prepare it again")


def test_absent_is_one_line(tmp_path, monkeypatch, capfd):
    load = functools.partial(data.load, "cifar10", data_dir=tmp_path)
    fail = mock.Mock(side_effect=ConnectionError("reset\nlong story"))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    # A server that refuses to say more is there: the download is tried.
    for answer, reason in (
        (urllib.error.URLError("no host"), "no host"),
        (urllib.error.HTTPError("", 403, "no", {}, None), ": reset. Give"),
    ):
        asked = mock.Mock(side_effect=answer)
        monkeypatch.setattr(urllib.request, "urlopen", asked)
        words = ("cifar10, which is not", tmp_path, reason, "and_prepare()")
        assert_usage_error(load, *words)
        assert asked.call_args.args[0].method == "HEAD"
    assert list(tmp_path.iterdir()) == []
    assert "Variant folder" not in capfd.readouterr().err


def test_the_newest_version_that_is_finished_is_read(tmp_path):
    for name in ("2.0.0", "10.0.0", "9.0.0", "11.0.0-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset_info.json").touch()
    (tmp_path / "12.0.0").mkdir()
    assert named.newest_version(tmp_path) == str(tmp_path / "10.0.0")
