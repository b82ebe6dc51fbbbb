"""AugMix: golden chains, Pillow, the laws of its draws, and where it runs."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from scipy import stats

from noisymix_tf.augment import (
    AugMixOptions,
    augmix_views,
    chains,
    ops,
    pillow_reference,
)
from noisymix_tf.augment.augmix import _compiled_views, apply_plan
from support import augmentation as laws

SHAPE = (16, 16, 3)
COUNT = 20_000


def drawn(options, batch, size, seed=(0, 1)):
    """A plan; compiled, as a program without XLA draws other numbers."""

    @tf.function(jit_compile=True)
    def draw(seed):
        return chains.draw_plan(seed, list(batch), options, *size)

    plan = draw(tf.constant(seed))
    return tf.nest.map_structure(lambda each: each.numpy(), plan)


@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_golden_chains(golden, compiled):
    cases = golden("augmix_fixed_chains.npz")
    plan = chains.plan_of_chains(
        laws.golden_chains(cases), cases["weights"], cases["m"]
    )
    plan = tf.nest.map_structure(lambda each: each[:, tf.newaxis], plan)
    apply = tf.function(apply_plan, jit_compile=compiled)
    views = apply(tf.constant(cases["input"]), plan).numpy()
    same(views[:, 0], cases["input"])
    normalised = (views[:, 1] / 255 - 0.5) / 0.5
    close(normalised, cases["output_norm05"], rtol=0, atol=2e-6)


def with_pillow(images, plan):
    """The views of a plan."""
    names = [each.name for each in ops.ALL_OPERATIONS]
    views = []
    for index in np.ndindex(*plan.m.shape):
        written = [
            [(names[i], value) for i, value in zip(row[:depth], values)]
            for row, values, depth in zip(
                plan.operation[index], plan.parameter[index], plan.depth[index]
            )
        ]
        mixed = (images[index[0]], written, plan.weights[index], plan.m[index])
        views.append(pillow_reference.mix(*mixed))
    return np.reshape(views, [*plan.m.shape, *images.shape[1:]])


def test_long_chains_of_all_operations_on_grey_images():
    options = AugMixOptions(10, width=2, depth=5, alpha=0.5, all_ops=True)
    images = laws.sample_images(12, (16, 24, 1), seed=0)
    plan = drawn(options, (500, 2), (16, 24))
    assert plan.operation.shape == (500, 2, 2, 5)
    assert set(plan.operation.ravel()) == set(range(13))
    assert set(plan.depth.ravel()) == {5}
    names = np.array([each.name for each in ops.ALL_OPERATIONS])
    # Each side has its own translations.
    for name, low, high in (
        ("translate_x", 0, 7),
        ("translate_y", 0, 5),
        ("color", 0.118, 1.9),
    ):
        values = np.abs(plan.parameter[names[plan.operation] == name])
        assert values.min() == pytest.approx(low, abs=0.01)
        assert values.max() == pytest.approx(high, abs=0.01)
    plan = tf.nest.map_structure(lambda each: each[:12], plan)
    views = tf.function(apply_plan)(tf.constant(images), plan)
    close(views[:, 1:], with_pillow(images, plan), rtol=0, atol=2e-4)


# What is not the default has to reach the program.
OPTIONS = {"severity": 5, "width": 2, "alpha": 0.5}


@pytest.fixture(scope="module")
def images():
    """Pairs of equal images."""
    return np.tile(laws.sample_images(6, SHAPE, seed=1), [2, 1, 1, 1])


@pytest.fixture(scope="module")
def views(images):
    return augmix_views(images, [-5, 6], **OPTIONS).numpy()


def test_views_are_those_of_pillow_for_the_same_draws(images, views):
    plan = drawn(AugMixOptions(**OPTIONS), (12, 2), SHAPE[:2], (-5, 6))
    assert views.shape == (12, 3, *SHAPE) and views.dtype == np.float32
    same(views[:, 0], images)
    close(views[:, 1:], with_pillow(images, plan), rtol=0, atol=2e-4)
    # Equal images, and the views of one image, have their own draws; nothing
    # is rounded.
    assert not np.array_equal(views[0, 1:], views[6, 1:])
    assert not np.array_equal(views[0, 1], views[0, 2])
    assert np.any(views != np.round(views))


def test_pure_function_of_images_and_seed(images, views):
    def again(seed, **more):
        return augmix_views(images, seed, **OPTIONS, **more)

    same(again([-5, 6]), views)
    assert not np.array_equal(again([-5, 7]), views)
    same(again([-5, 6], clean=False), views[:, 1:])
    # Private: neither seeds nor `clean` made another program.
    compiled = _compiled_views(AugMixOptions(**OPTIONS), 2, 1)
    assert compiled.experimental_get_tracing_count() == 1


def test_pipelines_have_batches_of_any_size(images):
    """The number of images is not part of the program."""
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(5)
    dataset = dataset.map(lambda each: augmix_views(each, [-5, 6], **OPTIONS))
    assert dataset.element_spec.shape == [None, 3, *SHAPE]


# Severity, size and, of the weights, alpha.
SAMPLES = {
    "cifar_sev3_size32": (3, 32, 1.0),
    "imagenet_sev1_size224": (1, 224, 0.3),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_laws_of_the_draws(golden, case):
    severity, size, alpha = SAMPLES[case]
    options = AugMixOptions(severity=severity, alpha=alpha)
    plan = drawn(options, (COUNT, 1), (size, size))
    facts = golden("augmix_sampler_stats.json")[case]
    exact = facts["exact"]
    assert (severity, size) == (facts["severity"], facts["image_size"])
    names = np.array([each.name for each in ops.OPERATIONS])
    laws.assert_law(
        plan.operation.ravel(), {k: exact["op_freq"] for k in range(len(names))}
    )
    laws.assert_law(plan.depth.ravel(), exact["depth"])
    # Neighbours in a chain, and chains, know nothing of each other.
    laws.assert_uncorrelated(*plan.operation.reshape(COUNT, -1).T)
    laws.assert_uncorrelated(*plan.depth.reshape(COUNT, -1).T)

    operation = names[plan.operation]
    for name, law in (
        ("posterize", exact["posterize_bits"]),
        ("solarize", exact["solarize_threshold"]),
        ("rotate", exact["rotate_abs_degrees"]),
        ("translate_x", exact["translate_abs_px"]),
        ("translate_y", exact["translate_abs_px"]),
    ):
        values = plan.parameter[operation == name]
        laws.assert_law(np.abs(values), law)
        if name not in ("posterize", "solarize"):
            laws.assert_even_signs(values[values != 0])
    for name in ("shear_x", "shear_y"):
        values = plan.parameter[operation == name]
        law = stats.uniform(0.003, 0.03 * severity - 0.003)
        assert stats.kstest(np.abs(values), law.cdf).pvalue > laws.P_VALUE
        laws.assert_even_signs(values)
    weights, m = plan.weights.reshape([-1, 3]), plan.m.ravel()
    close(weights.sum(-1), 1, atol=1e-6)
    # A component of Dirichlet(a, a, a) is Beta(a, 2 a).
    for values, law in (
        (weights[:, 0], stats.beta(alpha, 2 * alpha)),
        (weights[:, 2], stats.beta(alpha, 2 * alpha)),
        (m, stats.beta(alpha, alpha)),
    ):
        assert stats.kstest(values, law.cdf).pvalue > laws.P_VALUE
    laws.assert_uncorrelated(m, weights[:, 0])


def test_the_pillow_version_has_the_golden_chains_and_draws(golden):
    cases = golden("augmix_fixed_chains.npz")
    for index, chain in enumerate(laws.golden_chains(cases)):
        image, weights, m = (cases[k][index] for k in ("input", "weights", "m"))
        mixed = pillow_reference.mix(image, chain, weights, m) / 255
        expected = cases["output_norm05"][index]
        close((mixed - 0.5) / 0.5, expected, rtol=0, atol=2e-6)
    generator = np.random.default_rng(0)
    draw = functools.partial(pillow_reference.draw_chain, generator, (32, 32))
    drawn = [draw() for _ in range(6000)]
    depths = np.array([len(chain) for chain in drawn])
    laws.assert_law(depths, dict.fromkeys((1, 2, 3), 1 / 3))
    steps = [step for chain in drawn for step in chain]
    names = list(pillow_reference.OPERATIONS)
    found = np.array([names.index(name) for name, _ in steps])
    laws.assert_law(found, dict.fromkeys(range(9), 1 / 9))
    shears = np.array([v for name, v in steps if name.startswith("shear")])
    assert 0.003 <= np.abs(shears).min() and np.abs(shears).max() < 0.09
    laws.assert_even_signs(shears)
    names = {name for name, _ in draw(depth=400, all_ops=True)}
    assert names == {*pillow_reference.ALL_OPERATIONS}
    for channels in (1, 3):
        image = laws.sample_images(2, (12, 10, channels), seed=6)[1]
        views = pillow_reference.augmix_views(image, generator, width=1)
        assert views.shape == (3, 12, 10, channels)
        same(views[0], image)
        assert views.dtype == np.float32 and not np.allclose(*views[1:])


@pytest.mark.slow
def test_benchmark_reports_both(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    from noisymix_tf.benchmarks import augmix as benchmark

    # Private: a rest between turns, which only evens out the timings.
    monkeypatch.setattr(benchmark, "_REST_SECONDS", 0.0)
    options = {"batch_size": 4, "image_size": 16, "seconds": 0.2}
    figures = benchmark.run(**options, rounds=1)
    for name in ("ours", "pillow"):
        assert figures[name]["samples_per_second"] > 0
        assert figures[name]["cpu_seconds_per_1000"] == pytest.approx(
            1000 / figures[name]["samples_per_cpu_second"]
        )
    assert figures["ratio"] > 0
    printed = capsys.readouterr().out
    assert "ours" in printed and "pillow" in printed
