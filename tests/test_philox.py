"""The numbers of the compiled generator are those of TensorFlow's kernel."""

import itertools

import tensorflow as tf
from numpy.testing import assert_array_equal

from noisymix_tf import philox


def test_numbers_are_those_of_tensorflows_kernel_in_every_bit(monkeypatch):
    shapes = (8,), (3, 5, 2, 6), tf.TensorShape([2, 50_000])
    seeds = [0, 1], [-3, 9], [2**31 - 1, -(2**31)], [2**40, 7]
    cases = list(itertools.product(shapes, map(tf.constant, seeds)))
    theirs = [tf.random.stateless_uniform(*case) for case in cases]
    with monkeypatch.context() as patched:
        patched.delattr(tf.random, "stateless_uniform")
        ours = [tf.function(philox.uniform)(*case) for case in cases]
    for each, expected in zip(ours, theirs, strict=True):
        assert_array_equal(each, expected)
    # No whole blocks, an unknown size, or a whole program of XLA.
    for shape in ((5,), (0, 4), tf.constant([2, 4])):
        expected = tf.random.stateless_uniform(shape, [1, -2])
        assert_array_equal(philox.uniform(shape, [1, -2]), expected)
    both = philox.uniform, tf.random.stateless_uniform
    both = (tf.function(f, jit_compile=True)([8], [1, -2]) for f in both)
    assert_array_equal(*both)
