"""The input pipeline: every batch is a function of the seed and its step."""

import functools
import itertools
import re
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from tensorflow.python.data.experimental.ops import testing
from tensorflow.python.framework import op_def_registry

from noisymix_tf import augment, data, rng
from noisymix_tf.data import pipeline
from support import picture_folders as folders
from support.released_sets import noise

gaussian, crop_flip = augment.gaussian_views, augment.random_crop_flip
augmix = functools.partial(augment.augmix_views, width=1, depth=1)
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
def test_a_batch_is_what_its_seeds_make_of_its_images(seed, start, monkeypatch):
    """Whole, or augmented image by image, also in a part of a batch."""
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
    monkeypatch.setattr(pipeline, "_PART", 8 * 10)
    sizes = []

    def noted(images, seed, shard):
        sizes.append(len(images))
        return gaussian(images, seed, shard=shard)

    functions["augment"] = noted
    assert_same(views(SPLIT, start, 9, seed=seed, **functions), batches)
    assert set(sizes) == {1}
    ((half, _),) = views(SPLIT, start, 1, seed=seed, shard=(1, 2), **functions)
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
    with pytest.raises(ValueError, match=r"\[B, V, H, W, 3\]"):
        make(augment=lambda images, seed: images)
    # A late start is as going through, into the next epoch, also of AugMix
    # views; and reads no skipped image.
    functions = {"standard": crop_flip, "augment": augmix}
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


@pytest.mark.parametrize("kind", KINDS)
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
    assert not stateful(data.views(split, batch_size=BATCH, crop=crop))
    # In the middle of an epoch the rest is the same.
    cropped = views(split, crop=crop)
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
