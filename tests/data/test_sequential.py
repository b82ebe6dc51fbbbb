"""Images read from start to end, and batches that other processes make."""

import contextlib
import dataclasses
import json
import os
import shutil
import socket

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import augment, data, rng
from noisymix_tf.commands import data_service
from noisymix_tf.data import options, pipeline, service
from noisymix_tf.data.sequential import SequentialSplit
from support import door_processes
from support.released_sets import collect, noise
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


@pytest.mark.slow
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
    pairs = (there.test, anywhere.test), (part, anywhere.test.subset([1, 4, 8]))
    for ours, theirs in pairs:
        same(ours.labels, theirs.labels)
        list(map(same, collect(ours), collect(theirs)))
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


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        return [s.bind(("", 0)) or s.getsockname()[1] for s in sockets]


@pytest.mark.slow
def test_batches_are_those_made_here_in_the_same_order(prepared, tmp_path):
    """By processes of their own: parts of batches, from within an epoch."""
    first, *others = (f"localhost:{port}" for port in free_ports(3))
    lines = [f"--port={first[10:]} --workers={','.join(others)}"]
    lines += [f"--dispatcher={first} --port={place[10:]}" for place in others]
    read = {"image_size": 8, "read": "sequential"}
    read["data_dir"] = prepared["tfrecord"]
    arrays = data.ArraySplit(noise(60, 8, 8, 3), range(60))
    records = data.load("imagenet", **read).train
    options = {"batch_size": 16, "seed": 5, "start_step": 4, "shard": (1, 2)}
    # The views are compiled as AugMix is, in a hundredth of the time.
    options["standard"] = augment.random_crop_flip
    options["augment"] = augment.gaussian_views
    with contextlib.ExitStack() as servers:
        for line in lines:
            log = tmp_path / f"{line}.log"
            server = ("noisymix_tf", "data-service", *line.split())
            servers.enter_context(door_processes.Process(*server, log=log))
        crop = data.RandomResizedCrop()
        for split, options["crop"] in ((arrays, None), (records, crop)):
            there = data.views(split, service=f"grpc://{first}", **options)
            here = data.views(split, **options)
            assert there.element_spec == here.element_spec
            for pairs in zip(there.take(5), here):
                for theirs, ours in zip(*pairs, strict=True):
                    np.testing.assert_array_equal(theirs, ours)

    # Order is restored, and a lost batch noticed. Privately, here and below:
    # workers take no turns that a test wants.
    def arrival(*steps):
        steps = tf.constant(steps, tf.int64)
        return tf.data.Dataset.from_tensor_slices((steps, steps * 10))

    batches = arrival(6, 8, 5, 10, 7, 9, 11, 12)
    ordered = service._in_order(batches, 2, start_step=5)
    assert [*ordered.as_numpy_iterator()] == [*range(50, 130, 10)]
    checked = iter(service._in_order(arrival(3, 4, 6), 1, start_step=3))
    assert [int(next(checked)) for _ in range(2)] == [30, 40]
    with pytest.raises(tf.errors.InvalidArgumentError, match="lost a worker"):
        next(checked)


def test_who_waits_for_others_says_so_and_ends(monkeypatch, capsys):
    """It waited in silence, without end, and not even Ctrl-C ended it."""
    # Private: it is three seconds.
    monkeypatch.setattr(service, "_SILENT_SECONDS", 0.1)
    count, worker = service.count_workers, data_service.worker
    listed = [], ["localhost"]
    servers = [data_service.dispatcher(0, each) for each in listed]
    unlisted, address = (server.target for server in servers)
    servers.append(worker(unlisted.removeprefix("grpc://"), 0))
    said = assert_usage_error(lambda: count(unlisted), "list of its workers")
    assert "no answer" not in said
    where = {"address": address, "timeout": 0.2}
    assert_usage_error(count, "no answer of its workers", **where)
    said = capsys.readouterr().err
    assert f"Waiting for --data_service={address} and its" in said
    assert said.endswith(", up to 0.2 s\n")
    # Ends the client that waits.
    servers.append(worker(address.removeprefix("grpc://"), 0))
    assert count(address) == 1
    for server in reversed(servers):
        server._stop()
    place = f"localhost:{free_ports(1)[0]}"
    where = {"dispatcher": place, "port": 0, "timeout": 0.2}
    assert_usage_error(worker, f"--dispatcher={place}: nothing", **where)
    said = f"Waiting for the dispatcher {place}, up to 0.2 s\n"
    assert capsys.readouterr().err.endswith(said)
