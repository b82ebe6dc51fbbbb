"""Released sets that tensorflow-datasets has prepared, made by itself."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from numpy.testing import assert_array_equal as same

from noisymix_tf import data
from noisymix_tf.data.classes import imagenet_wnids
from noisymix_tf.data.released import IMAGENET_R_CLASSES as R
from noisymix_tf.data.released import corrupted_images, shifted_images
from support import released_sets
from support.corruption_oracle import photographs
from support.released_sets import assert_holds, collect, dataset, noise, prepare
from support.usage import assert_usage_error as refused

pytestmark = pytest.mark.usefixtures("offline")


def as_stored(folder, split):
    """Images and labels in the stored order, by tensorflow-datasets."""
    builder = tfds.builder_from_directory(folder)
    records = list(tfds.as_numpy(builder.as_dataset(split=split)))
    return [r["image"] for r in records], [int(r["label"]) for r in records]


def jpeg(label, image):
    """An example of ImageNet; its label is a synset."""
    name = f"{label}-{image.shape}.JPEG"
    label = imagenet_wnids()[label]
    return released_sets.imagenet_example(label, image, name)


def test_cifar(monkeypatch, tmp_path):
    """Names are those of the released files; cells are known by the files."""
    root, names = tmp_path / "a", "frosted_glass_blur_1 fog_2 elastic_5".split()
    folders = []
    for seed, name in enumerate(names):
        images = enumerate(noise(21, 32, 32, 3, seed=seed))
        examples = [{"image": image, "label": i % 10} for i, image in images]
        builder = tfds.builder(f"cifar10_corrupted/{name}", data_dir=root)
        folders.append(prepare(builder, {"test": enumerate(examples)}))
    there, full = f"tfds:{root}", dataset(10)
    cifar = corrupted_images(there, full)
    assert [*cifar.places] == ["glass_blur/1", "fog/2", "elastic_transform/5"]
    assert str(cifar.preprocess) == "as_stored"
    given = corrupted_images("tfds", full, data_dir=root)
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    assert given.places == cifar.places == corrupted_images("tfds", full).places
    for cell, folder in zip(cifar.places, folders):
        split = cifar.split(cell[:-2], int(cell[-1]))
        images, labels = as_stored(folder, "test")
        same(collect(split)[0], images)
    assert_holds(split, images, labels)
    part = data.classes.balanced_subset(split, 10, "it")
    assert sorted(collect(part)[1].tolist()) == list(range(10))
    # What is not there.
    empty, other = f"tfds:{tmp_path / 'empty'}", dataset(100, name="cifar100")
    small = corrupted_images(there, dataset(10, side=24))
    for call, words in (
        (lambda: cifar.split("fog", 3), "lacks fog/3"),
        (lambda: cifar.split("frost", 2), "(glass_blur, fog, elastic_tr"),
        (lambda: cifar.split("elastic", 5), "Unknown corruption"),
        (lambda: small.split("fog", 2), "such as resize24-crop24"),
        (lambda: corrupted_images(there, other), "d as imagenet2012_corrupted"),
        (lambda: corrupted_images(empty, full), f"{empty[5:]} does not exist"),
        (
            lambda: shifted_images(there, dataset(1000)),
            "prepared as imagenet_r",
        ),
    ):
        refused(call, words)
    assert list(tmp_path.iterdir()) == [root]
    for name in ("*.tfrecord*", "dataset_info.json"):
        (file,) = folders[1].glob(name)
        file.write_bytes(file.read_bytes()[:-2_000])
        cifar = corrupted_images(there, full)
        refused(lambda c=cifar: collect(c.split("fog", 2)), folders[1], "again")


def test_imagenet_c_and_imagenet_r(tmp_path):
    """Labels are synsets there, whatever the order of the dataset is."""
    examples = list(map(jpeg, (5, 700, 0), photographs(3, 224, 224)))
    builder = tfds.builder("imagenet2012_corrupted/snow_4", data_dir=tmp_path)
    folder = prepare(builder, {"validation": enumerate(examples)})
    stored, stored_labels = as_stored(folder, "validation")
    full = dataset(imagenet_wnids()[::-1], side=224, name="folder")
    opened = corrupted_images(f"tfds:{tmp_path}", full, preprocess="as_stored")
    assert [*opened.places] == ["snow/4"]
    made, labels, _ = collect(opened.split("snow", 4))
    assert labels.tolist() == [999 - label for label in stored_labels]
    # The accurate inverse DCT, as in Pillow, instead of the fast one.
    assert np.abs(made - np.array(stored, float)).max() <= 10
    usual = corrupted_images(f"tfds:{tmp_path}", full)
    resized = collect(usual.split("snow", 4))[0]
    same(resized, data.Preprocess(256, 224).apply(made))
    unnamed = dataset(1000, side=224, name="folder")
    split = corrupted_images(f"tfds:{tmp_path}", unnamed).split("snow", 4)
    assert split.labels.tolist() == stored_labels

    def opened(root="", classes=1000, preprocess=None):
        there = f"tfds:{tmp_path / root}"
        return shifted_images(there, dataset(classes), preprocess=preprocess)

    images = [photographs(1, 40 + i, 60)[0] for i in range(4)]
    examples = list(map(jpeg, (988, 1, 6, 1), images))
    builder = tfds.builder("imagenet_r", data_dir=tmp_path)
    folder = prepare(builder, {"test": enumerate(examples)})
    _, stored = as_stored(folder, "test")
    shifted = opened()
    assert shifted.classes == R
    assert str(shifted.preprocess) == "resize32-crop32"
    images, labels, _ = collect(shifted.split)
    assert images.shape == (4, 32, 32, 3)
    assert labels.tolist() == [R.index(label) for label in stored]
    assert labels.tolist() == shifted.split.labels.tolist()
    large = shifted_images("tfds", dataset(1000, side=224), data_dir=tmp_path)
    assert str(large.preprocess) == "resize256-crop224"
    refused(lambda: opened(preprocess="as_stored"), "several sizes")
    refused(lambda: opened(classes=10), "none of the 10 classes")
    for root, split in (("b", "test"), ("c", "train")):
        builder = tfds.builder("imagenet_r", data_dir=tmp_path / root)
        prepare(builder, {split: [(0, jpeg(0, images[0]))]})
    refused(lambda: opened("c"), "no images to test on")
    refused(lambda: opened("b"), "has images of other classes")
