"""The input pipeline: every batch is a function of the seed and its step."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from noisymix_tf import augment, data, rng
from noisymix_tf.data import pipeline
from support import picture_folders as folders
from support.released_sets import noise

gaussian, crop_flip = augment.gaussian_views, augment.random_crop_flip
BATCH, SIDE, NUM = 4, 32, 27
STEPS = 6  # in an epoch; three images are left out
KINDS = ["files", "bmp", "records", "array_records", "joined"]
SPLIT = data.ArraySplit(noise(NUM, 8, 10, 3), range(NUM))


def take(batches, number):
    return list(itertools.islice(batches.as_numpy_iterator(), number))


def views(split, start=0, number=8, threads=2, **options):
    options = {"batch_size": BATCH, "num_parallel_calls": threads, **options}
    return take(data.views(split, start_step=start, **options), number)


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("seed, start", [(0, 0), (3, 5), (3, 8)])
def test_a_batch_is_what_its_seeds_make_of_its_images(seed, start):
    functions = {"standard": crop_flip, "augment": gaussian}
    batches = views(SPLIT, start, 9, seed=seed, **functions)
    for step, (made, labels) in enumerate(batches, start):
        epoch, place = divmod(step, STEPS)
        order = rng.permutation(rng.stream(seed, epoch, "shuffle"), NUM)
        rows = order[place * BATCH : (place + 1) * BATCH].numpy()
        np.testing.assert_array_equal(labels, rows)
        key = rng.stream(seed, step, "standard")
        images = crop_flip(SPLIT.images[rows], key)
        expected = gaussian(images, rng.stream(seed, step, "augment"))
        np.testing.assert_array_equal(made, expected)


def test_shapes_are_static_and_batches_never_end_and_start_late():
    make = functools.partial(data.views, SPLIT, batch_size=BATCH)
    images, labels = make().element_spec
    assert images == tf.TensorSpec([BATCH, 1, 8, 10, 3], tf.uint8)
    assert labels == tf.TensorSpec([BATCH], tf.int32)
    assert data.steps_per_epoch(SPLIT, BATCH) == STEPS
    ((_, labels),) = take(make(batch_size=NUM), 1)
    assert sorted(labels) == list(range(NUM)) != list(labels)
    batches = make(augment=gaussian)
    spec = tf.TensorSpec([BATCH, 2, 8, 10, 3], tf.float32)
    assert batches.element_spec[0] == spec
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    with pytest.raises(ValueError, match=r"\[B, V, H, W, 3\]"):
        make(augment=lambda images, seed: images)
    # A late start is as going through, into the next epoch, also of AugMix
    # views; and reads no skipped image.
    augmix = functools.partial(augment.augmix_views, width=1, depth=1)
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
    assert 1 <= len(fetched) <= 4
    np.testing.assert_array_equal(fetched[0], labels)


@pytest.fixture(scope="module")
def splits(tmp_path_factory, imagenet_roots):
    root = tmp_path_factory.mktemp("images")
    paths = []
    for seed in range(NUM):
        paths.append(root / f"{seed}.{'bmp' if seed < 5 else 'jpg'}")
        folders.save(paths[-1], folders.picture(seed, (60 + seed, 90 - seed)))
    bmp = data.FileSplit(paths, np.arange(NUM), SIDE)
    files = bmp.subset(np.arange(5, NUM))
    records, array_records = (
        data.load("imagenet", data_dir=root, image_size=SIDE).train
        for root in imagenet_roots.values()
    )
    # The share of the records is read ahead, that of the files is not.
    joined = data.JoinedSplit([files, records])
    return dict(zip(KINDS, (files, bmp, records, array_records, joined)))


@pytest.mark.parametrize("kind", KINDS)
def test_determinism_leaves_it_parallel(splits, monkeypatch, determinism, kind):
    """tf.data makes maps with stateful operations sequential."""
    split = splits[kind]
    ahead = ["ParallelInterleave"] if split.reads_ahead else []
    # The choice of rows is the first map.
    wanted = ["ParallelMap", *ahead, "ParallelMap", "Prefetch"]
    made = pipeline.index_batches
    images, labels = map(np.concatenate, zip(*split.batches(7)))
    np.testing.assert_array_equal(labels, split.labels)
    rows = take(made(len(split), batch_size=BATCH), 8)
    expected = [(images[own][:, None], labels[own]) for _, own in rows]
    check = testing.assert_next(wanted)
    checked = lambda *given, **more: made(*given, **more).apply(check)  # noqa: E731
    monkeypatch.setattr(pipeline, "index_batches", checked)
    assert_same(views(split), expected)
    crop = data.RandomResizedCrop()
    cropped = views(split, threads=3, crop=crop)
    assert len({each.tobytes() for each, _ in cropped}) == 8
    assert not np.array_equal(cropped[0][0], expected[0][0])
    # In the middle of an epoch the rest is the same.
    monkeypatch.undo()
    assert_same(views(split, 3, 5, threads=1, crop=crop), cropped[3:])


def test_crops_have_the_seed_of_their_step_and_parts_those_of_the_whole(splits):
    split, crop = splits["files"], data.RandomResizedCrop()
    make = functools.partial(views, split, 2, 1, seed=4, crop=crop)
    (whole,), (one,), (two,) = make(), make(shard=(0, 2)), make(shard=(1, 2))
    assert_same([list(map(np.concatenate, zip(one, two)))], [whole])
    key = rng.stream(4, 2, "crop")
    expected = split.fetch_crops(tf.constant(whole[1] - 5), key, crop)
    np.testing.assert_array_equal(whole[0][:, 0], expected)
