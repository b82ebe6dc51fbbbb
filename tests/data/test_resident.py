"""Images that live on the device: the batches of the pipeline."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import data
from noisymix_tf.data import resident
from support.usage import assert_usage_error as refused

RNG = np.random.default_rng(0)
# So many that keys of 23 bits are drawn twice.
IMAGES = RNG.integers(0, 256, [9000, 2, 2, 3], dtype=np.uint8)
SPLIT = data.ArraySplit(IMAGES, RNG.integers(0, 3, 9000))
BATCH, STEPS = 4000, (0, 1, 2, 3, 24, 25)


@pytest.mark.parametrize("compiled", [None, False, True])
def test_batches_are_those_of_the_pipeline(compiled):
    """Orders of two seeds are kept apart."""
    batch = data.Resident(SPLIT, BATCH).batch
    if compiled is not None:
        batch = tf.function(batch, jit_compile=compiled)
    # Back to an epoch that was left, too.
    for step, seed in itertools.product((*STEPS, 0), (0, 7)):
        where = {"batch_size": BATCH, "seed": seed, "start_step": step}
        images, labels = next(iter(data.views(SPLIT, **where)))
        found = batch(seed, tf.constant(step, tf.int64))
        same(found[0], images[:, 0])
        same(found[1], labels)
        assert found[0].dtype == tf.uint8 and found[1].dtype == tf.int32
        same(batch(seed, step, (1, 2))[1], labels[BATCH // 2 :])


def test_refuses_what_it_cannot_keep(monkeypatch):
    digits = data.load("digits", train_examples=40)
    refused(lambda: data.Resident(object(), 4), "--input=device", "from files")
    monkeypatch.setattr(resident, "MOST_BYTES", digits.train.images.nbytes - 1)
    refused(lambda: data.Resident(digits.train, 4), "GiB", "--input=host")
