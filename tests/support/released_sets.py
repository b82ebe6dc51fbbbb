"""Small sets in the layouts of the released benchmarks."""

import io

import numpy as np
from PIL import Image

import noisymix_tf.data as data
from noisymix_tf.data.preprocess import Preprocess


def dataset(classes, side=32, name="cifar10", preprocess="as_stored"):
    """A dataset of black images, one of each class: names, or how many."""
    if isinstance(classes, int):
        classes = [f"class {i}" for i in range(classes)]
    images = np.zeros([len(classes), side, side, 3], np.uint8)
    split = data.ArraySplit(images, range(len(classes)))
    # As a split of files says how it came to its size.
    split.preprocess = Preprocess.parse(preprocess)
    rest = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "flip": False}
    rest["image_shape"] = split.image_shape
    return data.Dataset(name, split, split, tuple(classes), **rest)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def imagenet_example(label, image, name):
    """As builders of tensorflow-datasets take it; the image is compressed."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=95)
    buffer.seek(0)
    return {"image": buffer, "label": label, "file_name": name}


def prepare(builder, examples, **options):
    """A builder of tensorflow-datasets writes `{split: [(key, example)]}`."""
    from tensorflow_datasets import download

    builder._split_generators = lambda _: examples
    config = download.DownloadConfig(try_download_gcs=False, **options)
    builder.download_and_prepare(download_config=config)
    return builder.data_path


def save_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def collect(split, batch_size=4):
    """Images and labels of a whole split, and the sizes of its batches."""
    images, labels = zip(*split.batches(batch_size))
    assert all(batch.dtype == np.uint8 for batch in images)
    sizes = [len(batch) for batch in labels]
    return np.concatenate(images), np.concatenate(labels), sizes


def assert_holds(split, images, labels, within=0):
    """The split has these images or films and labels, whole and in parts."""
    images, labels = np.asarray(images), np.asarray(labels)
    made, made_labels, sizes = collect(split)
    assert len(split) == len(labels) == sum(sizes)
    assert set(sizes[:-1]) <= {4}
    np.testing.assert_allclose(made, images, rtol=0, atol=within)
    assert split.image_shape == images.shape[-3:]
    assert made_labels.dtype == np.int32
    assert made_labels.tolist() == split.labels.tolist() == labels.tolist()
    for chosen in ([-1 + len(labels), 0, 0], [0, len(labels) - 1]):
        part = split.subset(np.array(chosen)).subset(range(2))
        np.testing.assert_array_equal(collect(part)[0], made[chosen[:2]])
        assert part.labels.tolist() == labels[chosen[:2]].tolist()


def contents(folder):
    """All that sets are made of, by name: bytes."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}
