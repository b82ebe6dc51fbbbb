"""The images of an evaluation: in chunks, each read once, counted, checked."""

import numpy as np

from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.evaluation.images import Images
from support.evaluation_toys import Test, dataset, whole_dataset
from support.usage import assert_usage_error


def opened(split, **options):
    return Images(split, "flat", 3, "as_stored", **options)


def test_chunks_that_are_wanted_of_all_images_or_of_a_balanced_part():
    for data in (dataset(), dataset(split=Test), whole_dataset()):
        split = data.test
        images = opened(split)
        assert (images.n, images.available) == (23, 23)
        assert images.shape == images.probe(5).shape[1:] == (16, 16, 3)
        for starts in ([0, 5, 10, 15, 20], [5, 20], [0], [20], []):
            found = list(images.chunks(5, starts))
            assert [start for start, _, _ in found] == starts
            for start, pixels, labels in found:
                part = slice(start, start + 5)
                np.testing.assert_array_equal(pixels, split.images[part])
                np.testing.assert_array_equal(labels, split.labels[part])
    images = opened(split, examples=7)
    assert (images.n, images.available) == (7, 23)
    chosen = balanced_indices(split.labels, 7)
    _, pixels, labels = zip(*images.chunks(3, [0, 3, 6]))
    np.testing.assert_array_equal(np.concatenate(pixels), split.images[chosen])
    np.testing.assert_array_equal(np.concatenate(labels), split.labels[chosen])


def test_what_cannot_be_measured_is_told():
    split = whole_dataset().test
    # Nothing to balance where all are taken, whatever the split can tell.
    for each in (split, dataset().test, dataset(split=Test).test):
        assert [opened(each, examples=k).n for k in (23, 50, None)] == [23] * 3
    few, none = dataset().test, "'flat' has no test images"
    assert_usage_error(lambda: opened(few, examples=5), "5 examples")
    assert_usage_error(lambda: opened(dataset(0).test), none)
    assert_usage_error(lambda: opened(dataset(0, 3, Test).test), none)
    for label in (-1, 3):
        few.labels[-1] = label
        images = opened(few)
        words = f"label {label}", "0 to 2"
        assert_usage_error(lambda i=images: list(i.chunks(23, [0])), *words)
