"""The images of an evaluation: streamed, held if small, counted, checked."""

import numpy as np

from noisymix_tf.data.subset import balanced_indices
from noisymix_tf.evaluation.images import Images
from support.evaluation_toys import Test, dataset, whole_dataset
from support.usage import assert_usage_error


def opened(split, **options):
    return Images(split, "flat", 3, **options)


def collect(images, batch_size=8, keep=False):
    return map(np.concatenate, zip(*images.batches(batch_size, keep)))


def test_all_images_in_order_or_a_balanced_part_held_after_one_pass():
    split = dataset().test
    images = opened(split)
    assert (images.n, images.available, images.shape) == (23, 23, (16, 16, 3))
    assert images.probe(5).shape == (5, 16, 16, 3)
    next(images.batches(8, keep=True))  # A pass that is broken off.
    before = split.passes
    # Held images have one size of batches: another size is another pass.
    for batch_size, passes in ((8, 1), (8, 1), (23, 2), (23, 2), (100, 3)):
        pixels, labels = collect(images, batch_size, keep=True)
        np.testing.assert_array_equal(pixels, split.images)
        np.testing.assert_array_equal(labels, split.labels)
        assert split.passes == before + passes
    # A balanced part, and what is refused.
    split = whole_dataset().test
    images = opened(split, examples=7)
    assert (images.n, images.available) == (7, 23)
    chosen = balanced_indices(split.labels, 7, 3)
    pixels, labels = collect(images, 3)
    np.testing.assert_array_equal(pixels, split.images[chosen])
    np.testing.assert_array_equal(labels, split.labels[chosen])
    # Nothing to balance where all are taken, whatever the split can tell.
    for each in (split, dataset().test, dataset(split=Test).test):
        assert [opened(each, examples=k).n for k in (23, 50, None)] == [23] * 3
    few, none = dataset().test, "'flat' has no test images"
    assert_usage_error(lambda: opened(few, examples=5), "5 examples")
    assert_usage_error(lambda: opened(dataset(0).test), none)
    assert_usage_error(lambda: opened(dataset(0, 3, Test).test), none)
    for label in (-1, 3):
        few.labels[-1] = label
        words = f"label {label}", "0 to 2"
        assert_usage_error(lambda: collect(opened(few)), *words)
