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
from noisymix_tf.errors import UsageError
from support.released_sets import collect, dataset, noise


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


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=95)
    return io.BytesIO(buffer.getvalue())


def smooth(height, width, seed):
    small = Image.fromarray(noise(4, 4, 3, seed=seed))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def error(function, *arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# CIFAR-10-C


@pytest.fixture(scope="module")
def cifar_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    for place, name in enumerate(
        ("fog_2", "frosted_glass_blur_1", "elastic_5")
    ):
        images = noise(25, 32, 32, 3, seed=place)
        examples = [
            {"image": image, "label": i % 10} for i, image in enumerate(images)
        ]
        prepare(root, f"cifar10_corrupted/{name}", "test", examples)
    return root


@pytest.fixture(scope="module")
def cifar(cifar_root):
    return corrupted_images(f"tfds:{cifar_root}", dataset(10))


def test_names_are_those_of_the_released_files(cifar, cifar_root):
    assert cifar.names == ("glass_blur", "fog", "elastic_transform")
    assert cifar.layout == "tfds" and cifar.source == "released"
    assert cifar.severities("glass_blur") == (1,)
    assert cifar.severities("frost") == ()
    assert str(cifar_root) in cifar.description
    assert cifar.description.endswith("preprocess as_stored")


@pytest.mark.parametrize(
    ("name", "severity", "stored"),
    [
        ("fog", 2, "fog_2"),
        ("glass_blur", 1, "frosted_glass_blur_1"),
        ("elastic_transform", 5, "elastic_5"),
    ],
)
def test_cifar(cifar, cifar_root, name, severity, stored):
    split = cifar.split(name, severity)
    assert len(split) == 25 and split.image_shape == (32, 32, 3)
    folder = cifar_root / "cifar10_corrupted" / stored / "1.0.0"
    expected, expected_labels = as_stored(folder, "test")
    images, labels, sizes = collect(split, 10)
    assert sizes == [10, 10, 5]
    np.testing.assert_array_equal(images, expected)
    assert labels.dtype == np.int32 and labels.tolist() == expected_labels
    assert split.labels.tolist() == expected_labels
    assert split.check() is None


def test_the_ways_to_name_the_directory(cifar_root, monkeypatch):
    given = corrupted_images("tfds", dataset(10), data_dir=cifar_root)
    assert given.names == ("glass_blur", "fog", "elastic_transform")
    monkeypatch.setenv("TFDS_DATA_DIR", str(cifar_root))
    assert corrupted_images("tfds", dataset(10)).names == given.names


@pytest.mark.parametrize("chosen", [[0, 3, 4, 24], [24, 4, 4, 0], range(2, 5)])
def test_subsets(cifar, chosen):
    split = cifar.split("fog", 2)
    images, labels, _ = collect(split, 25)
    part = split.subset(chosen)
    assert len(part) == len(chosen)
    made, made_labels, _ = collect(part, 3)
    np.testing.assert_array_equal(made, images[list(chosen)])
    assert made_labels.tolist() == labels[list(chosen)].tolist()
    assert part.labels.tolist() == labels[list(chosen)].tolist()
    again = collect(part.subset([0, 2]))[0]
    np.testing.assert_array_equal(again, made[[0, 2]])


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


def test_a_balanced_part(cifar):
    part = data.subset.balanced_subset(cifar.split("fog", 2), 10, 10)
    assert sorted(collect(part)[1].tolist()) == list(range(10))


def test_what_is_not_there(cifar, cifar_root, tmp_path):
    message = error(cifar.split, "fog", 3)
    assert "fog_3 is not prepared" in message
    assert "(glass_blur, fog, elastic_transform)" in message
    assert "frosted_glass_blur_2 is not" in error(cifar.split, "glass_blur", 2)
    assert "Unknown corruption" in error(cifar.split, "elastic", 5)
    message = error(corrupted_images, f"tfds:{tmp_path}", dataset(10))
    assert f"No cifar10_corrupted is prepared in {tmp_path}" in message
    assert list(tmp_path.iterdir()) == []
    cifar100 = dataset(100, name="cifar100")
    message = error(corrupted_images, f"tfds:{cifar_root}", cifar100)
    assert "but not of cifar100: give the directory of" in message
    small = dataset(10, side=24)
    opened = corrupted_images(f"tfds:{cifar_root}", small)
    assert "such as resize24-crop24" in error(opened.split, "fog", 2)


@pytest.mark.parametrize("how", ["cut", "info"])
def test_what_is_damaged(how, tmp_path):
    images = noise(9, 32, 32, 3)
    examples = [{"image": image, "label": 0} for image in images]
    folder = prepare(tmp_path, "cifar10_corrupted/fog_1", "test", examples)
    (records,) = folder.glob("*.tfrecord*")
    if how == "cut":
        records.write_bytes(records.read_bytes()[:-2_000])
    else:
        (folder / "dataset_info.json").write_text("{")
    opened = corrupted_images(f"tfds:{tmp_path}", dataset(10))

    def read():
        return collect(opened.split("fog", 1))

    message = error(read)
    assert str(folder) in message and "prepare it again" in message


# ImageNet


def test_imagenet_c(tmp_path):
    """Labels are synsets there, whatever the order of the dataset is."""
    wnids = imagenet_wnids()
    images = [smooth(224, 224, seed) for seed in range(3)]
    examples = [
        {"image": jpeg(image), "label": wnids[i], "file_name": f"{i}.JPEG"}
        for i, image in zip((5, 700, 0), images)
    ]
    folder = prepare(
        tmp_path, "imagenet2012_corrupted/snow_4", "validation", examples
    )
    stored, stored_labels = as_stored(folder, "validation")
    full = dataset(wnids[::-1], side=224, name="folder")
    opened = corrupted_images(f"tfds:{tmp_path}", full, preprocess="as_stored")
    assert opened.names == ("snow",)
    made, labels, _ = collect(opened.split("snow", 4))
    assert labels.tolist() == [999 - label for label in stored_labels]
    # The accurate inverse DCT, as in Pillow, instead of the fast one.
    assert np.abs(made - np.array(stored, float)).max() <= 6
    usual = corrupted_images(f"tfds:{tmp_path}", full)
    assert str(usual.preprocess) == "resize256-crop224"
    resized, _, _ = collect(usual.split("snow", 4))
    np.testing.assert_array_equal(
        resized, data.Preprocess(256, 224).apply(made)
    )
    unnamed = dataset(1000, side=224, name="folder")
    split = corrupted_images(f"tfds:{tmp_path}", unnamed).split("snow", 4)
    assert split.labels.tolist() == stored_labels


def test_imagenet_r(tmp_path):
    wnids = imagenet_wnids()
    taken = (988, 1, 6, 1)
    examples = [
        {
            "image": jpeg(smooth(40 + i, 60, i)),
            "label": wnids[label],
            "file_name": f"{wnids[label]}/{i}.jpg",
        }
        for i, label in enumerate(taken)
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
    assert labels.tolist() == expected
    assert shifted.split.labels.tolist() == expected
    large = shifted_images("tfds", dataset(1000, side=224), data_dir=tmp_path)
    assert str(large.preprocess) == "resize256-crop224"
    message = error(
        shifted_images, f"tfds:{tmp_path}", full, preprocess="as_stored"
    )
    assert "several sizes" in message and "resize256-crop224" in message
    message = error(shifted_images, f"tfds:{tmp_path}", dataset(10))
    assert "which are none of the 10 classes" in message


def test_a_class_that_is_not_of_imagenet_r(tmp_path):
    example = {
        "image": jpeg(smooth(40, 40, 0)),
        "label": imagenet_wnids()[0],
        "file_name": "a.jpg",
    }
    prepare(tmp_path, "imagenet_r", "test", [example])
    split = shifted_images(f"tfds:{tmp_path}", dataset(1000)).split
    assert "an image of the class 0" in error(collect, split)


def test_no_imagenet_r(tmp_path):
    message = error(shifted_images, f"tfds:{tmp_path}", dataset(1000))
    assert f"No imagenet_r is prepared in {tmp_path}" in message
