"""ImageNet as tensorflow-datasets prepares it, made of a few images."""

import pytest

from support import picture_folders
from support.released_sets import imagenet_example, prepare

NUM = {"train": 23, "validation": 9}


def examples(split):
    for i in range(NUM[split]):
        pixels = picture_folders.picture([NUM[split], i], (60 + i, 300 - i))
        yield i, imagenet_example(250 * (i % 4), pixels, f"{split}_{i}.JPEG")


@pytest.fixture
def offline(monkeypatch):
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(f"socket.{name}", None)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """`{format: data_dir}` of imagenet2012, written by its own builder."""
    import tensorflow_datasets as tfds

    roots = {}
    for kind in ("tfrecord", "array_record"):
        root = roots[kind] = tmp_path_factory.mktemp(kind)
        builder = tfds.builder("imagenet2012", data_dir=root, file_format=kind)
        prepare(builder, {n: examples(n) for n in NUM}, num_shards=3)
    return roots


@pytest.fixture(scope="session")
def imagenet_examples():
    """What is in it, for training and for testing: (bytes, label)."""
    made = ([e for _, e in examples(split)] for split in NUM)
    return [[(e["image"].getvalue(), e["label"]) for e in es] for es in made]
