"""The random streams, the generator, and the samplers that XLA compiles."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from scipy import stats

from noisymix_tf import philox, rng
from support.augmentation import assert_law

P_VALUE = 1e-3  # Seeds are fixed: a failure means a change, not bad luck.
COUNT = 20_000
KEYS = {
    (0, 0, "noise", 0): [1513496281, 0],
    (1, 7, "mixing", 2): [529131588, 2],
    (-5, 3, "augmix", 0): [1336939295, 0],
}


@functools.cache
def drawer(function, compiled):
    """Draws COUNT numbers; compiled once, the parameters being tensors."""
    sample = lambda seed, given: function(seed, [COUNT], **given)  # noqa: E731
    sample = tf.function(sample, jit_compile=compiled)
    tensors = functools.partial(tf.nest.map_structure, tf.constant)
    return lambda seed, **given: sample(seed, tensors(given)).numpy()


@pytest.mark.parametrize("compiled", [True, False])
def test_log_gamma_variates_and_uniform_numbers(compiled):
    draw = drawer(rng.log_gamma_variates, compiled)
    for concentration in (0.2, 1.0, 20.0):
        draws = draw(rng.stream(2, 0, "gamma"), concentration=concentration)
        law = stats.loggamma(concentration)
        assert np.all(np.isfinite(draws))
        assert stats.kstest(draws, law.cdf).pvalue > P_VALUE
    draws = drawer(rng.uniform, compiled)(rng.stream(4, 0, "uniform"))
    # Never zero: its logarithm is taken.
    assert draws.min() > 0 and draws.max() < 1
    assert stats.kstest(draws, "uniform").pvalue > P_VALUE


def test_streams_are_distinct_and_stay_what_they_are():
    """A run that goes on with another version draws what it would have."""
    names = ("noise", "mixing", "augmix")
    grid = itertools.product(range(2), range(8), names, range(3))
    keys = {tuple(rng.stream(*where).numpy()) for where in grid}
    assert len(keys) == 2 * 8 * 3 * 3
    for where, key in KEYS.items():
        assert rng.stream(*where).numpy().tolist() == key
    splits = rng.split(rng.stream(0, 0, "x"), 100).numpy()
    assert len({tuple(key) for key in splits}) == 100


def test_what_is_drawn_does_not_depend_on_the_compiler_or_on_tensors():
    """Also where a number in between is negative."""
    compiled = tf.function(rng.stream, jit_compile=True)
    for seed, step in [(7, 2**31 - 1), *((-3, step) for step in range(8))]:
        where = (tf.constant(seed, tf.int64), tf.constant(step, tf.int64))
        for replica in (0, 2):
            key = compiled(*where, "noise", tf.constant(replica))
            same(key, rng.stream(seed, step, "noise", replica))

    @tf.function(jit_compile=True)
    def draw(seed, by_name):
        gamma = rng.log_gamma_variates(seed, [9], 0.7, by_name=by_name)
        return rng.split(seed, 5, by_name=by_name), gamma

    # By name, as the host draws under XLA.
    for words in [(3, 4), (-3, 4), (3, -4), (-3, -4)]:
        pairs = zip(*(draw(tf.constant(words), each) for each in (True, False)))
        for named, unnamed in pairs:
            same(named, unnamed)


def test_permutation_is_uniform():
    seeds = rng.split(rng.stream(0, 0, "perm"), 4800)

    @tf.function(jit_compile=True)
    def draw(seeds):
        return tf.map_fn(lambda seed: rng.permutation(seed, 4), seeds)

    drawn = draw(seeds).numpy()
    same(np.sort(drawn), np.tile(np.arange(4), [4800, 1]))
    _, orders = np.unique(drawn @ [64, 16, 4, 1], return_inverse=True)
    assert_law(orders, dict.fromkeys(range(24), 1 / 24))
    large = rng.permutation(seeds[0], 128)
    assert large.dtype == tf.int32
    same(np.sort(large), np.arange(128))


def test_numbers_are_those_of_tensorflows_kernel_in_every_bit(monkeypatch):
    shapes = (8,), (3, 5, 2, 6), tf.TensorShape([2, 50_000])
    seeds = [0, 1], [-3, 9], [2**31 - 1, -(2**31)], [2**40, 7]
    cases = list(itertools.product(shapes, map(tf.constant, seeds)))
    theirs = [tf.random.stateless_uniform(*case) for case in cases]
    with monkeypatch.context() as patched:
        patched.delattr(tf.random, "stateless_uniform")
        ours = [tf.function(philox.uniform)(*case) for case in cases]
    for each, expected in zip(ours, theirs, strict=True):
        same(each, expected)
    # No whole blocks, an unknown size, or a whole program of XLA.
    for shape in ((5,), (0, 4), tf.constant([2, 4])):
        expected = tf.random.stateless_uniform(shape, [1, -2])
        same(philox.uniform(shape, [1, -2]), expected)
    both = philox.uniform, tf.random.stateless_uniform
    both = (tf.function(f, jit_compile=True)([8], [1, -2]) for f in both)
    same(*both)
