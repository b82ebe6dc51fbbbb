"""Policy views: Pillow's pixels, the laws of the draws, and where they run."""

import collections
import functools

import numpy as np
import pytest
import tensorflow as tf
from test_augment_ops import sample_images
from test_augmix import assert_even_signs, assert_law
from test_nearest import PILLOW

from noisymix_tf import augment
from noisymix_tf.augment import cutout, pillow_reference, policy
from noisymix_tf.augment.policies import POLICIES
from noisymix_tf.augment.policy_space import (
    AUTO_AUGMENT,
    COMMON,
    NAMES,
    OPERATIONS,
    WIDE,
)
from noisymix_tf.augment.policy_steps import (
    AutoAugment,
    RandAugment,
    Steps,
    TrivialAugment,
)
from noisymix_tf.errors import UsageError

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

OURS = {
    **pillow_reference.ALL_OPERATIONS,
    **PILLOW,
    "invert": lambda image, unused: ImageOps.invert(image),
    "identity": lambda image, unused: image,
}
SHAPE = (12, 15, 3)
COUNT = 3000


@functools.cache
def drawn(sampler, count=COUNT, seed=3):
    """Draws of a sampler, `[count, 1, D]`."""

    @tf.function(jit_compile=True)
    def draw(seed):
        return sampler.draw(seed, [count, 1], 32, 48)

    steps = draw(tf.constant([0, seed]))
    return Steps(steps.operation.numpy()[:, 0], steps.parameter.numpy()[:, 0])


def names(steps):
    return np.array(NAMES)[steps.operation]


def all_pairs():
    """Every operation, then every other, with parameters of wide ranges."""
    generator = np.random.default_rng(5)
    pairs = [(a, b) for a in NAMES for b in NAMES]
    parameters = [
        [
            WIDE.parameter(name, generator.integers(31), 30, 12, 15)
            * (generator.choice([-1, 1]) if OPERATIONS[index].signed else 1)
            for name, index in zip(pair, map(NAMES.index, pair))
        ]
        for pair in pairs
    ]
    operations = [[NAMES.index(name) for name in pair] for pair in pairs]
    return Steps(np.int32(operations), np.float64(parameters))


def test_equals_pillow():
    """All 225 pairs of operations on images of all kinds."""
    steps = all_pairs()
    images = sample_images(len(steps.operation), SHAPE, seed=1)
    apply = tf.function(policy.apply_steps, jit_compile=True)
    one_view = tf.nest.map_structure(lambda each: each[:, tf.newaxis], steps)
    results = apply(tf.constant(images), one_view)[:, 0].numpy()
    for image, pair, parameters, result in zip(
        images, names(steps), steps.parameter, results, strict=True
    ):
        picture = Image.fromarray(image)
        for name, parameter in zip(pair, parameters):
            picture = OURS[name](picture, parameter)
        np.testing.assert_array_equal(
            result, np.asarray(picture), err_msg=f"{pair} {parameters}"
        )


@pytest.mark.parametrize("name", POLICIES)
def test_auto_augment_draws_its_policy(name):
    """Rows are equally likely, and steps as likely as the table says."""
    law = collections.Counter()
    for row in POLICIES[name]:
        steps = [
            [(operation, AUTO_AUGMENT.parameter(operation, m, 9, 32, 48), p)]
            + [("identity", 0.0, 1 - p)]
            for operation, p, m in row
        ]
        for first, value, p in steps[0]:
            for second, other, q in steps[1]:
                law[first, value, second, other] += p * q / 25
    law = {key: p for key, p in law.items() if p}
    steps = drawn(AutoAugment(name), 20_000)
    # What is left out has the parameter that it would have had.
    sizes = np.where(steps.operation == 0, 0.0, np.abs(steps.parameter))
    found = [
        (a, x, b, y) for (a, b), (x, y) in zip(names(steps).tolist(), sizes)
    ]
    numbers = {key: index for index, key in enumerate(law)}
    assert_law(
        np.array([numbers[key] for key in found]),
        {index: law[key] for key, index in numbers.items()},
    )
    moved = np.isin(names(steps), [e.name for e in OPERATIONS if e.signed])
    assert_even_signs(steps.parameter[moved & (steps.parameter != 0)])
    assert np.all(steps.parameter[~moved & (steps.operation > 0)] >= 0)


@pytest.mark.parametrize("magnitude", [0, 4.5, 30])
def test_rand_augment_draws_of_one_magnitude(magnitude):
    steps = drawn(RandAugment(3, magnitude))
    assert steps.operation.shape == (COUNT, 3)
    assert_law(steps.operation.ravel(), dict.fromkeys(range(14), 1 / 14))
    # With replacement, and independently of one another.
    same = np.mean(steps.operation[:, 0] == steps.operation[:, 1])
    assert abs(same - 1 / 14) < 4 * np.sqrt(13 / 14**2 / COUNT)
    for index, name in enumerate(COMMON):
        values = steps.parameter[steps.operation == index]
        expected = AUTO_AUGMENT.parameter(name, magnitude, 30, 32, 48)
        np.testing.assert_array_equal(np.abs(values), abs(expected))
        if OPERATIONS[index].signed and expected:
            assert_even_signs(values)


