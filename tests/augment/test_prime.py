"""PRIME against formulas, and against statistics of its authors' program."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose as close
from numpy.testing import assert_array_equal as same
from scipy import ndimage, stats

from noisymix_tf import philox
from noisymix_tf.augment import prime, prime_views
from support import augmentation as laws
from support.corruption_oracle import photographs

LAWS = {"cifar": (100, None, 0.01, 100), "imagenet": (500, 20, 0.05, 500)}


def seeds(count, start=0):
    every = np.random.default_rng(start).integers(-(2**31), 2**31, [count, 2])
    return tf.constant(every, tf.int32)


def law(name):
    return prime.Law(*LAWS[name])


def compiled(change, name):
    return tf.function(
        lambda images, own: change(images, own, law=law(name)),
        jit_compile=True,
        autograph=False,
    )


def test_constants_go_by_size():
    options = prime.PrimeOptions
    assert options().law((2, 63, 90, 3)) == law("cifar")
    assert options().law((2, 64, 64, 3)) == law("imagenet")
    assert options(constants="imagenet").law((8, 8, 3)) == law("imagenet")


def test_numbers_of_a_row_are_its_own():
    own = seeds(400)
    uniform, normal = map(np.array, prime.numbers(own, 3, 101))
    assert uniform.shape == (400, 3) and normal.shape == (400, 101)
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > laws.P_VALUE
    assert stats.kstest(normal.ravel(), "norm").pvalue > laws.P_VALUE
    assert abs(np.corrcoef(normal[:, 0], normal[:, 60])[0, 1]) < 0.2
    for part in (slice(7, 8), slice(3, 300)):
        found = prime.numbers(own[part], 3, 101)
        same(found[0], uniform[part])
        close(found[1], normal[part], atol=1e-6)
    # Of the generator that TensorFlow names so, in another order of its words.
    words = philox.uniforms(tf.constant([[5, 0]], tf.int32), 8)
    assert 0 < float(tf.reduce_min(words)) and len({*words[0].numpy()}) == 8


def test_a_filter_is_a_correlation_with_black_around():
    images = photographs(5, 11, 14).astype("f4") / 255
    own = seeds(5)
    uniform, normal = map(np.array, prime.numbers(own, 1, 9))
    found = compiled(prime.filtered, "cifar")(images, own)
    for image, u, z, made in zip(images, uniform, normal, found):
        kernel = (4 * u[0] * z).reshape(3, 3, 1)
        kernel[2, 2] += 1  # As published.
        wanted = ndimage.correlate(image, kernel, mode="constant")
        close(made, wanted.clip(0, 1), atol=1e-5)


@pytest.mark.parametrize("name", LAWS)
def test_a_curve_is_a_sum_of_waves(name):
    most, band, heat, _ = LAWS[name]
    images = photographs(6, 9, 8).astype("f4") / 255
    own = seeds(6, start=1)
    number = band or most
    uniform, normal = prime.numbers(own, 3, 3 * number)
    found = compiled(prime.recoloured, name)(images, own)
    counts = []
    for image, u, z, made in zip(
        images, *map(np.array, (uniform, normal)), found
    ):
        cut = min(int(u[0] * most), most - 1) + 1
        first = min(int(u[2] * cut), cut - 1) + 1 if band else 1
        k = np.arange(first, min(first + number, cut + 1))
        counts.append(len(k))
        amplitudes = np.sqrt(heat * u[1]) * z.reshape(number, 3)[: len(k)]
        waves = np.sin(np.pi * k[:, None] * image[..., None, :].astype(float))
        wanted = image + (amplitudes * waves).sum(-2)
        close(made, wanted.clip(0, 1), atol=5e-4)
    assert len({*counts}) > 1 or band


def test_waves_beyond_the_pixels_add_to_those_that_look_alike():
    """The covariance of a field, from all waves and from few."""
    size, generator = 9, np.random.default_rng(0)
    left, right = generator.normal(size=(2, size))

    def variance(energies):
        turns = np.pi * np.linspace(0, 1, size)[:, None]
        waves = np.sin(turns * np.arange(1, 1 + len(energies)))
        return (left @ waves) ** 2 @ energies @ (right @ waves) ** 2

    for cut in (2.0, 5.0, 7.0, 8.0, 20.0, 33.0):
        energy = prime._energies(tf.constant([cut]), size, size, law("cifar"))
        k = np.arange(1, int(cut) + 1)
        square = k[:, None] ** 2 + k**2
        every = np.where(square < (cut + 0.5) ** 2, 1 / square, 0)
        close(variance(energy[0].numpy()), variance(every), rtol=1e-5)


@pytest.mark.parametrize("size", [(12, 12), (10, 17)])
def test_a_deformation_reads_between_pixels_of_the_image(size):
    height, width = size
    images = photographs(40, *size).astype("f4") / 255
    down, right = np.random.default_rng(0).normal(0, 3, [2, 40, *size])
    found = prime._moved(tf.constant(images), *map(np.float32, (down, right)))
    rows, columns = np.indices(size)
    for image, y, x, made in zip(images, down, right, found):
        places = (
            (rows - y).clip(0, height - 1),
            (columns - x).clip(0, width - 1),
        )
        for channel in range(3):
            plane = image[..., channel].astype(float)
            wanted = ndimage.map_coordinates(plane, places, order=1)
            close(made[..., channel], wanted, atol=1e-4)
    made = compiled(prime.deformed, "cifar")(images, seeds(40))
    same(made[:, 0, 0], images[:, 0, 0])  # Corners stay.
    assert np.abs(made - images).max() > 0.05


def statistics(made, image):
    """Six numbers of each of many images of one image, all in [0, 1]."""
    made, over = np.asarray(made, float), (1, 2, 3)
    change = made - image
    return np.stack(
        [
            made.mean(over),
            abs(change).mean(over),
            (change**2).mean(over),
            abs(np.diff(made, axis=2)).mean(over),
            (made <= 0).mean(over),
            (made >= 1).mean(over),
        ],
        axis=1,
    )


def picture(side):
    """What the program of the authors was given."""
    y, x = np.mgrid[:side, :side] / (side - 1)
    wave = 0.5 + 0.4 * np.sin(9 * x * y + 4 * y)
    image = np.stack([0.1 + 0.8 * x, 0.9 - 0.8 * y, wave], axis=-1)
    image[side // 4 : side // 2, side // 4 : side // 2] = 0.95, 0.1, 0.3
    return np.rint(image * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "what",
    [
        *("deformed", "recoloured", "filtered"),
        pytest.param("view", marks=pytest.mark.slow),  # All steps, compiled.
    ],
)
@pytest.mark.parametrize(
    "side, name",
    [(32, "cifar"), pytest.param(48, "imagenet", marks=pytest.mark.slow)],
)
def test_images_are_distributed_as_the_authors_are(what, side, name, golden):
    """Means of six statistics, within four standard errors of both."""
    theirs = golden("prime_statistics.json")[f"{what}-{side}"]
    image, count = picture(side), 128
    batch = np.repeat(image[None], count, axis=0)
    found, change = [], what != "view" and compiled(getattr(prime, what), name)
    for start in range(12):
        if what == "view":
            own = {"num_views": 2, "constants": name, "dense": True}
            made = prime_views(batch, [start, 5], **own)[:, 1] / 255
        else:
            images = tf.constant(batch / 255, tf.float32)
            made = change(images, seeds(count, start))
        found.append(statistics(made, image / 255))
    found = np.concatenate(found)
    error = np.hypot(found.std(0) / np.sqrt(len(found)), theirs["error"])
    distance = abs(found.mean(0) - theirs["mean"]) / np.maximum(error, 1e-9)
    assert (distance < 4).all(), distance


def test_chains_have_one_to_three_steps_of_three_kinds():
    draw = tf.function(prime._draw_plan, jit_compile=True)
    plan = draw(tf.constant([4, 2]), [4000, 2])
    kind = plan.kind.numpy()
    done = kind < 3
    same(done[..., :-1] >= done[..., 1:], True)  # What follows is nothing.
    for depth in (1, 2, 3):
        share = (done.sum(-1) == depth).mean()
        assert abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / done[..., 0].size)
    for each in range(3):
        share = (kind[done] == each).mean()
        assert abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / done.sum())
    close(tf.reduce_sum(plan.weights, -1), 1.0, atol=1e-5)
    assert stats.kstest(plan.m.numpy().ravel(), "uniform").pvalue > laws.P_VALUE
    first = plan.weights.numpy()[..., 0].ravel()
    assert stats.kstest(first, stats.beta(1, 2).cdf).pvalue > laws.P_VALUE


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 9, 14, 1), (1, 70, 66, 3)])
def test_views_of_any_form_and_place(shape):
    images = photographs(*shape)
    views = prime_views(images, [3, -4], num_views=4)
    assert (
        views.shape == (shape[0], 4, *shape[1:]) and views.dtype == tf.float32
    )
    same(views[:, 0], images)
    assert (
        0 <= float(tf.reduce_min(views))
        and float(tf.reduce_max(views)) <= 255.001
    )
    assert all(
        np.abs(view - images).max() > 1
        for view in views[:, 1:].numpy().swapaxes(0, 1)
    )
    # There is nothing but borders, which stay.
    thin = tf.constant(images[:, :2] / 255, tf.float32)
    same(prime.deformed(thin, seeds(shape[0]), law=law("cifar")), thin)
    own = {"num_views": 4, "dense": shape[0] == 1}
    own["shard"] = shape[0] - 1, shape[0]
    part = prime_views(images[-1:], [3, -4], **own)
    close(part, views[-1:], atol=0.05 if own["dense"] else 1e-3)
