"""Labels of mixed pairs."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.mixing import MixPlan
from noisymix_tf.training.labels import Partners

WEIGHT, ORDER = tf.constant([1.0, 2.0, 3.0]), [2, 0, 1]


def _partners(lam, labels, weight=WEIGHT):
    plan = MixPlan(tf.constant(0), tf.constant(lam), tf.constant(ORDER))
    return Partners(plan, tf.constant(labels), weight)


@pytest.mark.parametrize(
    "lam, rows",
    # The coefficient can differ between examples.
    [(0.3, ORDER), (0.5, [0, 1, 2]), ([0.7, 0.3, 0.5], [0, 0, 2])],
)
def test_dominant_is_the_one_with_the_larger_share(lam, rows):
    for labels in ([0, 1, 2], [[0], [1], [2]], [[1, 0], [0.5, 0.5], [0, 1]]):
        chosen, weight = _partners(lam, labels).dominant()
        np.testing.assert_array_equal(chosen, np.array(labels)[rows])
        np.testing.assert_array_equal(weight, WEIGHT.numpy()[rows])
        assert _partners(lam, labels, None).dominant()[1] is None


@pytest.mark.parametrize("lam", [0.25, [0.25, 0.5, 1.0]])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_mix_weighs_own_and_partners_loss(lam, weight):
    """And what does not depend on the examples counts once."""

    def loss(labels, weight):
        each = tf.gather([10.0, 20.0, 40.0], labels)
        return tf.reduce_mean(each * (1.0 if weight is None else weight)) + 7.0

    own = np.array([10.0, 20.0, 40.0])
    own = own if weight is None else own * weight.numpy()
    expected = np.mean(lam * own + np.subtract(1.0, lam) * own[ORDER]) + 7.0
    mixed = _partners(lam, [0, 1, 2], weight).mix(loss)
    np.testing.assert_allclose(mixed, expected, rtol=1e-6)
