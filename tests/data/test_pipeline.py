"""The input pipeline: every batch is a function of the seed and its step."""

import functools
import hashlib
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from noisymix_tf import augment, data, rng
from noisymix_tf.data import pipeline
from noisymix_tf.data.array_records import ArrayRecordImages
from noisymix_tf.data.prepared_split import PreparedSplit
from noisymix_tf.data.tfrecords import TFRecordImages, find_records
from support import picture_folders as folders

BATCH, SIDE, NUM = 4, 32, 27
STEPS = 6  # in an epoch; three images are left out

# Image i is filled with i, and so is its label.
FILLED = data.ArraySplit(
    np.tile(np.arange(NUM, dtype="u1")[:, None, None, None], [1, 4, 5, 3]),
    np.arange(NUM),
)


def shifted(images, seed):
    """Adds a random amount to each image."""
    amount = tf.random.stateless_uniform([BATCH, 1, 1, 1], seed, 0, 9, tf.int32)
    return images + tf.cast(amount, tf.uint8)


def noisy(images, seed):
    """Three views like AugMix', but cheaper to compile."""
    images = tf.cast(images, tf.float32)
    noise = tf.random.stateless_normal([2, *images.shape], seed)
    return tf.stack([images, images + noise[0], images + noise[1]], axis=1)


def take(batches, number):
    return list(itertools.islice(batches.as_numpy_iterator(), number))


@pytest.mark.parametrize(("seed", "start"), [(0, 0), (3, 5), (3, 8)])
def test_a_batch_is_what_its_seeds_make_of_its_images(seed, start):
    """Wherever training starts: no batch is left out, none comes twice."""
    batches = data.views(
        FILLED,
        batch_size=BATCH,
        seed=seed,
        start_step=start,
        standard=shifted,
        augment=noisy,
    )
    for step, (views, labels) in enumerate(take(batches, 9), start):
        epoch, place = divmod(step, STEPS)
        order = rng.permutation(rng.stream(seed, epoch, "shuffle"), NUM)
        rows = order[place * BATCH : (place + 1) * BATCH]
        np.testing.assert_array_equal(labels, rows)
        images = shifted(
            tf.gather(FILLED.images, rows), rng.stream(seed, step, "standard")
        )
        expected = noisy(images, rng.stream(seed, step, "augment"))
        np.testing.assert_array_equal(views[:, 0], expected[:, 0])
        np.testing.assert_allclose(views, expected, rtol=1e-5, atol=1e-4)


def test_an_epoch_shows_each_image_at_most_once_in_its_own_order():
    orders = []
    for seed in (0, 1):
        batches = pipeline.index_batches(NUM, batch_size=BATCH, seed=seed)
        steps, rows = zip(*take(batches, 10 * STEPS))
        assert steps == tuple(range(10 * STEPS))
        orders += np.reshape(rows, [10, STEPS * BATCH]).tolist()
    assert all(len(set(order)) == STEPS * BATCH for order in orders)
    assert all(min(order) >= 0 and max(order) < NUM for order in orders)
    assert len(set(map(tuple, orders))) == 20
    assert data.steps_per_epoch(FILLED, BATCH) == STEPS
    assert data.steps_per_epoch(FILLED, NUM) == 1
    ((_, labels),) = take(data.views(FILLED, batch_size=NUM), 1)
    assert sorted(labels) == list(range(NUM))


def test_shapes_are_static_and_batches_never_end():
    make = functools.partial(data.views, FILLED, batch_size=BATCH)
    views, labels = make().element_spec
    assert views == tf.TensorSpec([BATCH, 1, 4, 5, 3], tf.uint8)
    assert labels == tf.TensorSpec([BATCH], tf.int32)
    batches = make(augment=tf.function(noisy, jit_compile=True))
    spec = tf.TensorSpec([BATCH, 3, 4, 5, 3], tf.float32)
    assert batches.element_spec[0] == spec
    ((views, _),) = take(batches, 1)
    assert views.shape == (BATCH, 3, 4, 5, 3)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    with pytest.raises(ValueError, match=r"\[B, V, H, W, 3\]"):
        make(augment=lambda images, seed: images)


def test_late_start_reads_no_skipped_image():
    fetched = []

    class Spy(data.ArraySplit):
        def fetch(self, indices):
            def note(values):
                fetched.append(values)
                return values

            noted = tf.numpy_function(note, [indices], tf.int32)
            return tf.ensure_shape(super().fetch(noted), [BATCH, 4, 5, 3])

    batches = data.views(
        Spy(FILLED.images, FILLED.labels),
        batch_size=BATCH,
        start_step=1_000_000 * STEPS + 4,
        num_parallel_calls=1,
        prefetch=1,
    )
    ((_, labels),) = take(batches, 1)
    assert 1 <= len(fetched) <= 4
    np.testing.assert_array_equal(fetched[0], labels)


# Files of every kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for seed in range(NUM):
        image = folders.picture(seed, (60 + seed, 90 - seed))
        folders.save(root / "train" / f"{seed % 3}" / f"{seed}.jpg", image)
        folders.save(root / "val" / f"{seed % 3}" / f"{seed}.jpg", image)
    return data.load("folder", data_dir=root, image_size=SIDE).train


