"""Policies: published tables, Pillow's pixels, the laws of the draws."""

import collections
import fractions
import functools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image

from noisymix_tf import augment
from noisymix_tf.augment import cutout, policy, policy_space, policy_steps
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import AUTO_AUGMENT, NAMES, WIDE
from noisymix_tf.augment.policy_steps import RandAugment, Steps
from support import augmentation as laws

SHAPE = (12, 15, 3)
SIGNED = [each.signed for each in policy_space.OPERATIONS]
PLAIN = ("autocontrast", "equalize", "invert")
WHOLE = ("translate_x", "translate_y", "rotate", "solarize", "posterize")
STEPS = [(strongest, m) for strongest in (9, 30) for m in range(strongest + 1)]


def test_policies_are_the_published_ones(golden):
    published = golden("auto_augment_policies.json")
    for title, rows in POLICIES.items():
        assert len(rows) == len(published[title]) == 25
        steps = [step for row in rows for step in row]
        texts = ",".join(published[title]).split(",")
        for (name, p, magnitude), text in zip(steps, texts, strict=True):
            # The published `TranslateX` is our `translate_x`.
            title, *numbers = text.split()
            assert name.replace("_", "") == title.lower()
            assert p == float(numbers[0]) and magnitude in range(10)
            assert (len(numbers) == 1) == (name in PLAIN)
            assert not numbers[1:] or magnitude == int(numbers[1])


@pytest.mark.parametrize("space", ["auto_augment", "wide"])
def test_magnitudes_are_equal_steps_through_the_ranges(golden, space):
    ranges = golden("auto_augment_policies.json")[f"{space}_ranges"]
    # The fourteen of RandAugment and TrivialAugment, and invert.
    plain = {"identity", "autocontrast", "equalize"}
    assert set(policy_space.COMMON) == {*ranges} | plain
    assert set(NAMES) == {*policy_space.COMMON, "invert"}
    for name in ("identity", *PLAIN):
        assert WIDE.parameter(name, 7, 30, 32, 32) == 0.0
    signed = {name for name, moves in zip(NAMES, SIGNED) if moves}
    assert signed == {"rotate", *WHOLE[:2], "shear_x", "shear_y"}
    parameter = {"auto_augment": AUTO_AUGMENT, "wide": WIDE}[space].parameter
    for name, ends in ranges.items():
        weakest, limit = map(fractions.Fraction, ends)
        if name.startswith("translate") and space == "auto_augment":
            limit *= 48 if name.endswith("x") else 32
        for strongest, magnitude in STEPS:
            step = fractions.Fraction(magnitude, strongest) * (limit - weakest)
            if name in WHOLE:  # What is added or taken away is truncated.
                step = int(step)
            numbers = (name, magnitude, strongest, 32, 48)
            found, expected = parameter(*numbers), weakest + step
            assert found == pytest.approx(float(expected), rel=1e-12), numbers
            assert found == expected or name not in WHOLE, numbers


def drawn(sampler, count=20_000):
    draw = tf.function(sampler.draw, jit_compile=True)
    steps = draw(tf.constant([0, 3]), [count, 1], 32, 48)
    return Steps(steps.operation.numpy()[:, 0], steps.parameter.numpy()[:, 0])


def names(steps):
    return np.array(NAMES)[steps.operation]


def with_pillow(images, steps):
    results = []
    rows = zip(images, names(steps), steps.parameter, strict=True)
    for image, row, parameters in rows:
        picture = Image.fromarray(image)
        for name, parameter in zip(row, parameters):
            picture = laws.POLICY_OPERATIONS[name](picture, parameter)
        results.append(np.asarray(picture))
    return np.stack(results)


def test_all_pairs_of_operations_equal_pillow():
    generator = np.random.default_rng(5)
    operations = np.indices([len(NAMES)] * 2).reshape(2, -1).T

    def parameter(index):
        size = WIDE.parameter(NAMES[index], generator.integers(31), 30, 12, 15)
        return size * (generator.choice([-1, 1]) if SIGNED[index] else 1)

    parameters = [[parameter(index) for index in pair] for pair in operations]
    steps = Steps(operations.astype(np.int32), np.float64(parameters))
    images = laws.sample_images(len(operations), SHAPE, seed=1)
    one_view = tf.nest.map_structure(lambda each: each[:, tf.newaxis], steps)
    results = tf.function(policy.apply_steps)(tf.constant(images), one_view)
    same(results[:, 0], with_pillow(images, steps))


