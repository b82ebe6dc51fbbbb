"""`data.corrupted`: a corrupted split as a `tf.data.Dataset`."""

import threading

import numpy as np
from numpy.testing import assert_array_equal as same

from noisymix_tf import corruptions, data
from support.released_sets import noise, save_image

DIGITS = data.load("digits", test_examples=103).test


def collect(dataset):
    images, labels = zip(*dataset.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels), len(images)


def test_it_equals_corrupt_on_the_whole_split_of_arrays_or_files(tmp_path):
    images, labels = noise(7, 40, 36, 3), np.arange(7)
    paths = [save_image(tmp_path / f"{n}.png", images[n]) for n in range(7)]
    files = data.FileSplit(paths, labels, (40, 36))
    what = {"name": "snow", "severity": 3, "seed": 7, "table": "imagenet"}
    expected = corruptions.corrupt(images, **what)
    for source in ((images, labels), data.ArraySplit(images, labels), files):
        for batch_size in (3, 7, 20):
            dataset = data.corrupted(source, **what, batch_size=batch_size)
            assert dataset.element_spec[0].shape == (None, 40, 36, 3)
            for _ in range(2):
                made, made_labels, batches = collect(dataset)
                assert made.dtype == np.uint8 and made_labels.dtype == np.int32
                same(made, expected)
                same(made_labels, labels)
                assert batches == dataset.cardinality() == -(-7 // batch_size)


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
    same(images, real(DIGITS.images, "fog", 2))
    same(labels, DIGITS.labels)
    options = {"batch_size": 1, "num_parallel_calls": 2}
    batches = iter(data.corrupted(DIGITS, "brightness", 2, **options))
    made.clear()
    for taken in range(1, 21):
        next(batches)
        # Under way and finished in `map`, kept by `prefetch`.
        assert len(made) <= taken + 2 + 2 + 1
