"""The input pipeline: order, resume, seeds and repeatability."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf.data as data
from noisymix_tf import rng
from noisymix_tf.data.pipeline import index_batches
from noisymix_tf.errors import UsageError

NUM = 50
BATCH = 8
STEPS = 6  # in an epoch; two images are left out


@pytest.fixture(scope="module")
def split():
    """Image i is filled with i, and so is its label."""
    images = np.arange(NUM, dtype=np.uint8)[:, None, None, None]
    return data.ArraySplit(np.tile(images, [1, 4, 5, 3]), np.arange(NUM))


def standard(images, seed):
    """Adds a random amount to each image."""
    amount = tf.random.stateless_uniform([BATCH, 1, 1, 1], seed, 0, 9, tf.int32)
    return images + tf.cast(amount, tf.uint8)


def augment(images, seed):
    """Three views, the images and two noisy ones."""
    images = tf.cast(images, tf.float32)
    noise = tf.random.stateless_normal([2, *images.shape], seed)
    return tf.stack([images, images + noise[0], images + noise[1]], axis=1)


def take(dataset, number):
    return list(itertools.islice(dataset.as_numpy_iterator(), number))


def assert_same(one, two):
    assert len(one) == len(two)
    for (views, labels), (other_views, other_labels) in zip(one, two):
        np.testing.assert_array_equal(views, other_views)
        np.testing.assert_array_equal(labels, other_labels)


def test_shapes_are_static(split):
    views, labels = data.views(
        split, batch_size=BATCH, augment=augment, standard=standard
    ).element_spec
    assert views == tf.TensorSpec([BATCH, 3, 4, 5, 3], tf.float32)
    assert labels == tf.TensorSpec([BATCH], tf.int32)
    views, _ = data.views(split, batch_size=BATCH).element_spec
    assert views == tf.TensorSpec([BATCH, 1, 4, 5, 3], tf.uint8)


def test_images_stay_with_their_labels(split):
    for views, labels in take(data.views(split, batch_size=BATCH), 10):
        expected = np.broadcast_to(
            labels[:, None, None, None, None], views.shape
        )
        np.testing.assert_array_equal(views, expected)


def epochs(seed=0, number=20):
    steps = take(
        index_batches(NUM, batch_size=BATCH, seed=seed), STEPS * number
    )
    indices = np.stack([indices for _, indices in steps])
    assert [step for step, _ in steps] == list(range(STEPS * number))
    return indices.reshape(number, STEPS * BATCH)


def test_an_epoch_shows_each_image_at_most_once():
    for order in epochs():
        assert len(set(order)) == STEPS * BATCH
        assert order.min() >= 0 and order.max() < NUM


def test_every_epoch_has_its_own_order():
    orders = {tuple(order) for order in [*epochs(), *epochs(seed=1)]}
    assert len(orders) == 40


def test_order_is_uniform():
    """Each index comes first in an epoch equally often: chi-square."""
    number = 2_000
    first = [
        indices[0]
        for _, indices in take(index_batches(10, batch_size=10), number)
    ]
    counts = np.bincount(first, minlength=10)
    chi_square = ((counts - number / 10) ** 2 / (number / 10)).sum()
    assert chi_square < 9 + 5 * np.sqrt(18)  # mean + 5 sigma, 9 degrees


@pytest.mark.parametrize("start", [0, 1, 5, 6, 7, 12, 17])
def test_start_step_resumes(split, start):
    arguments = dict(
        batch_size=BATCH, seed=3, augment=augment, standard=standard
    )
    whole = take(data.views(split, **arguments), 20)
    rest = take(data.views(split, start_step=start, **arguments), 20 - start)
    assert_same(rest, whole[start:])


def test_late_start_reads_no_skipped_image(split):
    fetched = []

    class Spy(data.ArraySplit):
        def fetch(self, indices):
            def note(values):
                fetched.append(values)
                return values

            return super().fetch(tf.numpy_function(note, [indices], tf.int32))

    spy = Spy(split.images, split.labels)

    def fix_shape(images, seed):
        return tf.ensure_shape(images, [BATCH, 4, 5, 3])

    start = 1_000_000 * STEPS + 4
    dataset = data.views(
        spy,
        batch_size=BATCH,
        start_step=start,
        standard=fix_shape,
        num_parallel_calls=1,
        prefetch=1,
    )
    ((_, labels),) = take(dataset, 1)
    assert 1 <= len(fetched) <= 4
    np.testing.assert_array_equal(fetched[0], labels)


def test_callables_get_the_seeds_of_their_step(split):
    def seed_as_views(images, seed):
        return tf.ensure_shape(
            tf.broadcast_to(tf.cast(seed, tf.float32), [BATCH, 1, 4, 3, 2]),
            [BATCH, 1, 4, 3, 2],
        )

    batches = take(
        data.views(split, batch_size=BATCH, seed=5, augment=seed_as_views), 9
    )
    seeds = [views[0, 0, 0, 0] for views, _ in batches]
    for step, seed in enumerate(seeds):
        expected = tf.cast(rng.stream(5, step, "augment"), tf.float32)
        np.testing.assert_array_equal(seed, expected)
    assert len({tuple(seed) for seed in seeds}) == 9


def test_standard_comes_first_with_its_own_seed(split):
    def keep(images, seed):
        return images[:, None]

    arguments = dict(batch_size=BATCH, seed=5, start_step=7)
    ((views, labels),) = take(
        data.views(split, standard=standard, augment=keep, **arguments), 1
    )
    images = split.images[labels]
    expected = standard(tf.constant(images), rng.stream(5, 7, "standard"))
    np.testing.assert_array_equal(views[:, 0], expected)


@pytest.mark.parametrize("parallel", [1, 4, tf.data.AUTOTUNE])
def test_repeats_bit_for_bit(split, parallel):
    arguments = dict(
        batch_size=BATCH, seed=1, augment=augment, standard=standard
    )
    expected = take(data.views(split, num_parallel_calls=1, **arguments), 40)
    actual = take(
        data.views(split, num_parallel_calls=parallel, **arguments), 40
    )
    assert_same(actual, expected)


def test_seed_changes_order_and_augmentation(split):
    arguments = dict(batch_size=BATCH, augment=augment)
    ((views, labels),) = take(data.views(split, seed=0, **arguments), 1)
    ((others, other_labels),) = take(data.views(split, seed=1, **arguments), 1)
    assert not np.array_equal(labels, other_labels)
    noise = views[:, 1] - views[:, 0]
    other_noise = others[:, 1] - others[:, 0]
    assert abs(np.corrcoef(noise.ravel(), other_noise.ravel())[0, 1]) < 0.3


def test_jitted_augment(split):
    jitted = tf.function(augment, jit_compile=True)
    ((views, _),) = take(data.views(split, batch_size=BATCH, augment=jitted), 1)
    assert views.shape == (BATCH, 3, 4, 5, 3)


def test_whole_split_as_one_batch(split):
    ((_, labels),) = take(data.views(split, batch_size=NUM), 1)
    assert sorted(labels) == list(range(NUM))


def test_never_ends(split):
    dataset = data.views(split, batch_size=BATCH)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert len(take(dataset, 5 * STEPS)) == 5 * STEPS


def test_steps_per_epoch(split):
    assert data.steps_per_epoch(split, BATCH) == STEPS
    assert data.steps_per_epoch(split, NUM) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 51}, "batch_size=51 is more than the 50"),
        ({"batch_size": 0}, "batch_size=0: give a number from 1 to 50"),
        ({"batch_size": 8, "start_step": -1}, "start_step=-1"),
    ],
)
def test_refuses(split, arguments, message):
    with pytest.raises(UsageError, match=message):
        data.views(split, **arguments)


def test_augment_of_the_wrong_shape_is_named(split):
    def forget_views(images, seed):
        return images

    with pytest.raises(ValueError, match=r"\[B, V, H, W, 3\]"):
        data.views(split, batch_size=BATCH, augment=forget_views)
