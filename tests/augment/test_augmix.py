"""AugMix: golden chains, Pillow, the laws of its draws, and where it runs."""

import functools
import json
import time

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from test_augment_ops import sample_images
from test_pillow_reference import chains_of

from noisymix_tf.augment import (
    AugMixOptions,
    augmix,
    augmix_views,
    chains,
    ops,
    pillow_reference,
)
from noisymix_tf.augment.augmix import _compiled_views, apply_plan
from noisymix_tf.errors import UsageError


def one_view(plan):
    """A plan of batch axes `[B]` as one of `[B, 1]`."""
    return tf.nest.map_structure(lambda each: each[:, tf.newaxis], plan)


def drawn(options, batch, size, seed=(0, 1)):
    height, width = size

    @tf.function(jit_compile=True)
    def draw(seed):
        return chains.draw_plan(seed, list(batch), options, height, width)

    plan = draw(tf.constant(seed))
    return tf.nest.map_structure(lambda each: each.numpy(), plan)


@pytest.mark.parametrize("compiled", [True, False])
def test_golden_chains(golden, compiled):
    cases = golden("augmix_fixed_chains.npz")
    specs = json.loads(str(cases["spec_json"]))
    plan = chains.plan_of_chains(
        [chains_of(spec) for spec in specs], cases["weights"], cases["m"]
    )
    apply = tf.function(apply_plan, jit_compile=compiled)
    views = apply(tf.constant(cases["input"]), one_view(plan)).numpy()
    np.testing.assert_array_equal(views[:, 0], cases["input"])
    normalised = (views[:, 1] / 255 - 0.5) / 0.5
    np.testing.assert_allclose(
        normalised, cases["output_norm05"], rtol=0, atol=2e-6
    )


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((32, 32, 3), {}),
        ((21, 28, 3), {"severity": 10, "all_ops": True}),
        ((16, 24, 1), {"width": 2, "depth": 5, "alpha": 0.5, "all_ops": True}),
    ],
    ids=["defaults", "all_ops", "grey"],
)
def test_equals_pillow_for_the_same_draws(shape, options):
    options = AugMixOptions(**options)
    images = sample_images(30, shape, seed=0)
    plan = drawn(options, (len(images), 2), shape[:2])
    apply = tf.function(apply_plan, jit_compile=True)
    views = apply(tf.constant(images), plan).numpy()
    for index, image in enumerate(images):
        np.testing.assert_array_equal(views[index, 0], image)
        for view in range(2):
            written = chains_written_out(plan, index, view)
            expected = pillow_reference.mix(
                image,
                written,
                plan.weights[index, view],
                plan.m[index, view],
            )
            np.testing.assert_allclose(
                views[index, 1 + view],
                expected,
                rtol=0,
                atol=2e-4,
                err_msg=str(written),
            )


def chains_written_out(plan, *index):
    return [
        [
            (ops.ALL_OPERATIONS[operation].name, parameter)
            for operation, parameter in zip(
                operations[:depth], parameters[:depth]
            )
        ]
        for operations, parameters, depth in zip(
            plan.operation[index], plan.parameter[index], plan.depth[index]
        )
    ]


def assert_law(values, law):
    """Counts of whole numbers against their probabilities, 4 sigma each.

    Chi-square over all of them too, at the same level (p of 4 sigma, 6e-5).
    """
    count = len(values)
    expected = np.array([law[key] for key in law]) * count
    found = np.array([np.sum(values == int(key)) for key in law])
    assert found.sum() == count, "a value that the law does not have"
    sigma = np.sqrt(expected * (1 - expected / count))
    assert np.all(np.abs(found - expected) <= 4 * sigma + 1e-9)
    if len(law) > 1:
        assert stats.chisquare(found, expected).pvalue > 6e-5


# Severity, size and, of the weights, alpha.
SAMPLES = {
    "cifar_sev3_size32": (3, 32, 1.0),
    "imagenet_sev1_size224": (1, 224, 0.3),
    "imagenet_sev3_size224": (3, 224, 4.0),
}


