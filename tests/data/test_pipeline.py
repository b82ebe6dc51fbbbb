"""The input pipeline: every batch is a function of the seed and its step."""

import functools
import itertools
import re
import threading
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from tensorflow.python.data.experimental.ops import testing
from tensorflow.python.framework import op_def_registry

from noisymix_tf import augment, corruptions, data, rng
from noisymix_tf.data import pipeline, resident
from support import picture_folders as folders
from support.released_sets import noise, save_image
from support.usage import assert_usage_error as refused

gaussian, crop_flip = augment.gaussian_views, augment.random_crop_flip
BATCH, SIDE, NUM, STEPS = 4, 32, 27, 6  # Of an epoch, without three images.
KINDS = ["arrays", "files", "bmp", "records", "array_records", "joined", "read"]
SPLIT = data.ArraySplit(noise(NUM, 8, 10, 3), range(NUM))
# tf.data runs these in parallel though they have a state.
ALLOWED = r"(TFRecord|TensorSlice|Range)Dataset(V\d)?|If|While|\w+Call"


def take(batches, number):
    return list(itertools.islice(batches.as_numpy_iterator(), number))


def views(split, start=0, number=8, **options):
    options = {"batch_size": BATCH, **options}
    return take(data.views(split, start_step=start, **options), number)


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        list(map(same, one, other))


@pytest.mark.parametrize("seed, start", [(0, 0), (3, 5), (3, 8)])
def test_a_batch_is_what_its_seeds_make_of_its_images(seed, start):
    functions = {"standard": crop_flip, "augment": gaussian}
    batches = views(SPLIT, start, 9, seed=seed, **functions)
    for step, (made, labels) in enumerate(batches, start):
        epoch, place = divmod(step, STEPS)
        order = rng.permutation(rng.stream(seed, epoch, "shuffle"), NUM)
        rows = order[place * BATCH : (place + 1) * BATCH].numpy()
        same(labels, rows)
        key = rng.stream(seed, step, "standard")
        images = crop_flip(SPLIT.images[rows], key)
        same(made, gaussian(images, rng.stream(seed, step, "augment")))


def test_whole_or_image_by_image_or_in_a_part_it_is_the_same(monkeypatch):
    sizes = []

    def noted(images, seed, shard=(0, 1)):
        sizes.append(len(images))
        return gaussian(images, seed, shard=shard)

    own = {"standard": crop_flip, "augment": noted, "seed": 3}
    batches = views(SPLIT, 5, 9, **own)
    assert {*sizes} == {BATCH}
    monkeypatch.setattr(pipeline, "_PART", 8 * 10)
    sizes.clear()
    assert_same(views(SPLIT, 5, 9, **own), batches)
    assert {*sizes} == {1}
    ((half, _),) = views(SPLIT, 5, 1, shard=(1, 2), **own)
    same(half, batches[0][0][2:])


def test_shapes_are_static_and_batches_never_end_and_start_late():
    make = functools.partial(data.views, SPLIT, batch_size=BATCH)
    images = tf.TensorSpec([BATCH, 1, 8, 10, 3], tf.uint8)
    assert make().element_spec == (images, tf.TensorSpec([BATCH], tf.int32))
    assert data.steps_per_epoch(SPLIT, BATCH) == STEPS
    ((_, labels),) = take(make(batch_size=NUM), 1)
    assert sorted(labels) == list(range(NUM)) != list(labels)
    batches = make(augment=gaussian, threads=3)
    spec = tf.TensorSpec([BATCH, 2, 8, 10, 3], tf.float32)
    assert batches.element_spec[0] == spec
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    assert batches.options().threading.private_threadpool_size == 3
    assert batches.options().autotune.cpu_budget == 3
    bad = {"augment": lambda images, seed: images}
    refused(make, "augment must return", "[B, V, H, W, 3]", **bad)
    # A late start is as going through, into the next epoch, and reads no
    # skipped image.
    functions = {"standard": crop_flip, "augment": gaussian}
    through = views(SPLIT, **functions)
    assert_same(views(SPLIT, 4, 4, **functions), through[4:])
    assert len({images[:, 1:].tobytes() for images, _ in through}) == 8
    fetched = []

    class Spy(data.ArraySplit):
        def fetch(self, indices):
            note = lambda i: fetched.append(i) or i  # noqa: E731
            noted = tf.numpy_function(note, [indices], tf.int32)
            return tf.ensure_shape(super().fetch(noted), [BATCH, 8, 10, 3])

    spy, start = Spy(SPLIT.images, SPLIT.labels), 1_000_000 * STEPS + 4
    ((_, labels),) = views(spy, start, 1, threads=1, prefetch=1)
    # No more batches than threads, and those that are ready.
    assert 1 <= len(fetched) <= 5
    same(fetched[0], labels)


