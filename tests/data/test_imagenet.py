"""ImageNet as tensorflow-datasets prepares it, made here of a few images."""

import io
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from noisymix_tf import data
from noisymix_tf.data import RandomResizedCrop
from noisymix_tf.data.identity import which
from noisymix_tf.data.released.classes import class_indices, imagenet_wnids
from noisymix_tf.data.tfrecords import TFRecordImages, find_records
from noisymix_tf.errors import UsageError

NUM = {"train": 23, "validation": 9}
KINDS = ("tfrecord", "array_record")


def image(seed, height=60, width=80):
    draws = np.random.default_rng(seed)
    small = Image.fromarray(draws.integers(0, 256, [6, 8, 3], np.uint8))
    return small.resize((width, height), Image.BICUBIC)


def examples(split):
    for i in range(NUM[split]):
        buffer = io.BytesIO()
        size = (60 + i, 300 - i)
        image(100 * len(split) + i, *size).save(buffer, "jpeg", quality=95)
        label = (17 * i) % 1000
        name = f"{split}_{i}.JPEG"
        buffer.seek(0)
        yield name, {"image": buffer, "label": label, "file_name": name}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """`{format: data_dir}` of imagenet2012, written by its own builder."""
    roots = {}
    for kind in KINDS:
        root = tmp_path_factory.mktemp(kind)
        builder = tfds.builder("imagenet2012", data_dir=root, file_format=kind)
        builder._split_generators = lambda _: {n: examples(n) for n in NUM}
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                try_download_gcs=False, num_shards=3
            )
        )
        roots[kind] = root
    return roots


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def imagenet(roots, kind):
    return data.load("imagenet", data_dir=str(roots[kind]), image_size=32)


def stored(builder, split):
    """Images and labels in the stored order, by tensorflow-datasets."""
    records = tfds.as_numpy(
        builder.as_dataset(
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
    )
    return [(record["image"], int(record["label"])) for record in records]


def contents(split):
    read = tf.function(split.read, autograph=False)
    return tuple(read(tf.constant(i)).numpy() for i in range(len(split)))


def error(**keywords):
    with pytest.raises(UsageError) as caught:
        data.load("imagenet", **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_it_is(imagenet):
    assert imagenet.num_classes == 1000
    assert imagenet.class_names == imagenet_wnids()
    assert class_indices(["n01443537"], imagenet, "here") == [1]
    assert imagenet.train_crop == "resized" and imagenet.flip
    assert imagenet.image_shape == (32, 32, 3)
    assert (len(imagenet.train), len(imagenet.test)) == (23, 9)


def test_it_is_known_by_its_files(roots, kind, tmp_path):
    """Only the first image and the labels told prepared splits apart."""
    root = shutil.copytree(roots[kind], tmp_path / "copy")

    def word(part=None):
        test = data.load("imagenet", data_dir=str(root), image_size=32).test
        return str((test if part is None else test.subset(part)).identity)

    before = word()
    assert word() == before and word(range(9)) == before
    assert len({before, word([0, 1]), word([1, 0])}) == 3
    shard = max(root.rglob("*validation*-of-*"))
    os.utime(shard, (1, 1))
    assert word() != before
    assert which(word()) == which(before)


@pytest.mark.parametrize("split", NUM)
def test_every_image_is_found_with_its_label(imagenet, roots, kind, split):
    ours = imagenet.train if split == "train" else imagenet.test
    found = list(zip(contents(ours), ours.labels.tolist()))
    written = [(e["image"].getvalue(), e["label"]) for _, e in examples(split)]
    assert sorted(found) == sorted(written)
    # tensorflow-datasets has no graph that reads the other format.
    if kind == "tfrecord":
        builder = tfds.builder("imagenet2012", data_dir=roots[kind])
        assert found == stored(builder, split)


def test_images_are_read_anywhere(imagenet):
    train = imagenet.train
    whole = np.concatenate([images for images, _ in train.batches(5)])
    order = [22, 0, 7, 7, 13]
    fetched = tf.function(train.fetch)(tf.constant(order))
    np.testing.assert_array_equal(fetched, whole[order])
    part = train.subset([9, 2])
    np.testing.assert_array_equal(next(part.batches(2))[0], whole[[9, 2]])
    assert part.labels.tolist() == train.labels[[9, 2]].tolist()
    train.check()


def test_crops_are_of_the_whole_image(imagenet):
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(4.5, 5.5))
    image = tf.io.decode_jpeg(
        imagenet.train.read(3), dct_method="INTEGER_ACCURATE"
    )
    seed = tf.random.experimental.stateless_fold_in([1, 2], 3)
    np.testing.assert_array_equal(
        imagenet.train.fetch_crops(tf.constant([3]), [1, 2], crop)[0],
        crop.apply(image, seed, (32, 32)),
    )


def test_by_default_the_size_of_the_benchmarks(roots):
    imagenet = data.load("imagenet", data_dir=str(roots["tfrecord"]))
    assert str(imagenet.test.preprocess) == "resize256-crop224"
    assert imagenet.image_shape == (224, 224, 3)


# The table beside the files


@pytest.fixture
def copy(roots, kind, tmp_path):
    shutil.copytree(
        roots[kind],
        tmp_path,
        ignore=shutil.ignore_patterns(".noisymix_tf*"),
        dirs_exist_ok=True,
    )
    return tmp_path


def tables(root):
    return sorted(root.rglob(".noisymix_tf*"))


def load(root):
    return data.load("imagenet", data_dir=str(root), image_size=32)


def test_the_walk_is_remembered(copy, kind, monkeypatch):
    labels = load(copy).train.labels.tolist()
    names = [path.name for path in tables(copy)]
    assert names == [".noisymix_tf_train.npz", ".noisymix_tf_validation.npz"]

    def refuse(*_, **__):
        raise AssertionError("read again")

    where = "noisymix_tf.data.prepared_split."
    monkeypatch.setattr(where + "find_records", refuse)
    monkeypatch.setattr(where + "ArrayRecordImages.labels", refuse)
    again = load(copy).train
    assert again.labels.tolist() == labels
    next(again.batches(3))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_or_old_table_is_made_anew(copy, damage):
    expected = load(copy).train.labels.tolist()
    for path in tables(copy):
        if damage is None:
            np.savez(path, labels=np.zeros(23), about=np.array(["old"]))
        else:
            path.write_bytes(damage)
    assert load(copy).train.labels.tolist() == expected
    before = [path.read_bytes() for path in tables(copy)]
    load(copy)
    assert [path.read_bytes() for path in tables(copy)] == before


def test_without_a_place_for_the_table_it_works_too(copy, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("read-only")

    monkeypatch.setattr("noisymix_tf.data.index_file.np.savez", refuse)
    assert len(load(copy).train) == 23
    assert not tables(copy)
    assert not list(copy.rglob("*.partial"))


# Mistakes


def shards(root, split="train"):
    return sorted(root.rglob(f"imagenet2012-{split}.*"))


def test_not_prepared(tmp_path):
    message = error(data_dir=str(tmp_path))
    assert f"No ImageNet is prepared in {tmp_path}/imagenet2012" in message
    assert "download_and_prepare" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preprocess": "as_stored"}, "several sizes"),
        ({"preprocess": "crop64", "image_size": 32}, "does not go with"),
        ({"image_size": 0}, "positive number"),
    ],
)
def test_sizes(roots, options, message):
    assert message in error(data_dir=str(roots["tfrecord"]), **options)


