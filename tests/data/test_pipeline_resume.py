"""A run that goes on in the middle of an epoch sees the same batches."""

import functools
import hashlib
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.data.experimental.ops import testing

from noisymix_tf import augment, data
from noisymix_tf.data import pipeline
from noisymix_tf.data.array_records import ArrayRecordImages
from noisymix_tf.data.prepared_split import PreparedSplit
from noisymix_tf.data.tfrecords import TFRecordImages, find_records

BATCH, SIDE = 4, 32
CLASSES, FILES = 3, 9  # 27 images: 6 steps in an epoch, 3 images left out
STEPS = 6


def photograph(seed):
    draws = np.random.default_rng(seed)
    small = Image.fromarray(draws.integers(0, 256, [5, 7, 3], np.uint8))
    size = (60 + seed, 90 - seed)
    return small.resize(size, Image.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for seed in range(CLASSES * FILES):
        for part in ("train", "val"):
            path = root / part / f"class{seed % CLASSES}" / f"{seed}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(seed).save(path)
    return data.load("folder", data_dir=str(root), image_size=SIDE).train


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    """The same images in two TFRecord files."""
    paths = [
        str(tmp_path_factory.mktemp("records") / f"{i}.tfrecord")
        for i in range(2)
    ]
    number = len(folder)
    for path, places in zip(paths, np.array_split(np.arange(number), 2)):
        with tf.io.TFRecordWriter(path) as writer:
            for place in places:
                writer.write(_example(folder, place))
    found = [find_records(path) for path in paths]
    files = np.repeat([0, 1], [len(part[0]) for part in found])
    offsets, labels = map(np.concatenate, zip(*found))
    images = TFRecordImages(paths, files, offsets)
    return PreparedSplit(images, labels, SIDE)


@pytest.fixture(scope="module")
def array_records(folder, tmp_path_factory):
    """The same images in an ArrayRecord file."""
    module = pytest.importorskip("array_record.python.array_record_module")
    path = str(tmp_path_factory.mktemp("records") / "a.array_record")
    writer = module.ArrayRecordWriter(path, "group_size:1")
    for place in range(len(folder)):
        writer.write(_example(folder, place))
    writer.close()
    return PreparedSplit(ArrayRecordImages([path]), folder.labels, SIDE)


@pytest.fixture(scope="module")
def joined(folder, records):
    """The same images: some in a tree of files, the others in records."""
    first = np.arange(10)
    rest = np.arange(10, len(folder))
    return data.JoinedSplit([folder.subset(first), records.subset(rest)])


@pytest.fixture(scope="module")
def bmp(tmp_path_factory):
    root = tmp_path_factory.mktemp("bmp")
    paths = [root / f"{seed}.bmp" for seed in range(8)]
    for seed, path in enumerate(paths):
        photograph(seed).save(path)
    return data.FileSplit(paths, [0] * len(paths), SIDE)


def _example(split, place):
    image = open(split.paths[place], "rb").read()
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(
            int64_list=tf.train.Int64List(value=[split.labels[place]])
        ),
    }
    features = tf.train.Features(feature=feature)
    return tf.train.Example(features=features).SerializeToString()


def noisy(images, seed):
    """Three views like AugMix', but cheaper to compile."""
    images = tf.cast(images, tf.float32)
    noise = tf.random.stateless_normal([2, *images.shape], seed)
    return tf.stack([images, images + noise[0], images + noise[1]], axis=1)


def digests(split, start=0, number=14, *, batch=BATCH, threads=2, **options):
    """SHA-256 of each batch, labels included."""
    options = {
        "crop": data.RandomResizedCrop(),
        "standard": functools.partial(augment.random_crop_flip, padding=0),
        "augment": noisy,
        **options,
    }
    batches = data.views(
        split,
        batch_size=batch,
        start_step=start,
        num_parallel_calls=threads,
        **options,
    )
    return [
        hashlib.sha256(views.tobytes() + labels.tobytes()).hexdigest()
        for views, labels in itertools.islice(
            batches.as_numpy_iterator(), number
        )
    ]


@pytest.fixture(scope="module")
def uninterrupted(folder):
    return digests(folder)


@pytest.mark.parametrize("start", [1, STEPS, STEPS + 4])
@pytest.mark.parametrize("kind", ["folder", "records"])
def test_the_rest_is_the_same(request, uninterrupted, kind, start):
    split = request.getfixturevalue(kind)
    rest = digests(split, start, len(uninterrupted) - start)
    assert rest == uninterrupted[start:]


def test_records_and_files_give_the_same_run(records, uninterrupted):
    assert digests(records) == uninterrupted


@pytest.mark.parametrize(
    "kind", ["folder", "records", "array_records", "joined", "bmp"]
)
def test_determinism_leaves_input_parallel(
    request, monkeypatch, determinism, kind
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
    assert len(digests(split, number=2)) == 2


@pytest.mark.parametrize("kind", ["records", "array_records"])
def test_determinism_leaves_input_as_it_is(
    request, determinism, uninterrupted, kind
):
    split = request.getfixturevalue(kind)
    assert digests(split, threads=3) == uninterrupted


def test_files_and_records_joined_are_read_in_their_order(folder, joined):
    """The share of the records is read ahead, that of the files is not."""
    crop = {"standard": None, "augment": None, "crop": None}
    assert digests(joined, **crop) == digests(folder, **crop)
    for ours, theirs in zip(joined.batches(7), folder.batches(7), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_threads_and_a_second_time_change_nothing(folder, uninterrupted):
    assert digests(folder, threads=1) == uninterrupted


def test_batches_differ_from_step_to_step_and_by_seed(folder, uninterrupted):
    other = digests(folder, seed=1)
    assert len({*uninterrupted, *other}) == 2 * len(uninterrupted)
    whole = digests(folder, number=1, crop=None)
    assert whole[0] != uninterrupted[0]


def test_parts_of_a_batch_crop_as_the_whole(folder):
    def first(shard):
        batches = data.views(
            folder,
            batch_size=BATCH,
            crop=data.RandomResizedCrop(),
            start_step=2,
            shard=shard,
        )
        return next(batches.as_numpy_iterator())[0]

    parts = [first((index, 2)) for index in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), first((0, 1)))


def test_augmix_of_crops(folder):
    augmix = functools.partial(augment.augmix_views, severity=3)
    whole = digests(folder, number=STEPS, augment=augmix)
    assert digests(folder, 4, 2, augment=augmix) == whole[4:]


def test_photographs_in_the_middle_of_an_epoch(data_dir):
    root = data_dir / "imagenette_small"
    if not root.is_dir():
        pytest.skip(f"no imagenette_small in {data_dir}")
    split = data.load("folder", data_dir=str(root), image_size=64).train
    split = split.subset(np.arange(0, len(split), 10))
    whole = digests(split, number=12, batch=8)
    assert digests(split, 7, 5, batch=8) == whole[7:]
    assert len(set(whole)) == 12
