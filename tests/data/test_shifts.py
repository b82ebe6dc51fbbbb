"""Real shifts, in made-up sets of the features that tensorflow-datasets has."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from noisymix_tf.data.classes import imagenet_wnids
from noisymix_tf.data.released import shifted_images
from noisymix_tf.data.shifts import SHIFTS, best
from support import released_sets
from support.corruption_oracle import photographs
from support.released_sets import collect, dataset, prepare
from support.usage import assert_usage_error as refused

pytestmark = pytest.mark.usefixtures("offline")

WNIDS = imagenet_wnids()
FULL, IMAGES = dataset(WNIDS, 32), photographs(5, 40, 60)
CIFAR = "airplane automobile bird cat deer dog frog horse ship truck".split()


def prepared(name, root, labels):
    """A set with photographs of these labels."""
    examples = [
        (str(k), released_sets.imagenet_example(label, image, f"{k}.JPEG"))
        for k, (label, image) in enumerate(zip(labels, IMAGES))
    ]
    prepare(tfds.builder(name, data_dir=root), {"test": examples})


@pytest.mark.parametrize(
    "name, builder",
    [
        ("imagenet_a", "imagenet_a"),
        ("imagenet_v2", "imagenet_v2/matched-frequency"),
        ("imagenet_v2_threshold", "imagenet_v2/threshold-0.7"),
        ("imagenet_v2_top", "imagenet_v2/topimages"),
        ("imagenet_sketch", "imagenet_sketch"),
    ],
)
def test_sets_of_imagenet(name, builder, tmp_path):
    """Only classes that are there count, whatever the dataset's order."""
    prepared(builder, tmp_path, [988, 1, 6, 1, 300])
    shifted = shifted_images(f"tfds:{tmp_path}", FULL, name=name)
    images, labels, _ = collect(shifted.split)
    assert shifted.classes == (1, 6, 300, 988)
    assert sorted(labels.tolist()) == [0, 0, 1, 2, 3]
    assert images.shape == (5, 32, 32, 3) and shifted.right is None
    backwards = dataset(WNIDS[::-1], 32)
    turned = shifted_images(f"tfds:{tmp_path}", backwards, name=name)
    assert turned.classes == (11, 699, 993, 998)
    np.testing.assert_array_equal(collect(turned.split)[1], 3 - labels)


@pytest.mark.parametrize("form", ["tfrecord", "array_record"])
def test_imagenet_real(form, tmp_path):
    """Images without a right class are left out, of others all labels count."""
    real = [[5], [], [7, 988], [1, 2, 3], [6]]
    examples = []
    for place, (labels, image) in enumerate(zip(real, IMAGES)):
        example = released_sets.imagenet_example(900 + place, image, f"{place}")
        del example["label"]
        own = {"original_label": 900 + place, "real_label": labels}
        examples.append((f"{place}", {**example, **own}))
    builder = tfds.builder(
        "imagenet2012_real", data_dir=tmp_path, file_format=form
    )
    prepare(builder, {"validation": examples})
    shifted = shifted_images(f"tfds:{tmp_path}", FULL, name="imagenet2012_real")
    assert shifted.classes == tuple(range(1000)) and len(shifted.split) == 4
    _, labels, _ = collect(shifted.split)
    found = {n: own.tolist() for n, own in zip(labels.tolist(), shifted.right)}
    assert found == {900: [5], 902: [7, 988], 903: [1, 2, 3], 904: [6]}
    outputs = np.zeros([2, 1000])
    outputs[0, [7, 988, 4]] = 0.2, 0.3, 0.5
    assert best(outputs, [[7, 988], [1, 2, 3]]).tolist() == [988, 1]


@pytest.mark.parametrize("name", ["cifar10_1", "cifar10_1_v4"])
def test_cifar(name, tmp_path):
    images = released_sets.noise(12, 32, 32, 3)
    labels = np.arange(12) % 10
    examples = [{"image": a, "label": int(b)} for a, b in zip(images, labels)]
    builder = tfds.builder(SHIFTS[name].folder, data_dir=tmp_path)
    prepare(builder, {"test": enumerate(examples)})
    own, path = dataset(CIFAR), f"tfds:{tmp_path}"
    shifted = shifted_images(path, own, name=name)
    made, found, _ = collect(shifted.split)
    order = [int(np.flatnonzero((images == a).all((1, 2, 3)))[0]) for a in made]
    assert sorted(order) == list(range(12))  # Pixels are as stored.
    assert found.tolist() == labels[order].tolist()
    words = "has the classes of CIFAR-10, those of cifar10 are class 0"
    refused(lambda: shifted_images(path, dataset(10), name=name), words)


def test_names(tmp_path):
    given = {"path": f"tfds:{tmp_path}", "dataset": FULL}
    refused(shifted_images, "'art'", "imagenet_a", name="art", **given)
    words = f"{tmp_path} holds nothing, no such set", "as imagenet_a"
    refused(shifted_images, *words, name="imagenet_a", **given)