def test_a_missing_file_is_named(copy):
    path = shards(copy)[1]
    path.unlink()
    assert f"{path} is missing" in error(data_dir=str(copy))


@pytest.mark.parametrize("kind", ["tfrecord"], indirect=True)
@pytest.mark.parametrize("how", ["cut", "noise", "lost"])
def test_a_damaged_file_is_named(copy, how):
    path = shards(copy)[1]
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-7])
    elif how == "noise":
        path.write_bytes(b"\x05" * len(content))
    else:
        path.write_bytes(b"")
    message = error(data_dir=str(copy))
    if how == "lost":
        assert "images in train, but should have 23" in message
    else:
        assert f"{path} is damaged" in message


@pytest.mark.parametrize("kind", ["tfrecord"], indirect=True)
def test_a_damaged_image_is_named(copy):
    train = load(copy).train
    bad = train.read(4).numpy()
    for path in shards(copy):
        content = path.read_bytes()
        path.write_bytes(content.replace(bad, b"\0" * len(bad)))
    with pytest.raises(UsageError, match=r"byte \d+'.*Replace or remove"):
        load(copy).train.check()


# TFRecord files of others


def record(**features):
    kinds = {
        int: lambda v: tf.train.Feature(
            int64_list=tf.train.Int64List(value=[v])
        ),
        bytes: lambda v: tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[v])
        ),
    }
    example = tf.train.Example(
        features=tf.train.Features(
            feature={k: kinds[type(v)](v) for k, v in features.items()}
        )
    )
    return example.SerializeToString()


def test_the_walk_steps_over_images_of_any_length(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    draws = np.random.default_rng(0)
    lengths = [0, 1, 100, 127, 128, 400, 511, 512, 513, 5000, 70_000]
    pictures = [draws.bytes(length) for length in lengths]
    with tf.io.TFRecordWriter(path) as writer:
        for place, picture in enumerate(pictures):
            more = b"x" * place * 90
            writer.write(record(image=picture, label=place * 100, extra=more))
    offsets, labels = find_records(path)
    assert labels.tolist() == [100 * i for i in range(len(lengths))]
    images = TFRecordImages([path], np.zeros(len(labels)), offsets)
    read = tf.function(images.read)
    for place in (3, 10, 0, 7, *range(11)):
        assert read(tf.constant(place)).numpy() == pictures[place]


def test_records_of_something_else_are_refused(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(record(picture=b"x", kind=3))
    with pytest.raises(UsageError, match=r"a.tfrecord is damaged or holds no"):
        find_records(path)
    offsets, labels = find_records(path, label="kind")
    assert labels.tolist() == [3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        TFRecordImages([path], [0], offsets).read(0)