def example(split, place):
    made = tf.train.Example()
    feature = made.features.feature
    image = tf.io.read_file(split.paths[place]).numpy()
    feature["image"].bytes_list.value.append(image)
    feature["label"].int64_list.value.append(split.labels[place])
    return made.SerializeToString()


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    """The same images in two TFRecord files."""
    root = tmp_path_factory.mktemp("records")
    paths = [str(root / f"{i}.tfrecord") for i in range(2)]
    for path, places in zip(paths, np.array_split(np.arange(NUM), 2)):
        with tf.io.TFRecordWriter(path) as writer:
            for place in places:
                writer.write(example(folder, place))
    found = [find_records(path) for path in paths]
    files = np.repeat([0, 1], [len(part[0]) for part in found])
    offsets, labels = map(np.concatenate, zip(*found))
    return PreparedSplit(TFRecordImages(paths, files, offsets), labels, SIDE)


@pytest.fixture(scope="module")
def array_records(folder, tmp_path_factory):
    """The same images in an ArrayRecord file."""
    module = pytest.importorskip("array_record.python.array_record_module")
    path = str(tmp_path_factory.mktemp("records") / "a.array_record")
    writer = module.ArrayRecordWriter(path, "group_size:1")
    for place in range(NUM):
        writer.write(example(folder, place))
    writer.close()
    return PreparedSplit(ArrayRecordImages([path]), folder.labels, SIDE)


@pytest.fixture(scope="module")
def joined(folder, records):
    """The same images: some in a tree of files, the others in records."""
    first, rest = np.split(np.arange(NUM), [10])
    return data.JoinedSplit([folder.subset(first), records.subset(rest)])


@pytest.fixture(scope="module")
def bmp(tmp_path_factory):
    root = tmp_path_factory.mktemp("bmp")
    paths = [root / f"{seed}.bmp" for seed in range(8)]
    for seed, path in enumerate(paths):
        folders.save(path, folders.picture(seed, (60, 90)))
    return data.FileSplit(paths, [0] * len(paths), SIDE)


def digests(split, start=0, number=14, *, batch=BATCH, threads=2, **options):
    """SHA-256 of each batch, labels included."""
    batches = data.views(
        split,
        batch_size=batch,
        start_step=start,
        num_parallel_calls=threads,
        **{
            "crop": data.RandomResizedCrop(),
            "standard": functools.partial(augment.random_crop_flip, padding=0),
            "augment": noisy,
            **options,
        },
    )
    return [
        hashlib.sha256(views.tobytes() + labels.tobytes()).hexdigest()
        for views, labels in take(batches, number)
    ]


@pytest.fixture(scope="module")
def uninterrupted(folder):
    return digests(folder, threads=1)


@pytest.mark.parametrize(
    ("kind", "start"), [("folder", 10), ("records", 0), ("records", 5)]
)
def test_the_rest_is_the_same(request, uninterrupted, kind, start):
    """In the middle of an epoch, from files and records, by more threads."""
    split = request.getfixturevalue(kind)
    rest = digests(split, start, len(uninterrupted) - start, threads=3)
    assert rest == uninterrupted[start:]


@pytest.mark.parametrize(
    "kind", ["folder", "records", "array_records", "joined", "bmp"]
)
def test_determinism_leaves_input_parallel_and_as_it_is(
    request, monkeypatch, determinism, uninterrupted, kind
):
    """tf.data makes a parallel map sequential, and drops its prefetch, where a
    function holds a stateful operation that it does not know."""
    split = request.getfixturevalue(kind)
    wanted = ["ParallelMap", "Prefetch"]
    if split.reads_ahead:
        wanted = ["ParallelInterleave", *wanted]
    made = pipeline.index_batches
    monkeypatch.setattr(
        pipeline,
        "index_batches",
        # The choice of rows is the first map.
        lambda *arguments, **more: made(*arguments, **more).apply(
            testing.assert_next(["ParallelMap", *wanted])
        ),
    )
    found = digests(split, number=8)
    if kind in ("records", "array_records"):
        assert found == uninterrupted[:8]


def test_files_and_records_joined_are_read_in_their_order(folder, joined):
    """The share of the records is read ahead, that of the files is not."""
    plain = {"standard": None, "augment": None, "crop": None}
    assert digests(joined, **plain) == digests(folder, **plain)
    for ours, theirs in zip(joined.batches(7), folder.batches(7), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_batches_differ_from_step_to_step_and_by_seed(folder, uninterrupted):
    plain = {"standard": None, "augment": None}
    crops = digests(folder, number=7, **plain)
    others = digests(folder, number=7, seed=1, **plain)
    whole = digests(folder, number=7, crop=None, **plain)
    assert len({*uninterrupted, *crops, *others, *whole}) == 35


def test_parts_of_a_batch_crop_as_the_whole(folder):
    def first(shard):
        batches = data.views(
            folder,
            batch_size=BATCH,
            crop=data.RandomResizedCrop(),
            start_step=2,
            shard=shard,
        )
        return take(batches, 1)[0]

    parts = zip(*(first((index, 2)) for index in range(2)))
    for part, whole in zip(parts, first((0, 1))):
        np.testing.assert_array_equal(np.concatenate(part), whole)


@pytest.mark.slow
def test_augmix_of_photographs_in_the_middle_of_an_epoch(data_dir):
    root = data_dir / "imagenette_small"
    if not root.is_dir():
        pytest.skip(f"no imagenette_small in {data_dir}")
    split = data.load("folder", data_dir=str(root), image_size=64).train
    split = split.subset(np.arange(0, len(split), 10))
    augmix = functools.partial(augment.augmix_views, severity=3)
    whole = digests(split, number=12, batch=8, augment=augmix)
    assert digests(split, 7, 5, batch=8, augment=augmix) == whole[7:]
    assert len(set(whole)) == 12
