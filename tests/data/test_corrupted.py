"""`data.corrupted`: a corrupted split as a `tf.data.Dataset`."""

import threading

import numpy as np
import pytest

from noisymix_tf import corruptions, data
from support.released_sets import noise, save_image

DIGITS = data.load("digits", test_examples=103).test


def collect(dataset):
    images, labels = zip(*dataset.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels), len(images)


@pytest.mark.parametrize("batch_size", [10, 103, 250])
def test_it_equals_corrupt_on_the_whole_split(batch_size):
    what = {"name": "shot_noise", "severity": 4, "seed": 7}
    dataset = data.corrupted(DIGITS, **what, batch_size=batch_size)
    expected = corruptions.corrupt(DIGITS.images, **what)
    for _ in range(2):
        images, labels, batches = collect(dataset)
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, DIGITS.labels)
        assert batches == int(dataset.cardinality()) == -(-103 // batch_size)


def test_batches_keep_their_order_and_few_are_made_ahead(monkeypatch):
    real, made, later = corruptions.corrupt, [], threading.Event()
    options = {"batch_size": 10, "num_parallel_calls": 4}
    dataset = data.corrupted(DIGITS, "fog", 2, **options)

    def corrupt(*arguments, indices, **options):
        made.append(indices)
        # The first batch waits until a later one is being made.
        later.set() if indices[0] else later.wait(30)
        return real(*arguments, indices=indices, **options)

    monkeypatch.setattr(corruptions, "corrupt", corrupt)
    images, labels, _ = collect(dataset)
    np.testing.assert_array_equal(images, real(DIGITS.images, "fog", 2))
    np.testing.assert_array_equal(labels, DIGITS.labels)
    options = {"batch_size": 1, "num_parallel_calls": 2}
    batches = iter(data.corrupted(DIGITS, "brightness", 2, **options))
    made.clear()
    for taken in range(1, 21):
        next(batches)
        # Under way and finished in `map`, kept by `prefetch`.
        assert len(made) <= taken + 2 + 2 + 1


def test_arrays_and_files_and_tables(tmp_path):
    images, labels = noise(7, 40, 36, 3), np.arange(7)
    paths = [save_image(tmp_path / f"{n}.png", images[n]) for n in range(7)]
    split = data.FileSplit(paths, labels, (40, 36))
    expected = corruptions.corrupt(images, "snow", 3, table="imagenet")
    options = {"batch_size": 3, "table": "imagenet"}
    for source in ((images, labels), split):
        dataset = data.corrupted(source, "snow", 3, **options)
        assert dataset.element_spec[0].shape == (None, 40, 36, 3)
        made, made_labels, _ = collect(dataset)
        np.testing.assert_array_equal(made, expected)
        np.testing.assert_array_equal(made_labels, labels)