@pytest.fixture(scope="module")
def splits(tmp_path_factory, prepared):
    root, paths = tmp_path_factory.mktemp("images"), []
    for seed in range(NUM):
        paths.append(root / f"{seed}.{'bmp' if seed < 5 else 'jpg'}")
        folders.save(paths[-1], folders.picture(seed, (60 + seed, 90 - seed)))
    bmp = data.FileSplit(paths, np.arange(NUM), SIDE)
    files = bmp.subset(np.arange(5, NUM))
    load = functools.partial(data.load, "imagenet", image_size=SIDE)
    records = [load(data_dir=root).train for root in prepared.values()]
    read = load(data_dir=prepared["tfrecord"], read="sequential").train
    arrays = data.ArraySplit(noise(NUM, SIDE, SIDE, 3), range(NUM))
    # The share of the records is read ahead, those of the others are not.
    joined = data.JoinedSplit([arrays, files, records[0]])
    made = arrays, files, bmp, *records, joined, read
    return dict(zip(KINDS, made, strict=True))


def stateful(dataset):
    """Operations for which tf.data makes functions run one by one."""
    serial = tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor)
    graph = tf.compat.v1.GraphDef.FromString(serial.numpy())
    ops = {node.op for f in graph.library.function for node in f.node_def}
    known = filter(None, map(op_def_registry.get, ops))
    stateful = {each.name for each in known if each.is_stateful}
    return {name for name in stateful if not re.fullmatch(ALLOWED, name)}


@pytest.mark.parametrize(
    "kind",
    [  # What is joined has files and records in it.
        *("arrays", "bmp", "joined", "read"),
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("files", "records", "array_records")
        ),
    ],
)
def test_determinism_leaves_it_parallel(splits, monkeypatch, determinism, kind):
    """tf.data makes maps with stateful operations sequential."""
    split, crop = splits[kind], data.RandomResizedCrop()
    made = pipeline.index_batches
    images, labels = map(np.concatenate, zip(*split.batches(7)))
    same(labels, split.labels)
    rows = take(made(split, batch_size=BATCH), 8)
    expected = [(images[r][:, None], labels[r]) for _, (r, *_) in rows]
    wanted = ["FlatMap", *["ParallelInterleave"][: bool(split.encoded)]]
    wanted += ["ParallelMap" if kind == "arrays" else "MapAndBatch"]
    wanted += ["Zip[1]", "ParallelMap"]
    check = testing.assert_next(wanted)
    checked = lambda *given, **more: made(*given, **more).apply(check)  # noqa: E731
    monkeypatch.setattr(pipeline, "index_batches", checked)
    assert_same(views(split), expected)
    monkeypatch.undo()
    whole = data.views(split, batch_size=BATCH, crop=crop)
    assert not stateful(whole)
    # In the middle of an epoch the rest is the same.
    cropped = take(whole, 8)
    assert len({each.tobytes() for each, _ in cropped}) == 8
    assert not np.array_equal(cropped[0][0], expected[0][0])
    assert_same(views(split, 3, 5, threads=1, crop=crop), cropped[3:])


def test_a_stateful_operation_is_found(splits):
    """An element is taken out of a dataset, as it was of each record."""
    read = tf.data.Dataset.range(4).map(splits["records"].read)
    assert stateful(read) == {"DatasetToSingleElement"}
    functions = {"standard": crop_flip, "augment": augment.augmix_views}
    assert not stateful(data.views(SPLIT, batch_size=BATCH, **functions))


def test_crops_have_the_seed_of_their_step_and_parts_those_of_the_whole(splits):
    split, crop = splits["files"], data.RandomResizedCrop()
    make = functools.partial(views, split, 2, 1, seed=4, crop=crop)
    (whole,), (one,), (two,) = make(), make(shard=(0, 2)), make(shard=(1, 2))
    assert_same([list(map(np.concatenate, zip(one, two)))], [whole])
    key = rng.stream(4, 2, "crop")
    expected = split.fetch(tf.constant(whole[1] - 5), crop, key)
    same(whole[0][:, 0], expected)


