"""ImageNet as tensorflow-datasets prepares it, made of a few images."""

import io

import pytest
from PIL import Image

from support import picture_folders

NUM = {"train": 23, "validation": 9}


def examples(split):
    for i in range(NUM[split]):
        pixels = picture_folders.picture([NUM[split], i], (60 + i, 300 - i))
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "jpeg", quality=95)
        buffer.seek(0)
        example = {"image": buffer, "label": 250 * (i % 4)}
        yield i, {**example, "file_name": f"{split}_{i}.JPEG"}


@pytest.fixture(scope="session")
def imagenet_roots(tmp_path_factory):
    """`{format: data_dir}` of imagenet2012, written by its own builder."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets import download

    roots = {}
    for kind in ("tfrecord", "array_record"):
        root = roots[kind] = tmp_path_factory.mktemp(kind)
        builder = tfds.builder("imagenet2012", data_dir=root, file_format=kind)
        builder._split_generators = lambda _: {n: examples(n) for n in NUM}
        config = download.DownloadConfig(try_download_gcs=False, num_shards=3)
        builder.download_and_prepare(download_config=config)
    return roots


@pytest.fixture(scope="session")
def imagenet_examples():
    """What is in it, for training and for testing: (bytes, label)."""
    made = ([e for _, e in examples(split)] for split in NUM)
    return [[(e["image"].getvalue(), e["label"]) for e in es] for es in made]