def test_trivial_augment_draws_operation_and_magnitude():
    steps = drawn(TrivialAugment(), 40_000)
    assert steps.operation.shape == (40_000, 1)
    assert_law(steps.operation.ravel(), dict.fromkeys(range(14), 1 / 14))
    for name in ("shear_y", "rotate", "color", "solarize", "posterize"):
        values = steps.parameter[names(steps) == name]
        law = collections.Counter()
        for magnitude in range(31):
            law[WIDE.parameter(name, magnitude, 30, 32, 48)] += 1 / 31
        places = {value: index for index, value in enumerate(law)}
        assert_law(
            np.array([places[abs(value)] for value in values]),
            {index: law[value] for value, index in places.items()},
        )


def test_cutout_is_a_square_around_a_centre():
    images = tf.constant(sample_images(6, (9, 7, 3), seed=2))
    centres = [[0, 0], [8, 6], [4, 3], [2, 5], [0, 6], [8, 1]]
    for size in (2, 5, 6):
        erased = cutout.erase(images, tf.constant(centres), size).numpy()
        for before, after, (row, column) in zip(images, erased, centres):
            expected, half = before.numpy(), size // 2
            expected[
                max(row - half, 0) : row + half,
                max(column - half, 0) : column + half,
            ] = 128
            np.testing.assert_array_equal(after, expected)


def test_cutout_centres_are_uniform():
    draw = tf.function(cutout.draw_centres, jit_compile=True)
    rows, columns = draw(tf.constant([1, 2]), [4000], 5, 9).numpy().T
    assert_law(rows, dict.fromkeys(range(5), 1 / 5))
    assert_law(columns, dict.fromkeys(range(9), 1 / 9))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / np.sqrt(4000)


@pytest.fixture(scope="module")
def views():
    """Images, and their views in one call, with the seed (1, 2)."""
    images = sample_images(8, SHAPE, seed=3)
    return images, augment.trivial_augment_views(images, [1, 2], cutout=4)


def test_views(views):
    images, made = views
    assert made.dtype == tf.uint8
    assert made.shape == [8, 3, *SHAPE]
    np.testing.assert_array_equal(made[:, 0], images)
    again = augment.trivial_augment_views(images, [1, 2], cutout=4)
    np.testing.assert_array_equal(again, made)
    other = augment.trivial_augment_views(images, [1, 3], cutout=4)
    assert not np.array_equal(other, made)
    # Every view has its own draws, and its square.
    assert not np.array_equal(made[:, 1], made[:, 2])
    assert np.all(np.any(made[:, 1:] == 128, axis=(2, 3, 4)))


def test_parts_of_a_batch_get_what_they_get_in_it(views):
    images, made = views
    for index in range(2):
        part = slice(4 * index, 4 * index + 4)
        np.testing.assert_array_equal(
            augment.trivial_augment_views(
                images[part], [1, 2], cutout=4, shard=(index, 2)
            ),
            made[part],
        )


def test_same_inside_a_compiled_step(views):
    images, made = views

    @tf.function(jit_compile=True)
    def step(images, seed):
        return augment.trivial_augment_views(images, seed, cutout=4)

    again = step(tf.constant(images), tf.constant([1, 2]))
    np.testing.assert_array_equal(again, made)


@pytest.mark.parametrize(
    ("one", "sampler", "options"),
    [
        (augment.auto_augment, AutoAugment, {"policy": "svhn"}),
        (augment.rand_augment, RandAugment, {"num_ops": 3, "magnitude": 25}),
        (augment.trivial_augment, TrivialAugment, {}),
    ],
)
def test_functions_of_one_view(monkeypatch, one, sampler, options):
    """They ask for the one view that their names and options say."""
    calls = []

    def compiled(*key):
        calls.append(key)
        return lambda images, seed, index: images[:, tf.newaxis]

    monkeypatch.setattr(policy, "_compiled", compiled)
    images = sample_images(2, SHAPE, seed=4)
    np.testing.assert_array_equal(
        one(images, [0, 1], cutout=6, **options), images
    )
    assert calls == [(sampler(**options), 6, 1, False, 1)]


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (augment.auto_augment_views, {"policy": "mnist"}, "policy 'mnist'"),
        (augment.rand_augment_views, {"num_ops": 0}, "num_ops .* got 0"),
        (augment.rand_augment_views, {"num_ops": 1.5}, "num_ops .* got 1.5"),
        (augment.rand_augment_views, {"magnitude": 31}, "0 to 30, got 31"),
        (augment.rand_augment_views, {"magnitude": "9"}, "0 to 30, got '9'"),
        (augment.trivial_augment_views, {"cutout": -1}, "cutout .* got -1"),
        (augment.trivial_augment_views, {"num_views": 0}, "num_views .* got 0"),
        (augment.trivial_augment_views, {"shard": 3}, "shard=3 must be"),
    ],
)
def test_refuses_options(function, options, message):
    images = np.zeros([2, 4, 4, 3], np.uint8)
    with pytest.raises(UsageError, match=message) as error:
        function(images, [0, 0], **options)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="uint8"):
        function(images / 255, [0, 0])