@pytest.mark.parametrize("name", POLICIES)
def test_auto_augment_draws_its_policy(name):
    law = collections.Counter()
    for row in POLICIES[name]:
        first, second = (
            [(operation, AUTO_AUGMENT.parameter(operation, m, 9, 32, 48), p)]
            + [("identity", 0.0, 1 - p)]
            for operation, p, m in row
        )
        for a, x, p in first:
            for b, y, q in second:
                law[a, x, b, y] += p * q / 25
    law = {key: p for key, p in law.items() if p}
    steps = drawn(policy_steps.AutoAugment(name))
    # What is left out has the parameter that it would have had.
    sizes = np.where(steps.operation == 0, 0.0, np.abs(steps.parameter))
    rows = zip(names(steps).tolist(), sizes)
    found = [(a, x, b, y) for (a, b), (x, y) in rows]
    keys = list(law)
    found = np.array([keys.index(key) for key in found])
    laws.assert_law(found, dict(enumerate(law.values())))
    moved = np.array(SIGNED)[steps.operation]
    laws.assert_even_signs(steps.parameter[moved & (steps.parameter != 0)])
    assert np.all(steps.parameter[~moved & (steps.operation > 0)] >= 0)


@pytest.mark.parametrize("magnitude", [0, 4.5])
def test_rand_augment_draws_of_one_magnitude(magnitude):
    steps = drawn(RandAugment(3, magnitude))
    # With replacement, and independently of one another.
    pairs = steps.operation[:, 1] * 14 + steps.operation[:, 2]
    laws.assert_law(pairs, dict.fromkeys(range(196), 1 / 196))
    laws.assert_uncorrelated(*steps.operation.T)
    for index, name in enumerate(policy_space.COMMON):
        values = steps.parameter[steps.operation == index]
        expected = AUTO_AUGMENT.parameter(name, magnitude, 30, 32, 48)
        same(np.abs(values), abs(expected))
        if SIGNED[index] and expected:
            laws.assert_even_signs(values)


def test_trivial_augment_and_cutout_draw_evenly():
    steps = drawn(policy_steps.TrivialAugment(), 40_000)
    assert steps.operation.shape == (40_000, 1)
    laws.assert_law(steps.operation.ravel(), dict.fromkeys(range(14), 1 / 14))
    for name in ("shear_y", "rotate", "color", "solarize", "posterize"):
        values = steps.parameter[names(steps) == name]
        law = collections.Counter()
        for magnitude in range(31):
            law[WIDE.parameter(name, magnitude, 30, 32, 48)] += 1 / 31
        laws.assert_law(np.abs(values), law)
    draw = tf.function(cutout.draw_centres, jit_compile=True)
    rows, columns = draw(tf.constant([1, 2]), [4000], 5, 9).numpy().T
    laws.assert_law(rows, dict.fromkeys(range(5), 1 / 5))
    laws.assert_law(columns, dict.fromkeys(range(9), 1 / 9))
    laws.assert_uncorrelated(rows, columns)


def with_square(image, centre, size):
    expected, half = image.copy(), size // 2
    rows, columns = (slice(max(c - half, 0), c + half) for c in centre)
    expected[rows, columns] = 128
    return expected


def test_views_are_those_of_pillow_for_the_same_draws():
    options = {"num_ops": 3, "magnitude": 25, "cutout": 5}
    images = np.tile(laws.sample_images(4, SHAPE, seed=3), [2, 1, 1, 1])
    make = functools.partial(augment.rand_augment_views, images, **options)
    views = make([1, -2]).numpy()
    assert views.shape == (8, 3, *SHAPE) and views.dtype == np.uint8
    same(views[:, 0], images)

    @tf.function(jit_compile=True)
    def draw(seed):
        # As the streams of the function are named: steps, then centres.
        steps, centres = tf.unstack(augment.policy.rng.split(seed, 2, True))
        size = ([8, 2], *SHAPE[:2])
        steps = RandAugment(3, 25).draw(steps, *size)
        return steps, cutout.draw_centres(centres, *size)

    steps, centres = draw(tf.constant([1, -2]))
    for view in (0, 1):
        one = Steps(*(each.numpy()[:, view] for each in steps))
        pairs = zip(with_pillow(images, one), centres[:, view])
        same(views[:, 1 + view], [with_square(*each, 5) for each in pairs])
    same(make([1, -2]), views)
    assert not np.array_equal(make([1, -3]), views)
    # Equal images have their own draws, as views do.
    assert not np.array_equal(views[0, 1:], views[4, 1:])


def test_functions_ask_for_what_their_names_say(monkeypatch):
    asked = []
    apart = lambda images, *_: images[:, tf.newaxis]  # noqa: E731
    program = lambda *key: asked.append(key) or apart  # noqa: E731
    # Private: makes a program, whose options are all that differs.
    monkeypatch.setattr(policy, "_compiled", program)
    images = laws.sample_images(2, SHAPE, seed=4)
    for name, sampler, options in (
        ("auto_augment", policy_steps.AutoAugment, {"policy": "svhn"}),
        ("rand_augment", RandAugment, {"num_ops": 3, "magnitude": 25}),
        ("trivial_augment", policy_steps.TrivialAugment, {}),
    ):
        same(getattr(augment, name)(images, 0, cutout=6, **options), images)
        views = getattr(augment, f"{name}_views")
        views(images, 0, num_views=4, shard=(1, 2), **options)
        key = sampler(**options)
        assert asked[-2:] == [(key, 6, 1, False, 1), (key, 0, 4, True, 2)]
