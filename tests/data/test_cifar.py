"""CIFAR through tensorflow-datasets, prepared, absent and damaged."""

import functools
import urllib.error
import urllib.request
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

import noisymix_tf.data as data
from noisymix_tf.data import named
from support.released_sets import prepare
from support.usage import assert_usage_error


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name, classes", [("cifar10", 10), ("cifar100", 100)])
def test_splits_are_in_order_of_ids(name, classes, tmp_path):
    """Images stay with their (fine) labels; the network is not asked."""
    draws = np.random.default_rng(0)
    builder = tfds.builder(name, data_dir=tmp_path)
    names = [f"class {i}" for i in range(classes)]
    builder.info.features["label"].names = names
    images = draws.integers(0, 256, [2 * classes, 32, 32, 3], np.uint8)

    def examples(split, images):
        for i in draws.permutation(len(images)):
            key = f"{split}_{i:05d}"
            example = {"id": key, "image": images[i], "label": i % classes}
            coarse = {"coarse_label": i % 20} if name == "cifar100" else {}
            yield key, {**example, **coarse}

    parts = {"train": images, "test": 255 - images}
    prepare(builder, {part: examples(part, parts[part]) for part in parts})
    load = functools.partial(data.load, name, data_dir=str(tmp_path))
    dataset = load()
    assert dataset.class_names == tuple(names)
    assert dataset.image_shape == (32, 32, 3) and dataset.flip
    assert dataset.mean == dataset.std == (0.5, 0.5, 0.5)
    for part, pixels in parts.items():
        split = getattr(dataset, part)
        np.testing.assert_array_equal(split.images, pixels)
        assert split.images.dtype == np.uint8
        np.testing.assert_array_equal(split.labels, [*range(classes)] * 2)
    (train,) = tmp_path.rglob("*-train.tfrecord*")
    info = train.with_name("dataset_info.json")
    cut = functools.partial(train.write_bytes, train.read_bytes()[:9000])
    for damage in (cut, train.unlink, lambda: info.write_text("{")):
        damage()
        assert_usage_error(load, tmp_path, "prepare it again")


def test_absent_is_one_line(tmp_path, monkeypatch, capfd):
    load = functools.partial(data.load, "cifar10", data_dir=tmp_path)
    fail = mock.Mock(side_effect=ConnectionError("reset\nlong story"))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    # A server that refuses to say more is there: the download is tried.
    for answer, reason in (
        (urllib.error.URLError("no host"), "no host"),
        (urllib.error.HTTPError("", 403, "no", {}, None), ": reset. Give"),
    ):
        asked = mock.Mock(side_effect=answer)
        monkeypatch.setattr(urllib.request, "urlopen", asked)
        words = ("cifar10, which is not", tmp_path, reason, "and_prepare()")
        assert_usage_error(load, *words)
        assert asked.call_args.args[0].method == "HEAD"
    assert list(tmp_path.iterdir()) == []
    assert "Variant folder" not in capfd.readouterr().err


def test_the_newest_version_that_is_finished_is_read(tmp_path):
    for name in ("2.0.0", "10.0.0", "9.0.0", "11.0.0-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset_info.json").touch()
    (tmp_path / "12.0.0").mkdir()
    assert named.newest_version(tmp_path) == str(tmp_path / "10.0.0")
