"""ImageNet read from start to end, from a disk or a bucket."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import data, rng
from noisymix_tf.data import options, pipeline
from noisymix_tf.data.sequential import SequentialSplit
from support.released_sets import collect
from support.usage import assert_usage_error

gfile = tf.io.gfile


def load(root, read="sequential", **options):
    options = {"image_size": 16, "data_dir": root, "read": read, **options}
    return data.load("imagenet", **options)


@pytest.fixture(scope="module")
def bucket(prepared):
    """The files in TensorFlow's memory, which Python's functions cannot see."""
    (version,) = (prepared["tfrecord"] / "imagenet2012").iterdir()
    for path in version.glob("[!.]*"):
        place = f"ram://bucket/imagenet2012/{version.name}/{path.name}"
        gfile.makedirs(os.path.dirname(place))
        gfile.copy(str(path), place, overwrite=True)
    return "ram://bucket"


def test_an_epoch_has_every_image_once_and_goes_on_anywhere(bucket):
    paths = sorted(gfile.glob(f"{bucket}/imagenet2012/*/*-train*")) * 4
    records = list(tf.data.TFRecordDataset(paths).as_numpy_iterator())
    lengths = [sum(1 for _ in tf.data.TFRecordDataset(p)) for p in paths]
    file_of = np.repeat(np.arange(12), lengths)

    def order(paths, seed, start=0):
        split = SequentialSplit(paths, lengths, 16, window=5)
        start = tf.constant(start, tf.int64)
        images = split.epoch(tf.constant([seed, 3]), start).as_numpy_iterator()
        found = list(images)
        assert all(record == records[index] for index, record in found)
        return np.array([index for index, _ in found], int)

    one, two = order(paths, 0), order(paths, 1)
    for again, alike in ((order(paths, 0), True), (two, False)):
        assert np.array_equal(one, again) == alike
        assert sorted(again) == list(range(92))
    files = file_of[one]
    end = next(n for n in range(92) if len(set(files[: n + 1])) > 8)
    for start in (1, 33, end, 92):
        same(order(paths, 0, start), one[start:])
    # Eight files are mixed and read from their beginnings, but not in order.
    assert not set(files[:end]) & set(files[end:])
    assert len(set(files[:16])) > 4
    ranks = np.concatenate([np.arange(length) for length in lengths])[one]
    assert ranks[:16].max() < 7
    assert any((np.diff(ranks[files == n]) < 0).any() for n in range(12))
    # To go on with the other files, these are not touched.
    lost = [p if n not in files[:end] else "gone" for n, p in enumerate(paths)]
    assert len(order(lost, 0, end)) == 92 - end
    with pytest.raises(tf.errors.NotFoundError):
        order(lost, 0, end - 1)


def test_images_labels_and_crops_are_those_of_random_access(prepared, bucket):
    anywhere, there = load(prepared["tfrecord"], "random"), load(bucket)
    assert there.class_names == anywhere.class_names
    assert len(there.train) == 23 and there.test.files == ()
    part = there.test.subset([1, 4, 7, 8]).subset([0, 1, 3])
    for ours, theirs in (
        (there.test, anywhere.test),
        (part, anywhere.test.subset([1, 4, 8])),
    ):
        same(ours.labels, theirs.labels)
        for one, other in zip(collect(ours), collect(theirs)):
            same(one, other)
    crop, options = data.RandomResizedCrop(), {"batch_size": 4, "start_step": 3}
    made = data.views(there.train, crop=crop, **options).as_numpy_iterator()
    rows = pipeline.index_batches(there.train, **options).as_numpy_iterator()
    for step in range(3, 8):
        (images, labels), (number, (own, _)) = next(made), next(rows)
        key = rng.stream(0, step, "crop")
        expected = anywhere.train.fetch(tf.constant(own), crop, key)
        same(images[:, 0], expected)
        same(labels, anywhere.train.labels[own])
        assert number == step
    # What they are is known without reading them.
    ids = {str(each.identity) for each in (part, there.test, there.train)}
    assert len(ids) == 3 and str(load(bucket).train.identity) in ids


def test_what_cannot_be_read_from_start_to_end_is_one_line(prepared, tmp_path):
    copy = shutil.copytree(prepared["tfrecord"], tmp_path / "copy")
    (info,) = copy.rglob("dataset_info.json")
    older = info.parent.with_name("4.10.0") / info.name
    older.parent.mkdir()
    older.write_text("{")
    split, index = load(copy).test, tf.constant([0])
    part = split.subset([1])
    for words, wrong in (
        ("--dataset=digits", lambda: data.load("digits", read="sequential")),
        ("--train_examples does", lambda: load(copy, train_examples=1000)),
        ("--extra_data_dirs does", lambda: load(copy, extra_data_dirs=["a"])),
        ("read='often'", lambda: load(copy, read="often")),
        ("only tfrecord can", lambda: load(prepared["array_record"])),
        ("a prepared imagenet2012 in", lambda: load(tmp_path / "nowhere")),
        ("no version of it", lambda: load("ram://nowhere")),
        ("one here and one there", lambda: split.fetch(index)),
        ("one here and one there", lambda: split.subset([3, 1])),
        ("--train_examples", lambda: data.views(part, batch_size=1)),
        ("--read=sequential, imagenet", lambda: load("gs://b", "random")),
        ("gs://b is no path", lambda: options.DataConfig(data_dir="gs://b")),
    ):
        assert_usage_error(wrong, words)
    given = {"dataset": "imagenet", "data_dir": "gs://b", "read": "sequential"}
    assert options.DataConfig(**given).data_dir == "gs://b"
    # The description tells of one record more, or a record is cut.
    content = json.loads(info.read_text())
    lengths = content["splits"][1]["shardLengths"]
    lengths[0] = str(int(lengths[0]) + 1)
    info.write_text(json.dumps(content))
    longer = load(copy).test
    named = f"00000-of-0000{len(lengths)}, record {int(lengths[0]) - 1}"
    for read in (longer.check, lambda: list(longer.batches(4))):
        assert_usage_error(read, named, "Prepare the dataset again")
    (path,) = copy.rglob("*-train*1-of*")
    before = load(copy).train.identity
    os.utime(path, (1, 1))
    after = load(copy).train.identity
    assert after.times != before.times
    assert dataclasses.replace(after, times=before.times) == before
    path.write_bytes(path.read_bytes()[:-7])
    assert_usage_error(load(copy).train.check, "00001-of-00003, record 6")
    path.unlink()
    assert_usage_error(lambda: load(copy), "00001-of-00003 is missing")
