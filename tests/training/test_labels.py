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
def test_dominant_can_differ_between_examples(form):
    labels, weight = LABELS[form], tf.constant([1.0, 2.0, 3.0])
    plan = _plan([0.7, 0.3, 0.5])
    chosen, chosen_weight = Partners(plan, labels, weight).dominant()
    np.testing.assert_array_equal(chosen, labels.numpy()[[0, 0, 2]])
    np.testing.assert_array_equal(chosen_weight, [1.0, 1.0, 3.0])


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
def test_shares_of_examples_are_in_their_weights(weight):
    """And what does not depend on the examples counts once."""
    losses, lam, other = np.array([10.0, 20.0, 40.0]), [0.25, 0.5, 1.0], 7.0
    labels = LABELS["sparse"]
    sample_weight = None if weight is None else tf.constant(weight)

    def loss(labels, weight):
        each = tf.gather(tf.constant(losses, tf.float32), labels)
        return tf.reduce_mean(each * weight) + other

    mixed = Partners(_plan(lam), labels, sample_weight).mix(loss)
    own = losses * (weight or 1.0)
    expected = lam * own + np.subtract(1.0, lam) * own[[2, 0, 1]]
    np.testing.assert_allclose(mixed, expected.mean() + other, rtol=1e-6)


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
