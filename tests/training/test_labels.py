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
WEIGHT = tf.constant([1.0, 2.0, 3.0])
ORDER = [2, 0, 1]


def _partners(lam, labels, weight=WEIGHT):
    plan = MixPlan(tf.constant(0), tf.constant(lam), tf.constant(ORDER))
    return Partners(plan, labels, weight)


@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize(
    "lam, rows",
    [
        (0.3, ORDER),
        (0.5, [0, 1, 2]),
        # It can differ between examples.
        ([0.7, 0.3, 0.5], [0, 0, 2]),
    ],
)
def test_dominant_is_the_one_with_the_larger_share(form, lam, rows):
    labels = LABELS[form]
    chosen, weight = _partners(lam, labels).dominant()
    np.testing.assert_array_equal(chosen, labels.numpy()[rows])
    np.testing.assert_array_equal(weight, WEIGHT.numpy()[rows])
    assert _partners(lam, labels, None).dominant()[1] is None


@pytest.mark.parametrize("lam", [0.25, [0.25, 0.5, 1.0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_mix_weighs_own_and_partners_loss(lam, weighted):
    """And what does not depend on the examples counts once."""
    losses, other = np.array([10.0, 20.0, 40.0]), 7.0
    weight = WEIGHT if weighted else None

    def loss(labels, weight):
        each = tf.gather(tf.constant(losses, tf.float32), labels)
        return tf.reduce_mean(each if weight is None else each * weight) + other

    own = losses * (WEIGHT.numpy() if weighted else 1.0)
    expected = lam * own + np.subtract(1.0, lam) * own[ORDER]
    mixed = _partners(lam, LABELS["sparse"], weight).mix(loss)
    np.testing.assert_allclose(mixed, expected.mean() + other, rtol=1e-6)
