"""Policies: published tables, Pillow's pixels, the laws of the draws."""

import collections
import fractions
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same
from PIL import Image

from noisymix_tf import augment
from noisymix_tf.augment import fixed, policy
from noisymix_tf.augment.policy import AUTO_AUGMENT, NAMES, POLICIES, WIDE
from support import augmentation as laws
from support.usage import assert_usage_error

SHAPE = (12, 15, 3)
Steps = collections.namedtuple("Steps", "operation parameter")
SIGNED = [each.signed for each in policy.OPERATIONS]
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
    assert set(policy.COMMON) == {*ranges} | plain
    assert set(NAMES) == {*policy.COMMON, "invert"}
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
    return real([each.numpy()[:, 0] for each in steps])


def real(steps):
    """With parameters as Pillow takes them."""
    return Steps(steps[0], laws.real(*steps, policy.OPERATIONS))


def real_of(space, name, *magnitude):
    """A parameter as it comes out of fixed point."""
    unit = policy.OPERATIONS[NAMES.index(name)].unit
    parameter = space.parameter(name, *magnitude, 32, 48)
    return fixed.number(parameter * unit) / fixed.ONE / unit


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


@pytest.mark.parametrize("name", POLICIES)
def test_auto_augment_draws_its_policy(name):
    law = collections.Counter()
    for row in POLICIES[name]:
        either = [
            [(o, real_of(AUTO_AUGMENT, o, m, 9), p), ("identity", 0.0, 1 - p)]
            for o, p, m in row
        ]
        for (a, x, p), (b, y, q) in itertools.product(*either):
            law[a, x, b, y] += p * q / 25
    law = {key: p for key, p in law.items() if p}
    steps = drawn(policy.AutoAugment(policy=name))
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
    steps = drawn(policy.RandAugmentOptions(num_ops=3, magnitude=magnitude))
    # With replacement, and independently of one another.
    pairs = steps.operation[:, 1] * 14 + steps.operation[:, 2]
    laws.assert_law(pairs, dict.fromkeys(range(196), 1 / 196))
    laws.assert_uncorrelated(*steps.operation.T)
    for index, name in enumerate(policy.COMMON):
        values = steps.parameter[steps.operation == index]
        expected = AUTO_AUGMENT.parameter(name, magnitude, 30, 32, 48)
        np.testing.assert_allclose(np.abs(values), abs(expected), rtol=1e-14)
        if SIGNED[index] and expected:
            laws.assert_even_signs(values)


def test_torchvision_scale_is_what_torchvision_publishes():
    """`RandAugment._augmentation_space` of torchvision 0.28, 31 bins."""
    bins = np.linspace(0, 1, 31)
    # Of thresholds, Pillow takes the next whole number.
    plain = {"solarize": np.ceil((255 - 255 * bins).round(6))}
    plain["posterize"] = 8 - np.round(4 * bins)
    signed = {"rotate": 30 * bins, "translate_x": 150 / 331 * 48 * bins // 1}
    signed["translate_y"] = 150 / 331 * 32 * bins // 1
    signed |= dict.fromkeys(("shear_x", "shear_y"), 0.3 * bins)
    space = policy.SCALES["torchvision"]
    for name in policy.COMMON:
        unit = policy.OPERATIONS[NAMES.index(name)].unit
        pairs = [space.both_ways(name, m, 30, 32, 48) for m in range(31)]
        forth = back = plain.get(name, 0)
        if name in ("color", "contrast", "brightness", "sharpness"):
            forth, back = 1 + 0.9 * bins, 1 - 0.9 * bins
        elif name in signed:
            forth, back = signed[name], -signed[name]
        for found, expected in zip(np.transpose(pairs) / unit, (forth, back)):
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_trivial_augment_and_cutout_draw_evenly():
    steps = drawn(policy.TrivialAugment(), 40_000)
    assert steps.operation.shape == (40_000, 1)
    laws.assert_law(steps.operation.ravel(), dict.fromkeys(range(14), 1 / 14))
    for name in ("shear_y", "rotate", "color", "solarize", "posterize"):
        values = steps.parameter[names(steps) == name]
        law = collections.Counter()
        for magnitude in range(31):
            law[real_of(WIDE, name, magnitude, 30)] += 1 / 31
        laws.assert_law(np.abs(values), law)
    draw = tf.function(policy.draw_centres, jit_compile=True)
    rows, columns = draw(tf.constant([1, 2]), [4000], 5, 9).numpy().T
    laws.assert_law(rows, dict.fromkeys(range(5), 1 / 5))
    laws.assert_law(columns, dict.fromkeys(range(9), 1 / 9))
    laws.assert_uncorrelated(rows, columns)


def test_views_are_those_of_pillow_for_the_same_draws():
    options = {"num_ops": 3, "magnitude": 25, "cutout": 4}
    sampler = policy.RandAugmentOptions(**options)
    images = np.tile(laws.sample_images(20, SHAPE, seed=3), [2, 1, 1, 1])
    make = functools.partial(augment.rand_augment_views, images, **options)
    views = make([1, -2]).numpy()
    assert views.shape == (40, 3, *SHAPE) and views.dtype == np.uint8
    same(views[:, 0], images)

    @tf.function(jit_compile=True)
    def draw(seed):
        # As the streams of the function are named: steps, then centres.
        steps, centres = tf.unstack(augment.policy.rng.split(seed, 2, True))
        size = ([40, 2], *SHAPE[:2])
        return sampler.draw(steps, *size), policy.draw_centres(centres, *size)

    steps, centres = draw(tf.constant([1, -2]))
    for view in (0, 1):
        one = real([each.numpy()[:, view] for each in steps])
        expected = with_pillow(images, one)
        for image, centre in zip(expected, centres[:, view].numpy()):
            rows, columns = (slice(max(c - 2, 0), c + 2) for c in centre)
            image[rows, columns] = 128
        same(views[:, 1 + view], expected)
    same(make([1, -2]), views)
    same(make([1, -2], dense=True), views)
    assert not np.array_equal(make([1, -3]), views)
    # Equal images have their own draws, as views do.
    assert not np.array_equal(views[0, 1:], views[20, 1:])
    words = "cutout=5 must be an even number from 0"
    assert_usage_error(policy.TrivialAugment, words, cutout=5)


def test_functions_ask_for_what_their_names_say(monkeypatch):
    asked = []
    apart = lambda images, *_: images[:, tf.newaxis]  # noqa: E731
    program = lambda *key: asked.append(key) or apart  # noqa: E731
    monkeypatch.setattr(augment.views, "program", program)
    images = laws.sample_images(2, SHAPE, seed=4)
    for name, sampler, options in (
        ("auto_augment", policy.AutoAugment, {"policy": "svhn"}),
        ("rand_augment", policy.RandAugmentOptions, {"scale": "torchvision"}),
        ("trivial_augment", policy.TrivialAugment, {}),
    ):
        views = getattr(augment, f"{name}_views")
        views(images, 0, num_views=5, cutout=6, dense=True, **options)
        assert asked[-1] == (sampler(**options, cutout=6), 4, 1, True)
