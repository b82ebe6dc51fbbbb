"""Labels of mixed pairs."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.mixing import MixPlan
from noisymix_tf.training.labels import Partners

LABELS = {
    "sparse": tf.constant([0, 1, 2]),
    "column": tf.constant([[0], [1], [2]]),
    "shares": tf.constant([[1.0, 0.0], [0.5, 0.5], [0.2, 0.8]]),
}


def _plan(lam):
    return MixPlan(tf.constant(0), tf.constant(lam), tf.constant([2, 0, 1]))


@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize("lam", [0.3, 0.7])
def test_dominant_is_the_one_with_the_larger_share(form, lam):
    labels, weight = LABELS[form], tf.constant([1.0, 2.0, 3.0])
    order = [0, 1, 2] if lam >= 0.5 else [2, 0, 1]
    chosen, chosen_weight = Partners(_plan(lam), labels, weight).dominant()
    np.testing.assert_array_equal(chosen, labels.numpy()[order])
    np.testing.assert_array_equal(chosen_weight, weight.numpy()[order])
    assert Partners(_plan(lam), labels, None).dominant()[1] is None


@pytest.mark.parametrize("form", LABELS)
def test_mix_weighs_own_and_partners_loss(form):
    labels, weight = LABELS[form], tf.constant([1.0, 2.0, 3.0])
    seen = []

    def loss(labels, weight):
        seen.append((labels.numpy(), weight.numpy()))
        return tf.constant(10.0 if len(seen) == 1 else 20.0)

    mixed = Partners(_plan(0.25), labels, weight).mix(loss)
    assert float(mixed) == 0.25 * 10.0 + 0.75 * 20.0
    for (own, own_weight), order in zip(seen, ([0, 1, 2], [2, 0, 1])):
        np.testing.assert_array_equal(own, labels.numpy()[order])
        np.testing.assert_array_equal(own_weight, weight.numpy()[order])
