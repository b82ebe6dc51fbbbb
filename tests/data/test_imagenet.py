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
from support import picture_folders as folders
from support.usage import assert_usage_error

NUM = {"train": 23, "validation": 9}
KINDS = ("tfrecord", "array_record")


def examples(split):
    for i in range(NUM[split]):
        buffer = io.BytesIO()
        pixels = folders.picture([NUM[split], i], (60 + i, 300 - i))
        Image.fromarray(pixels).save(buffer, "jpeg", quality=95)
        buffer.seek(0)
        name = f"{split}_{i}.JPEG"
        label = (17 * i) % 1000
        yield name, {"image": buffer, "label": label, "file_name": name}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """`{format: data_dir}` of imagenet2012, written by its own builder."""
    roots = {}
    for kind in KINDS:
        root = roots[kind] = tmp_path_factory.mktemp(kind)
        builder = tfds.builder("imagenet2012", data_dir=root, file_format=kind)
        builder._split_generators = lambda _: {n: examples(n) for n in NUM}
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                try_download_gcs=False, num_shards=3
            )
        )
    return roots


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def copy(roots, kind, tmp_path):
    ignore = shutil.ignore_patterns(".noisymix_tf*")
    return shutil.copytree(roots[kind], tmp_path / "copy", ignore=ignore)


def load(root, **options):
    return data.load("imagenet", data_dir=root, **{"image_size": 32, **options})


@pytest.fixture(scope="module")
def imagenet(roots, kind):
    return load(roots[kind])


def shards(root, split="train"):
    return sorted(root.rglob(f"imagenet2012-{split}.*"))


def tables(root):
    return sorted(root.rglob(".noisymix_tf*"))


def test_what_it_is(imagenet, roots, kind):
    assert imagenet.class_names == imagenet_wnids()
    assert class_indices(["n01443537"], imagenet, "here") == [1]
    assert imagenet.train_crop == "resized" and imagenet.flip
    assert imagenet.image_shape == (32, 32, 3)
    assert (len(imagenet.train), len(imagenet.test)) == (23, 9)
    # By default the size of the benchmarks.
    usual = load(roots[kind], image_size=None)
    assert str(usual.test.preprocess) == "resize256-crop224"
    assert usual.image_shape == (224, 224, 3)


def test_it_is_known_by_its_files(copy):
    """Only the first image and the labels told prepared splits apart."""

    def word(part=None):
        test = load(copy).test
        return str((test if part is None else test.subset(part)).identity)

    before = word()
    assert word() == before and word(range(9)) == before
    assert len({before, word([0, 1]), word([1, 0])}) == 3
    os.utime(shards(copy, "validation")[0], (1, 1))
    assert word() != before
    assert which(word()) == which(before)


@pytest.mark.parametrize("split", NUM)
def test_every_image_is_found_with_its_label(imagenet, roots, kind, split):
    ours = imagenet.train if split == "train" else imagenet.test
    read = tf.function(ours.read, autograph=False)
    found = [
        (read(tf.constant(i)).numpy(), int(label))
        for i, label in enumerate(ours.labels)
    ]
    written = [(e["image"].getvalue(), e["label"]) for _, e in examples(split)]
    assert sorted(found) == sorted(written)
    # tensorflow-datasets has no graph that reads the other format.
    if kind == "tfrecord":
        records = tfds.builder("imagenet2012", data_dir=roots[kind]).as_dataset(
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        stored = [(r["image"], r["label"]) for r in tfds.as_numpy(records)]
        assert found == stored


def test_images_are_read_anywhere(imagenet):
    train = imagenet.train
    whole = np.concatenate([images for images, _ in train.batches(5)])
    order = [22, 0, 7, 7, 13]
    np.testing.assert_array_equal(train.fetch(tf.constant(order)), whole[order])
    part = train.subset([9, 2])
    np.testing.assert_array_equal(next(part.batches(2))[0], whole[[9, 2]])
    assert part.labels.tolist() == train.labels[[9, 2]].tolist()
    train.check()
    # Crops are of the whole image, and of the position's own seed.
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(4.5, 5.5))
    image = tf.io.decode_jpeg(train.read(3), dct_method="INTEGER_ACCURATE")
    seed = tf.random.experimental.stateless_fold_in([1, 2], 3)
    np.testing.assert_array_equal(
        train.fetch_crops(tf.constant([3]), [1, 2], crop)[0],
        crop.apply(image, seed, (32, 32)),
    )


# The table beside the files


def test_the_walk_is_remembered(copy, monkeypatch):
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


def rewrite(place, change, words):
    """A row: what a file becomes, and how it is called then."""

    def damage(root):
        path = shards(root)[place]
        path.write_bytes(change(path.read_bytes()))
        return [str(part).format(path) for part in words]

    return damage


def lose(root):
    path = shards(root)[1]
    path.unlink()
    return [f"{path} is missing"]


def lose_all(root):
    shutil.rmtree(root / "imagenet2012")
    words = f"No ImageNet is prepared in {root}/imagenet2012"
    return [words, "download_and_prepare"]


def spoil_info(root):
    (info,) = root.rglob("dataset_info.json")
    info.write_text("{")
    return ["Cannot use the prepared", "prepare it again"]


@pytest.mark.parametrize("kind", ["tfrecord"], indirect=True)
@pytest.mark.parametrize(
    "damage",
    [
        lose,
        lose_all,
        spoil_info,
        rewrite(1, lambda old: old[:-7], ["{} is damaged"]),
        rewrite(1, lambda old: b"\x05" * len(old), ["{} is damaged"]),
        rewrite(1, lambda _: b"", ["images in train, but should have 23"]),
    ],
)
def test_damaged_files_are_named(copy, damage):
    words = damage(copy)
    assert_usage_error(lambda: load(copy), *words)


@pytest.mark.parametrize("kind", ["array_record"], indirect=True)
def test_damaged_array_records_are_named(copy):
    path = shards(copy)[0]
    path.write_bytes(b"\x05" * 100)
    assert_usage_error(lambda: load(copy), path.parent, "again")


@pytest.mark.parametrize("kind", ["tfrecord"], indirect=True)
def test_a_damaged_image_is_named(copy):
    bad = load(copy).train.read(4).numpy()
    for path in shards(copy):
        content = path.read_bytes()
        path.write_bytes(content.replace(bad, b"\0" * len(bad)))
    words = ("byte ", "Replace or remove")
    assert_usage_error(load(copy).train.check, *words)


# TFRecord files of others


def record(**features):
    example = tf.train.Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.bytes_list.value.append(value)
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
    words = "a.tfrecord is damaged or holds no"
    assert_usage_error(lambda: find_records(path), words)
    offsets, labels = find_records(path, label="kind")
    assert labels.tolist() == [3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        TFRecordImages([path], [0], offsets).read(0)
