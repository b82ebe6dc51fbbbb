"""The images of an evaluation: streamed, held if small, counted, checked."""

import numpy as np
import pytest

from noisymix_tf.data.subset import balanced_indices
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import images as images_lib
from noisymix_tf.evaluation.images import Images
from support.evaluation_toys import SizedTest, Test, dataset, whole_dataset


def opened(split=None, num_classes=3, **options):
    split = dataset().test if split is None else split
    return Images(split, "flat", num_classes, **options)


def collect(images, batch_size=8, keep=False):
    pixels, labels = zip(*images.batches(batch_size, keep))
    return np.concatenate(pixels), np.concatenate(labels)


def test_all_images_in_order():
    split = dataset().test
    images = opened(split)
    assert (images.n, images.available, images.shape) == (23, 23, (16, 16, 3))
    for batch_size in (1, 8, 23, 100):
        pixels, labels = collect(images, batch_size)
        np.testing.assert_array_equal(pixels, split.images)
        np.testing.assert_array_equal(labels, split.labels)
    assert images.probe(5).shape == (5, 16, 16, 3)


def test_small_images_are_held():
    split = dataset().test
    images = opened(split)
    before = split.passes
    first = collect(images, keep=True)
    second = collect(images, keep=True)
    assert split.passes == before + 1
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    collect(images, batch_size=5)  # Another size is another pass.
    assert split.passes == before + 2


def test_an_interrupted_pass_is_not_held():
    split = dataset().test
    images = opened(split)
    next(images.batches(8, keep=True))
    pixels, _ = collect(images, keep=True)
    np.testing.assert_array_equal(pixels, split.images)


def test_large_images_are_not_held(monkeypatch):
    """Nothing is kept above the limit, also not what came before it."""
    batch_bytes = 8 * 16 * 16 * 3
    monkeypatch.setattr(images_lib, "_CACHE_BYTES", batch_bytes + 1)
    split = dataset().test
    images = opened(split)
    alive = []

    class Watched(np.ndarray):
        def __del__(self):
            alive.remove(self.number)

    def batches(batch_size):
        for number in range(6):
            batch = np.zeros([batch_size, 16, 16, 3], np.uint8).view(Watched)
            batch.number = number
            alive.append(number)
            yield batch, np.zeros(batch_size, int)

    monkeypatch.setattr(split, "batches", batches)
    seen = []
    for _ in images.batches(8, keep=True):
        seen.append(list(alive))
    assert seen[0] == [0]
    # The running batch and at most the one before it.
    assert all(len(numbers) <= 2 for numbers in seen)
    assert seen[-1][-1] == 5
    assert images._cache is None


def test_a_balanced_part():
    split = whole_dataset().test
    images = opened(split, examples=7)
    assert (images.n, images.available) == (7, 23)
    chosen = balanced_indices(split.labels, 7, 3)
    pixels, labels = collect(images, 3)
    np.testing.assert_array_equal(pixels, split.images[chosen])
    np.testing.assert_array_equal(labels, split.labels[chosen])
    for examples in (23, 24, None):
        images = opened(split, examples=examples)
        assert (images.n, images.available) == (23, 23)


def test_splits_without_length_or_labels():
    images = opened(dataset(split=Test).test)
    assert images.n == 23
    assert opened(dataset().test, examples=50).n == 23
    for split in (dataset().test, dataset(split=Test).test):
        with pytest.raises(
            UsageError, match=r"5 examples.*no labels"
        ) as caught:
            opened(split, examples=5)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", [Test, SizedTest])
def test_no_images(split):
    with pytest.raises(UsageError, match="'flat' has no test images"):
        opened(dataset(n=0, split=split).test)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range(label):
    split = dataset().test
    split.labels[-1] = label
    images = opened(split)
    with pytest.raises(UsageError, match=f"label {label}.*0 to 2") as caught:
        collect(images)
    assert "\n" not in str(caught.value)


def test_fingerprints_tell_images_apart():
    def fingerprint(data):
        return opened(data.test).fingerprint

    assert fingerprint(dataset()) == fingerprint(dataset())
    assert fingerprint(dataset()) != fingerprint(dataset(seed=1))
    whole, other = whole_dataset(), whole_dataset()
    assert fingerprint(whole) == fingerprint(other)
    # The first image is the same, a later label is not.
    other.test.labels[-1] = (other.test.labels[-1] + 1) % 3
    assert fingerprint(whole) != fingerprint(other)
    assert fingerprint(whole) != opened(whole.test, classes="abc").fingerprint
