"""CIFAR through tensorflow-datasets, prepared, absent and damaged."""

import functools
import threading
import urllib.error
import urllib.request
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

import noisymix_tf.data as data
from noisymix_tf.data import cifar
from support.usage import assert_usage_error


def prepare(name, root):
    """Writes a small copy in random order; returns its training images."""
    draws = np.random.default_rng(0)
    builder = tfds.builder(name, data_dir=root)
    label = builder.info.features["label"]
    classes = label.num_classes
    label.names = [f"class {i}" for i in range(classes)]
    images = draws.integers(0, 256, [2 * classes, 32, 32, 3], np.uint8)

    def examples(split, images):
        for i in draws.permutation(len(images)):
            key = f"{split}_{i:05d}"
            example = {"id": key, "image": images[i], "label": i % classes}
            coarse = {"coarse_label": i % 20} if name == "cifar100" else {}
            yield key, {**example, **coarse}

    builder._split_generators = lambda _: {
        "train": examples("train", images),
        "test": examples("test", 255 - images),
    }
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
    return images


@pytest.mark.parametrize("name, classes", [("cifar10", 10), ("cifar100", 100)])
def test_splits_are_in_order_of_ids(name, classes, tmp_path, monkeypatch):
    """Images stay with their (fine) labels; the network is not asked."""
    images = prepare(name, tmp_path)
    for way in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(f"socket.{way}", None)
    dataset = data.load(name, data_dir=str(tmp_path))
    assert dataset.class_names == tuple(f"class {i}" for i in range(classes))
    assert dataset.image_shape == (32, 32, 3) and dataset.flip
    assert dataset.mean == dataset.std == (0.5, 0.5, 0.5)
    np.testing.assert_array_equal(dataset.train.images, images)
    np.testing.assert_array_equal(dataset.test.images, 255 - images)
    for split in (dataset.train, dataset.test):
        assert split.images.dtype == np.uint8
        np.testing.assert_array_equal(split.labels, [*range(classes)] * 2)


def test_absent_is_one_line(tmp_path, monkeypatch, capfd):
    load = functools.partial(data.load, "cifar10", data_dir=tmp_path)
    fail = mock.Mock(side_effect=ConnectionError("reset\nlong story"))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    # A server that refuses to say more is there: the download is tried.
    for answer, reason in (
        (urllib.error.URLError("no host"), "cannot be reached"),
        (urllib.error.HTTPError("", 403, "no", {}, None), "(reset)"),
    ):
        asked = mock.Mock(side_effect=answer)
        monkeypatch.setattr(urllib.request, "urlopen", asked)
        words = ("cifar10 is not prepared", tmp_path, reason, "download_and_pr")
        assert_usage_error(load, *words)
        assert asked.call_args.args[0].method == "HEAD"
    assert list(tmp_path.iterdir()) == []
    assert "Variant folder" not in capfd.readouterr().err


def test_look_up_of_a_name_that_hangs_is_left_behind(monkeypatch):
    answer = threading.Event()
    hang = lambda *_, **__: answer.wait() and mock.Mock()  # noqa: E731
    monkeypatch.setattr(urllib.request, "urlopen", hang)
    # Privately, for the public way would wait for seconds.
    assert not cifar._reachable("https://host.invalid/", timeout=0.02)
    answer.set()


def test_damaged_directory_is_one_line(tmp_path):
    prepare("cifar10", tmp_path)
    (train,) = tmp_path.rglob("*-train.tfrecord*")
    info = train.with_name("dataset_info.json")
    call = functools.partial(data.load, "cifar10", data_dir=tmp_path)
    cut = functools.partial(train.write_bytes, train.read_bytes()[:9000])
    for damage in (cut, train.unlink, lambda: info.write_text("{")):
        damage()
        assert_usage_error(call, tmp_path, "prepare it again")
