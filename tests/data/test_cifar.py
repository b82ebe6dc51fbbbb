"""CIFAR through tensorflow-datasets, prepared, absent and damaged."""

import shutil
import time

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf.data as data
from noisymix_tf.data import cifar
from noisymix_tf.errors import UsageError


@pytest.fixture(scope="module")
def prepared(data_dir):
    path = data_dir / "tensorflow_datasets"
    if not (path / "cifar10").is_dir():
        pytest.skip(f"no prepared CIFAR-10 at {path}")
    return path


@pytest.fixture(scope="module")
def cifar10(prepared):
    """Loaded in a world where any look at the network is a failure."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.create_connection", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        patch.setattr(cifar, "_reachable", refuse)
        return data.load("cifar10", data_dir=str(prepared))


def test_contract(cifar10):
    assert cifar10.num_classes == 10
    assert cifar10.class_names[0] == "airplane"
    assert cifar10.class_names[9] == "truck"
    assert cifar10.image_shape == (32, 32, 3)
    assert cifar10.mean == cifar10.std == (0.5, 0.5, 0.5)
    assert cifar10.flip and cifar10.padding == 4
    for split in (cifar10.train, cifar10.test):
        assert split.images.dtype == np.uint8
        assert split.images.shape == (len(split), 32, 32, 3)
        assert split.labels.dtype == np.int32
        counts = np.bincount(split.labels)
        assert counts.tolist() == [len(split) // 10] * 10


def test_order_is_that_of_the_released_files(cifar10):
    """The first labels of data_batch_1 and test_batch are well known."""
    assert cifar10.train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert cifar10.test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]


def test_images_stay_with_their_labels(cifar10, prepared):
    """Against a plain loop over some records, which carry their position."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=prepared)
    records = tfds.as_numpy(builder.as_dataset(split="test[:300]"))
    for record in records:
        position = int(record["id"].decode().removeprefix("test_"))
        np.testing.assert_array_equal(
            cifar10.test.images[position], record["image"]
        )
        assert cifar10.test.labels[position] == record["label"]


def test_subset_takes_the_first_thousand_of_each_class(cifar10, prepared):
    part = data.load(
        "cifar10", data_dir=prepared, train_examples=10_000, test_examples=2_000
    )
    assert np.bincount(part.train.labels).tolist() == [1_000] * 10
    assert np.bincount(part.test.labels).tolist() == [200] * 10
    for label in range(10):
        np.testing.assert_array_equal(
            part.train.images[part.train.labels == label],
            cifar10.train.images[cifar10.train.labels == label][:1_000],
        )


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_absent_and_offline_is_one_line(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(cifar, "_reachable", lambda url: False)
    with pytest.raises(UsageError) as caught:
        data.load(name, data_dir=tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"{name} is not prepared" in message
    assert str(tmp_path) in message
    assert "download_and_prepare" in message
    assert list(tmp_path.iterdir()) == []
    assert "Variant folder" not in capfd.readouterr().err


def test_unreachable_host_is_noticed_within_seconds():
    start = time.monotonic()
    assert not cifar._reachable("https://host.invalid/file.tar.gz")
    assert time.monotonic() - start < 10


def test_look_up_of_a_name_that_hangs_is_left_behind(monkeypatch):
    def hang(*_, **__):
        time.sleep(5)
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    start = time.monotonic()
    assert not cifar._reachable("https://host.invalid/", timeout=0.2)
    assert time.monotonic() - start < 3


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(self, **_):
        raise ConnectionError("reset by peer\nlong story")

    monkeypatch.setattr(cifar, "_reachable", lambda url: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UsageError) as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert "failed (reset by peer)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "truncated", "info"])
def test_damaged_directory_is_one_line(damage, prepared, tmp_path):
    for source in sorted((prepared / "cifar10").glob("*/*")):
        target = tmp_path / "cifar10" / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        is_train = "-train.tfrecord" in source.name
        if is_train and damage == "missing":
            continue
        if is_train and damage == "truncated":
            with source.open("rb") as file:
                target.write_bytes(file.read(100_000))
        elif source.name == "dataset_info.json" and damage == "info":
            target.write_text("{")
        else:
            shutil.copyfile(source, target)
    with pytest.raises(UsageError) as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "prepare it again" in str(caught.value)


def test_refuses_another_image_size(tmp_path):
    with pytest.raises(UsageError, match="cifar10 images are 32 x 32"):
        data.load("cifar10", data_dir=tmp_path, image_size=64)


def test_cifar100_by_a_small_prepared_copy(tmp_path):
    """Hundred classes; the coarse labels are not taken for the labels."""
    import tensorflow_datasets as tfds

    rng = np.random.default_rng(0)
    builder = tfds.builder("cifar100", data_dir=tmp_path)
    class_names = [f"class {i}" for i in range(100)]
    builder.info.features["label"].names = class_names
    images = rng.integers(0, 256, [200, 32, 32, 3], dtype=np.uint8)

    def examples(prefix):
        for i in rng.permutation(len(images)):
            yield (
                f"{prefix}_{i:05d}",
                {
                    "id": f"{prefix}_{i:05d}",
                    "image": images[i],
                    "label": i % 100,
                    "coarse_label": i % 20,
                },
            )

    builder._split_generators = lambda _: {
        "train": examples("train"),
        "test": examples("test"),
    }
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            register_checksums=False, try_download_gcs=False
        )
    )
    dataset = data.load("cifar100", data_dir=tmp_path)
    assert dataset.num_classes == 100
    assert dataset.class_names == tuple(class_names)
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, np.arange(200) % 100)
    fetched = dataset.train.fetch(tf.constant([7]))
    np.testing.assert_array_equal(fetched[0], images[7])