@functools.cache
def sample(case):
    """20,000 draws."""
    severity, size, alpha = SAMPLES[case]
    options = AugMixOptions(severity=severity, alpha=alpha)
    return drawn(options, (20_000, 1), (size, size))


@pytest.mark.parametrize("case", SAMPLES)
def test_laws_of_the_draws(golden, case):
    facts = golden("augmix_sampler_stats.json")[case]
    exact = facts["exact"]
    plan = sample(case)
    assert SAMPLES[case][:2] == (facts["severity"], facts["image_size"])
    names = np.array([each.name for each in ops.OPERATIONS])
    assert_law(
        plan.operation.ravel(), {k: exact["op_freq"] for k in range(len(names))}
    )
    assert_law(plan.depth.ravel(), exact["depth"])

    operation = names[plan.operation]
    assert_law(
        plan.parameter[operation == "posterize"], exact["posterize_bits"]
    )
    assert_law(
        plan.parameter[operation == "solarize"], exact["solarize_threshold"]
    )
    for name, law in (
        ("rotate", exact["rotate_abs_degrees"]),
        ("translate_x", exact["translate_abs_px"]),
        ("translate_y", exact["translate_abs_px"]),
    ):
        values = plan.parameter[operation == name]
        assert_law(np.abs(values), law)
        assert_even_signs(values[values != 0])
    for name in ("shear_x", "shear_y"):
        values = plan.parameter[operation == name]
        law = stats.uniform(0.003, 0.03 * facts["severity"] - 0.003)
        assert stats.kstest(np.abs(values), law.cdf).pvalue > 6e-5
        assert_even_signs(values)


def assert_even_signs(values):
    sigma = 0.5 / np.sqrt(len(values))
    assert abs(np.mean(values < 0) - 0.5) < 4 * sigma


@pytest.mark.parametrize("case", SAMPLES)
def test_laws_of_the_weights(case):
    plan, alpha = sample(case), SAMPLES[case][2]
    weights, m = plan.weights.reshape([-1, 3]), plan.m.ravel()
    count = len(m)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    # A component of Dirichlet(a, a, a) is Beta(a, 2 a).
    assert stats.kstest(weights[:, 0], stats.beta(alpha, 2 * alpha).cdf)[1] > (
        6e-5
    )
    assert stats.kstest(m, stats.beta(alpha, alpha).cdf)[1] > 6e-5
    # Neither knows of the other.
    assert abs(np.corrcoef(m, weights[:, 0])[0, 1]) < 4 / np.sqrt(count)


def test_translations_scale_with_their_own_side():
    plan = drawn(AugMixOptions(severity=10), (4000, 1), (30, 90))
    names = np.array([each.name for each in ops.OPERATIONS])[plan.operation]
    assert np.abs(plan.parameter[names == "translate_x"]).max() == 29
    assert np.abs(plan.parameter[names == "translate_y"]).max() == 9


def test_options_of_the_draws():
    plan = drawn(
        AugMixOptions(severity=0.1, width=4, depth=2, all_ops=True),
        (500, 1),
        (32, 32),
    )
    assert plan.operation.shape == (500, 1, 4, 2)
    assert set(plan.operation.ravel()) == set(range(13))
    assert set(plan.depth.ravel()) == {2}
    names = np.array([each.name for each in ops.ALL_OPERATIONS])[plan.operation]
    np.testing.assert_allclose(
        np.abs(plan.parameter[names == "shear_x"]), 0.003
    )
    np.testing.assert_allclose(plan.parameter[names == "color"], 0.118)


def test_views():
    images = sample_images(6, (16, 16, 3), seed=1)
    images = np.concatenate([images, images])
    views = augmix_views(images, [1, 2]).numpy()
    assert views.shape == (12, 3, 16, 16, 3)
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views[:, 0], images)
    assert views.min() >= 0 and views.max() <= 255.001
    # Equal images, and the views of one image, have their own draws.
    assert not np.array_equal(views[0, 1:], views[6, 1:])
    assert not np.array_equal(views[0, 1], views[0, 2])
    assert np.any(views != np.round(views))
    without = augmix_views(images, [1, 2], clean=False)
    np.testing.assert_array_equal(without, views[:, 1:])