def test_batches_wait_where_they_are_wanted(monkeypatch):
    """In the memory of one GPU; of many machines, on each its own rows."""
    part = functools.partial(data.views, SPLIT, batch_size=BATCH)
    whole, gpus = views(SPLIT), [tf.config.list_logical_devices("CPU")[1]]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: gpus)
    mirrored = mock.Mock(spec=tf.distribute.MirroredStrategy)
    feed = mirrored.distribute_datasets_from_function
    alone = None, tf.distribute.get_strategy()  # Keras gives the second.
    for strategy, place in (*((each, 1) for each in alone), (mirrored, 0)):
        made = data.distribute(strategy, lambda shard: part(shard=shard))
        assert next(iter(made))[0].device.endswith(f"CPU:{place}")
        assert_same(take(made, 8), whole)
    monkeypatch.setattr(pipeline, "_has_many_inputs", lambda _: True)
    for machine in range(2):
        context = tf.distribute.InputContext(2, machine, 4)
        feed.side_effect = lambda make, own=context: make(own)
        made = data.distribute(mirrored, lambda shard: part(shard=shard))
        rows = [slice(2 * machine + i, 2 * machine + i + 1) for i in range(2)]
        own = [(v[row], l[row]) for v, l in whole for row in rows]
        assert made.element_spec[0].shape == (1, 1, 8, 10, 3)
        assert_same(take(made, 16), own)


def corrupted(dataset):
    images, labels = zip(*dataset.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels), len(images)


def test_corrupted_equals_corrupt_on_arrays_or_files(tmp_path):
    images, labels = noise(7, 40, 36, 3), np.arange(7)
    paths = [save_image(tmp_path / f"{n}.png", images[n]) for n in range(7)]
    files = data.FileSplit(paths, labels, (40, 36))
    what = {"name": "snow", "severity": 3, "seed": 7, "table": "imagenet"}
    expected = corruptions.corrupt(images, **what)
    for source in ((images, labels), data.ArraySplit(images, labels), files):
        for batch_size in (3, 7, 20):
            dataset = data.corrupted(source, **what, batch_size=batch_size)
            assert dataset.element_spec[0].shape == (None, 40, 36, 3)
            for _ in range(2):
                made, made_labels, batches = corrupted(dataset)
                assert made.dtype == np.uint8 and made_labels.dtype == np.int32
                same(made, expected)
                same(made_labels, labels)
                assert batches == dataset.cardinality() == -(-7 // batch_size)


def test_corrupted_batches_keep_their_order_and_few_are_made_ahead(monkeypatch):
    real, made, later = corruptions.corrupt, [], threading.Event()
    digits = data.load("digits", test_examples=103).test
    options = {"batch_size": 10, "num_parallel_calls": 4}
    dataset = data.corrupted(digits, "fog", 2, **options)

    def corrupt(*arguments, indices, **options):
        made.append(indices)
        # The first batch waits until a later one is being made.
        later.set() if indices[0] else later.wait(30)
        return real(*arguments, indices=indices, **options)

    monkeypatch.setattr(corruptions, "corrupt", corrupt)
    images, labels, _ = corrupted(dataset)
    same(images, real(digits.images, "fog", 2))
    same(labels, digits.labels)
    options = {"batch_size": 1, "num_parallel_calls": 2}
    batches = iter(data.corrupted(digits, "brightness", 2, **options))
    made.clear()
    for taken in range(1, 21):
        next(batches)
        # Under way and finished in `map`, kept by `prefetch`.
        assert len(made) <= taken + 2 + 2 + 1


# So many that keys of 23 bits are drawn twice.
MANY = data.ArraySplit(noise(9000, 2, 2, 3), np.arange(9000))
ROUNDS = 0, 1, 2, 3, 24, 25


@pytest.fixture(scope="module")
def made():
    """Batches of the pipeline by step and seed."""
    found = {}
    for step, seed in itertools.product(ROUNDS, (0, 7)):
        where = {"batch_size": 4000, "seed": seed, "start_step": step}
        found[step, seed] = next(iter(data.views(MANY, **where)))
    return found


@pytest.mark.parametrize("compiled", [None, False, True])
def test_batches_from_the_device_are_the_same(made, compiled):
    """Orders of two seeds are kept apart."""
    batch = data.Resident(MANY, 4000).batch
    if compiled is not None:
        batch = tf.function(batch, jit_compile=compiled)
    # Back to an epoch that was left, too.
    for number, seed in [*made, (0, 0), (0, 7)]:
        images, labels = made[number, seed]
        step = tf.constant(number, tf.int64)
        found = batch(seed, step)
        same(found[0], images[:, 0])
        same(found[1], labels)
        assert found[0].dtype == tf.uint8 and found[1].dtype == tf.int32
        given = number if compiled is None else step
        same(batch(seed, given, (1, 2))[1], labels[2000:])


def test_the_device_refuses_what_it_cannot_keep(monkeypatch):
    digits = data.load("digits", train_examples=40)
    refused(lambda: data.Resident(object(), 4), "--input=device", "from files")
    monkeypatch.setattr(resident, "MOST_BYTES", digits.train.images.nbytes - 1)
    refused(lambda: data.Resident(digits.train, 4), "GiB", "--input=host")
