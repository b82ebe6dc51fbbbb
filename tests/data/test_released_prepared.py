"""Released sets that tensorflow-datasets has prepared, made by itself."""

import io
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from noisymix_tf import data
from noisymix_tf.data.released import (
    IMAGENET_R_CLASSES,
    corrupted_images,
    shifted_images,
)
from noisymix_tf.data.released.classes import imagenet_wnids
from support.corruption_oracle import photographs
from support.released_sets import assert_holds, collect, dataset, noise
from support.usage import assert_usage_error


@pytest.fixture(scope="module", autouse=True)
def offline():
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.create_connection", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        yield


def prepare(root, name, split, examples):
    """Has the dataset's own builder write `examples` as it writes others."""
    builder = tfds.builder(name, data_dir=root)
    builder._split_generators = lambda _: {split: enumerate(examples)}
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
    return builder.data_path


def as_stored(folder, split):
    """Images and labels in the stored order, by tensorflow-datasets."""
    builder = tfds.builder_from_directory(folder)
    records = list(tfds.as_numpy(builder.as_dataset(split=split)))
    return [r["image"] for r in records], [int(r["label"]) for r in records]


def jpeg(label, image):
    """An example of ImageNet; its label is a synset."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=95)
    buffer.seek(0)
    name = f"{label}-{image.shape}.JPEG"
    label = imagenet_wnids()[label]
    return {"image": buffer, "label": label, "file_name": name}


STORED = {
    "glass_blur": "frosted_glass_blur_1",
    "fog": "fog_2",
    "elastic_transform": "elastic_5",
}


@pytest.fixture(scope="module")
def cifar_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    for seed, name in enumerate(STORED.values()):
        images = enumerate(noise(21, 32, 32, 3, seed=seed))
        examples = [{"image": image, "label": i % 10} for i, image in images]
        prepare(root, f"cifar10_corrupted/{name}", "test", examples)
    return root


@pytest.fixture(scope="module")
def cifar(cifar_root):
    return corrupted_images(f"tfds:{cifar_root}", dataset(10))


def test_cifar(cifar, cifar_root, monkeypatch):
    """Names are those of the released files."""
    assert cifar.names == tuple(STORED)
    assert cifar.layout == "tfds" and cifar.source == "released"
    assert cifar.severities("glass_blur") == (1,)
    assert cifar.severities("frost") == ()
    assert str(cifar_root) in cifar.description
    assert cifar.description.endswith("preprocess as_stored")
    given = corrupted_images("tfds", dataset(10), data_dir=cifar_root)
    assert given.names == cifar.names
    monkeypatch.setenv("TFDS_DATA_DIR", str(cifar_root))
    assert corrupted_images("tfds", dataset(10)).names == cifar.names
    for name, stored in STORED.items():
        folder = cifar_root / "cifar10_corrupted" / stored / "1.0.0"
        split = cifar.split(name, int(stored[-1]))
        images, labels = as_stored(folder, "test")
        np.testing.assert_array_equal(collect(split)[0], images)
    assert_holds(split, images, labels)
    part = data.subset.balanced_subset(split, 10, 10)
    assert sorted(collect(part)[1].tolist()) == list(range(10))


def test_cells_are_known_by_their_files(cifar, cifar_root):
    """Only the first image told them apart."""
    fog = cifar.split("fog", 2)
    words = [str(fog.identity), str(fog.subset([0, 3]).identity)]
    words += [str(cifar.split("glass_blur", 1).identity)]
    (shard,) = (cifar_root / "cifar10_corrupted/fog_2").rglob("*-of-*")
    before = shard.stat()
    os.utime(shard, (1, 1))
    words += [str(cifar.split("fog", 2).identity)]
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(set(words)) == 4
    assert str(cifar.split("fog", 2).identity) == words[0]


def test_what_is_not_there(cifar, cifar_root, tmp_path):
    there, empty = f"tfds:{cifar_root}", f"tfds:{tmp_path}"
    small = corrupted_images(there, dataset(10, side=24))
    cifar100 = dataset(100, name="cifar100")
    for call, words in (
        (lambda: cifar.split("fog", 3), "fog_3 is not prepared"),
        (lambda: cifar.split("glass_blur", 2), "(glass_blur, fog, elastic_tr"),
        (lambda: cifar.split("elastic", 5), "Unknown corruption"),
        (lambda: small.split("fog", 2), "such as resize24-crop24"),
        (
            lambda: corrupted_images(there, cifar100),
            "but not of cifar100: give",
        ),
        (
            lambda: corrupted_images(empty, dataset(10)),
            f"prepared in {tmp_path}",
        ),
        (lambda: shifted_images(empty, dataset(1000)), "No imagenet_r is prep"),
    ):
        assert_usage_error(call, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["cut", "info"])
def test_what_is_damaged(how, tmp_path):
    examples = [{"image": image, "label": 0} for image in noise(9, 32, 32, 3)]
    folder = prepare(tmp_path, "cifar10_corrupted/fog_1", "test", examples)
    (records,) = folder.glob("*.tfrecord*")
    if how == "cut":
        records.write_bytes(records.read_bytes()[:-2_000])
    else:
        (folder / "dataset_info.json").write_text("{")
    opened = corrupted_images(f"tfds:{tmp_path}", dataset(10))
    words = folder, "prepare it again"
    assert_usage_error(lambda: collect(opened.split("fog", 1)), *words)


def test_imagenet_c(tmp_path):
    """Labels are synsets there, whatever the order of the dataset is."""
    examples = map(jpeg, (5, 700, 0), photographs(3, 224, 224))
    folder = prepare(
        tmp_path, "imagenet2012_corrupted/snow_4", "validation", list(examples)
    )
    stored, stored_labels = as_stored(folder, "validation")
    full = dataset(imagenet_wnids()[::-1], side=224, name="folder")
    opened = corrupted_images(f"tfds:{tmp_path}", full, preprocess="as_stored")
    assert opened.names == ("snow",)
    made, labels, _ = collect(opened.split("snow", 4))
    assert labels.tolist() == [999 - label for label in stored_labels]
    # The accurate inverse DCT, as in Pillow, instead of the fast one.
    assert np.abs(made - np.array(stored, float)).max() <= 10
    usual = corrupted_images(f"tfds:{tmp_path}", full)
    assert str(usual.preprocess) == "resize256-crop224"
    resized, _, _ = collect(usual.split("snow", 4))
    expected = data.Preprocess(256, 224).apply(made)
    np.testing.assert_array_equal(resized, expected)
    unnamed = dataset(1000, side=224, name="folder")
    split = corrupted_images(f"tfds:{tmp_path}", unnamed).split("snow", 4)
    assert split.labels.tolist() == stored_labels


def test_imagenet_r(tmp_path):
    examples = [
        jpeg(label, photographs(1, 40 + i, 60)[0])
        for i, label in enumerate((988, 1, 6, 1))
    ]
    folder = prepare(tmp_path, "imagenet_r", "test", examples)
    _, stored = as_stored(folder, "test")
    full = dataset(1000, side=32, name="folder")
    shifted = shifted_images(f"tfds:{tmp_path}", full)
    assert shifted.classes == IMAGENET_R_CLASSES
    assert shifted.layout == "tfds"
    assert "ImageNet-R, 200 classes" in shifted.description
    assert str(shifted.preprocess) == "resize32-crop32"
    images, labels, _ = collect(shifted.split)
    assert images.shape == (4, 32, 32, 3)
    expected = [IMAGENET_R_CLASSES.index(label) for label in stored]
    assert labels.tolist() == shifted.split.labels.tolist() == expected
    large = shifted_images("tfds", dataset(1000, side=224), data_dir=tmp_path)
    assert str(large.preprocess) == "resize256-crop224"

    def refused(classes, preprocess, words):
        call = f"tfds:{tmp_path}", dataset(classes)
        assert_usage_error(
            lambda: shifted_images(*call, preprocess=preprocess), words
        )

    refused(1000, "as_stored", "several sizes")
    refused(10, None, "which are none of the 10 classes")


def test_a_class_that_is_not_of_imagenet_r(tmp_path):
    example = jpeg(0, photographs(1, 40, 40)[0])
    prepare(tmp_path, "imagenet_r", "test", [example])
    split = shifted_images(f"tfds:{tmp_path}", dataset(1000)).split
    assert_usage_error(lambda: collect(split), "an image of the class 0")