def test_same_everywhere_and_for_the_same_seed_only():
    # Of the shape above, so that the function is compiled already.
    images = sample_images(12, (16, 16, 3), seed=2)
    seed = tf.constant([5, 6])
    eager = augmix_views(images, seed).numpy()

    @tf.function(jit_compile=True)
    def step(images, seed):
        return augmix_views(images, seed)

    dataset = tf.data.Dataset.from_tensors(images)
    (mapped,) = dataset.map(lambda each: augmix_views(each, seed))
    np.testing.assert_array_equal(eager, augmix_views(images, [5, 6]))
    np.testing.assert_array_equal(eager, mapped)
    np.testing.assert_allclose(eager, step(images, seed), atol=1e-3)
    assert not np.array_equal(eager, augmix_views(images, [5, 7]))
    np.testing.assert_array_equal(
        augmix(images, seed), augmix_views(images, seed, num_views=1)[:, 1]
    )


def test_last_smaller_batch_in_a_pipeline():
    images = sample_images(7, (8, 8, 1), seed=3)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    dataset = dataset.map(lambda each: augmix_views(each, [0, 0]))
    shapes = [batch.shape.as_list() for batch in dataset]
    assert shapes == [[4, 3, 8, 8, 1], [3, 3, 8, 8, 1]]


def test_a_new_seed_does_not_compile_again():
    images = sample_images(4, (12, 12, 3), seed=4)

    def seconds(seed):
        start = time.perf_counter()
        augmix_views(images, seed, severity=2).numpy()
        return time.perf_counter() - start

    first = seconds([0, 0])
    assert min(seconds([0, 1]), seconds([0, 2])) < first / 5
    compiled = _compiled_views(AugMixOptions(severity=2), 2, 1)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"severity": 0.05}, "severity .* got 0.05"),
        ({"severity": 11}, "severity .* got 11"),
        ({"severity": "3"}, "severity .* got '3'"),
        ({"severity": float("nan")}, "severity .* got nan"),
        ({"width": 0}, "width .* got 0"),
        ({"width": 2.5}, "width .* got 2.5"),
        ({"depth": 0}, "depth .* got 0"),
        ({"depth": -2}, "depth .* got -2"),
        ({"alpha": 0}, "alpha .* got 0"),
        ({"alpha": float("inf")}, "alpha .* got inf"),
        ({"num_views": 0}, "num_views .* got 0"),
    ],
)
def test_refuses_options(options, message):
    images = np.zeros([2, 4, 4, 3], np.uint8)
    with pytest.raises(UsageError, match=message) as error:
        augmix_views(images, [0, 0], **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros([2, 4, 4, 3], np.float32), "uint8 .* got float32"),
        (np.zeros([4, 4, 3], np.uint8), r"\[B, H, W, C\]"),
        (np.zeros([2, 4, 4, 4], np.uint8), "1 or 3 channels"),
    ],
)
def test_refuses_images(images, message):
    with pytest.raises(UsageError, match=message):
        augmix(images, [0, 0])


def test_benchmark_reports_both(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    from noisymix_tf.benchmarks import augmix as benchmark

    monkeypatch.setattr(benchmark, "_REST_SECONDS", 0.0)
    figures = benchmark.run(batch_size=4, image_size=16, seconds=0.2)
    for name in ("ours", "pillow"):
        assert figures[name]["samples_per_second"] > 0
        assert figures[name]["cpu_seconds_per_1000"] == pytest.approx(
            1000 / figures[name]["samples_per_cpu_second"], rel=0.5
        )
    assert figures["ratio"] > 0
    printed = capsys.readouterr().out
    assert "ours" in printed and "pillow" in printed
