"""AugMix: golden chains, Pillow, the laws of its draws, and where it runs."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from scipy import stats

from noisymix_tf.augment import AugMixOptions, augmix_views, ops
from noisymix_tf.augment.augmix import apply_plan, draw_plan
from noisymix_tf.augment.views import program
from noisymix_tf.benchmarks import pillow_augmix as pillow
from support import augmentation as laws

SHAPE, COUNT = (16, 16, 3), 20_000
# What is not the default has to reach the program.
OPTIONS = {"severity": 5, "width": 2, "alpha": 0.5}


def drawn(options, batch, size, seed=(0, 1), compiled=True):
    """A plan; a program without XLA draws other numbers."""
    draw = tf.function(draw_plan, jit_compile=compiled)
    plan = draw(tf.constant(seed), list(batch), options, *size)
    return tf.nest.map_structure(lambda each: each.numpy(), plan)


def real(plan):
    """With parameters as Pillow takes them."""
    return plan._replace(parameter=laws.real(*plan[:2], ops.ALL_OPERATIONS))


def test_golden_chains_are_those_of_pillow(golden):
    """With which the program is compared below."""
    cases = golden("augmix_fixed_chains.npz")
    written = [
        [[laws.split_key(key) for key in chain] for chain in spec["chains"]]
        for spec in json.loads(cases["spec_json"].item())
    ]
    each = zip(cases["input"], written, cases["weights"], cases["m"])
    made = np.array([pillow.mix(*case) for case in each])
    close((made / 255 - 0.5) / 0.5, cases["output_norm05"], rtol=0, atol=2e-6)


def with_pillow(images, plan):
    names = [each.name for each in ops.ALL_OPERATIONS]
    views, parts = [], (plan.operation, real(plan).parameter, plan.depth)
    for index in np.ndindex(*plan.m.shape):
        written = [
            [(names[i], value) for i, value in zip(row[:depth], values)]
            for row, values, depth in zip(*(part[index] for part in parts))
        ]
        mixed = written, plan.weights[index], plan.m[index]
        views.append(pillow.mix(images[index[0]], *mixed))
    return np.reshape(views, [*plan.m.shape, *images.shape[1:]])


def test_long_chains_of_all_operations_on_grey_images():
    options = AugMixOptions(10, width=2, depth=5, alpha=0.5, all_ops=True)
    images = laws.sample_images(6, (16, 24, 1), seed=0)
    plan = drawn(options, (500, 2), (16, 24), compiled=False)
    assert plan.operation.shape == (500, 2, 2, 5)
    assert set(plan.operation.ravel()) == set(range(13))
    assert set(plan.depth.ravel()) == {5}
    names = np.array([each.name for each in ops.ALL_OPERATIONS])
    # Each side has its own translations.
    ends = {"translate_x": (0, 7), "translate_y": (0, 5), "color": (0.118, 1.9)}
    for name, expected in ends.items():
        values = np.abs(real(plan).parameter[names[plan.operation] == name])
        close((values.min(), values.max()), expected, atol=0.01)
    plan = tf.nest.map_structure(lambda each: each[:6], plan)
    views = apply_plan(tf.constant(images), plan)
    close(views[:, 1:], with_pillow(images, plan), rtol=0, atol=2e-4)
    same(apply_plan(tf.constant(images), plan, dense=True), views)


def test_views_are_those_of_pillow_and_a_function_of_images_and_seed():
    images = np.tile(laws.sample_images(6, SHAPE, seed=1), [2, 1, 1, 1])
    make = functools.partial(augmix_views, images, **OPTIONS)
    views = make([-5, 6]).numpy()
    plan = drawn(AugMixOptions(**OPTIONS), (12, 2), SHAPE[:2], (-5, 6))
    assert views.shape == (12, 3, *SHAPE) and views.dtype == np.float32
    same(views[:, 0], images)
    close(views[:, 1:], with_pillow(images, plan), rtol=0, atol=2e-4)
    # Equal images, and the views of one, have their own; nothing is rounded.
    assert not np.array_equal(views[0, 1:], views[6, 1:])
    assert not np.array_equal(views[0, 1], views[0, 2])
    assert np.any(views != np.round(views))
    same(make([-5, 6]), views)
    assert not np.array_equal(make([-5, 7]), views)
    same(make([-5, 6], num_views=2, clean=False), views[:, 1:])
    same(make([-5, 6], dense=True), views)
    # Neither seeds nor `clean` made another program.
    compiled = program(AugMixOptions(**OPTIONS), 2, 1, False)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("level, size, alpha", [(3, 32, 1.0), (1, 224, 0.3)])
def test_laws_of_the_draws(golden, level, size, alpha):
    options = AugMixOptions(severity=level, alpha=alpha)
    plan = real(drawn(options, (COUNT, 1), (size, size), compiled=size == 32))
    kind = "cifar" if size == 32 else "imagenet"
    facts = golden("augmix_sampler_stats.json")[f"{kind}_sev{level}_size{size}"]
    exact = facts["exact"]
    assert (level, size) == (facts["severity"], facts["image_size"])
    names = np.array([each.name for each in ops.OPERATIONS])
    frequencies = dict.fromkeys(range(len(names)), exact["op_freq"])
    laws.assert_law(plan.operation.ravel(), frequencies)
    laws.assert_law(plan.depth.ravel(), exact["depth"])
    # Neighbours in a chain, and chains, know nothing of each other.
    laws.assert_uncorrelated(*plan.operation.reshape(COUNT, -1).T)
    laws.assert_uncorrelated(*plan.depth.reshape(COUNT, -1).T)

    operation = names[plan.operation]
    unit = {"posterize": "bits", "solarize": "threshold"}
    unit["rotate"] = "abs_degrees"
    for name in (*unit, "translate_x", "translate_y"):
        law = f"{name}_{unit[name]}" if name in unit else "translate_abs_px"
        values = plan.parameter[operation == name]
        laws.assert_law(np.abs(values), exact[law])
        if name not in ("posterize", "solarize"):
            laws.assert_even_signs(values[values != 0])
    weights, m = plan.weights.reshape([-1, 3]), plan.m.ravel()
    close(weights.sum(-1), 1, atol=1e-6)
    laws.assert_uncorrelated(m, weights[:, 0])
    # A component of Dirichlet(a, a, a) is Beta(a, 2 a).
    part = stats.beta(alpha, 2 * alpha)
    drawn_by = [(weights[:, 0], part), (weights[:, 2], part)]
    drawn_by.append((m, stats.beta(alpha, alpha)))
    for name in ("shear_x", "shear_y"):
        values = plan.parameter[operation == name]
        laws.assert_even_signs(values)
        uniform = stats.uniform(0.003, 0.03 * level - 0.003)
        drawn_by.append((np.abs(values), uniform))
    for values, law in drawn_by:
        assert stats.kstest(values, law.cdf).pvalue > laws.P_VALUE
