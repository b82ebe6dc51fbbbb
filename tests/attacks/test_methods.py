"""Attacks against closed forms, and what they promise."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.attacks import BALLS, draws, objective
from noisymix_tf.attacks.victims import victim
from support.usage import assert_usage_error

ROUNDING = 1e-3  # Grey levels; a perturbation of Euclidean length 100 or so.
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(100, 150, [6, 4, 4, 3]).astype("float32")
LABELS = np.array([0, 1, 1, 0, 1, 0])
SIZE = IMAGES[0].size


def linear(scale=1.0, num_classes=2, activation=None):
    """A linear classifier; its scores differ by about `scale`."""
    weights = np.random.default_rng(1).normal(size=[SIZE, num_classes])
    model = keras.Sequential(
        [
            keras.Input([4, 4, 3]),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes, activation=activation),
        ]
    )
    model.layers[-1].kernel.assign(weights * scale)
    return model


@pytest.fixture(scope="module")
def plain():
    return linear()


@pytest.fixture(scope="module")
def constant():
    return linear(0.0)


def uphill(model, labels):
    """Of two classes: what pixels to add so that the wrong one gains."""
    kernel = model.layers[-1].kernel.numpy()
    toward = (kernel[:, 1] - kernel[:, 0]).reshape([1, 4, 4, 3])
    return np.where(np.reshape(labels, [-1, 1, 1, 1]) == 0, toward, -toward)


def lengths(perturbation):
    return np.sqrt((np.asarray(perturbation, float) ** 2).sum((1, 2, 3)))


# Against closed forms.


@pytest.mark.parametrize("attack", [nm.attacks.fgsm, nm.attacks.pgd])
def test_linear_model_in_the_maximum_norm(attack):
    """Also clipped at both ends, where p rounds to one, with new weights."""
    model, dense = linear(), linear().layers[-1]
    images = IMAGES + np.where(IMAGES > 125, 100, -100)
    for scale, eps, loss in (
        (0.01, 3 / 255, "cross_entropy"),
        (-1.0, 0.3, "cross_entropy"),
        (10.0, 3 / 255, "log_odds"),
    ):
        model.layers[-1].kernel.assign(scale * dense.kernel)
        found = attack(
            model, images, LABELS, eps, random_start=False, loss=loss
        )
        expected = images + 255 * eps * np.sign(uphill(model, LABELS))
        np.testing.assert_allclose(
            found, np.clip(expected, 0, 255), rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(
    "scale, activation", [(0.01, None), (1.0, None), (0.01, "softmax")]
)
def test_linear_model_in_the_euclidean_norm(scale, activation):
    model = linear(scale, activation=activation)
    toward = uphill(model, LABELS)
    expected = IMAGES + 0.5 * 255 * toward / lengths(toward[:1])
    options = dict(eps=0.5, norm="l2")
    found = nm.attacks.pgd(
        model, IMAGES, LABELS, random_start=False, steps=5, **options
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
    # From anywhere in the ball, projected steps lead to the same place.
    found = nm.attacks.pgd(model, IMAGES, LABELS, steps=200, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)


def test_balls_in_closed_form():
    """Each image on its own; no direction and no projection of zero is NaN."""
    x = tf.constant([3.0, -4.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    x = tf.reshape(x, [3, 1, 1, 3])
    cube, sphere = BALLS.get("linf"), BALLS.get("l2")
    for found, expected in (
        (cube.direction(x), [1, -1, 0, 1, 0, 0, 0, 0, 0]),
        (cube.project(x, 2.0), [2, -2, 0, 0.5, 0, 0, 0, 0, 0]),
        (sphere.direction(x), [0.6, -0.8, 0, 1, 0, 0, 0, 0, 0]),
        (sphere.direction(1e-30 * x), [0.6, -0.8, 0, 1, 0, 0, 0, 0, 0]),
        (sphere.direction(1e30 * x), [0.6, -0.8, 0, 1, 0, 0, 0, 0, 0]),
        (sphere.project(x, 2.0), [1.2, -1.6, 0, 0.5, 0, 0, 0, 0, 0]),
        (sphere.project(x, 0.0), [0.0] * 9),
    ):
        np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-6)
    assert (cube.span(48), sphere.span(48)) == (1.0, math.sqrt(48))


def test_log_odds_in_closed_form():
    """Also where float32's log-softmax knows no right class any more."""
    q = 1 / (1 + math.exp(-1))
    labels = tf.constant([0])
    for margin in (1.0, 5.0, 30.0, 300.0):
        logits = tf.constant([[margin, 1.0, 0.0]])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(logits)
            loss = objective.log_odds(logits, labels)
            entropy = objective.cross_entropy(logits, labels)
        expected = math.log(math.e + 1) - margin
        np.testing.assert_allclose(loss, [expected], rtol=1e-5)
        gradient = tape.gradient(loss, logits).numpy()[0]
        np.testing.assert_allclose(gradient, [-1, q, 1 - q], rtol=1e-5)
        soft = np.log1p(np.exp(np.float64(loss)))
        np.testing.assert_allclose(entropy, soft, atol=1e-6)
        rounded = tape.gradient(entropy, logits).numpy()[0]
        if margin < 10:
            np.testing.assert_allclose(
                rounded / -rounded[0], gradient, rtol=1e-3
            )
        else:
            assert rounded[0] == 0.0


def test_probabilities_and_logits_give_the_same_attack():
    """Softmax in sight, softmax hidden from the attack, and logits."""
    model = linear(0.1, num_classes=3)
    exported = tf.function(
        lambda x: tf.nn.softmax(model(x)), autograph=False
    ).get_concrete_function(tf.TensorSpec([None, 4, 4, 3]))
    softmax = linear(0.1, num_classes=3, activation="softmax")
    classifiers = model, softmax, lambda x: exported(x)
    first, *others = (
        nm.attacks.pgd(classifier, IMAGES, LABELS, 0.1, norm="l2")
        for classifier in classifiers
    )
    natures = [victim(c).nature(IMAGES)[1] for c in classifiers]
    assert natures == [True, False, False]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=0.01)


# The ball, the range, the starts.


@pytest.mark.parametrize("norm, eps", [("linf", 8 / 255), ("l2", 0.7)])
def test_ends_lie_in_the_ball_and_in_the_range(norm, eps):
    model = linear(num_classes=5)
    images = RNG.integers(0, 256, [32, 4, 4, 3], dtype=np.uint8)
    images[:8] = 255 * (images[:8] > 127)
    labels = RNG.integers(0, 5, 32)
    options = dict(norm=norm, step_size=eps)
    found = nm.attacks.pgd(model, images, labels, eps, **options).numpy()
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 255
    delta = found - images.astype(float)
    size = np.abs(delta).max((1, 2, 3)) if norm == "linf" else lengths(delta)
    assert (size <= 255 * eps + ROUNDING).all()
    assert (size[8:] > 0.5 * 255 * eps).all()
    for more in ({}, {"restarts": 2}):
        found = nm.attacks.pgd(model, images, labels, 0, **options, **more)
        np.testing.assert_array_equal(found, images)


def start_of(model, norm, count, eps=0.2, **options):
    """Where attacks on a constant classifier end: where they started."""
    images = np.full([count, 4, 4, 3], 127.5)
    labels = np.zeros(count, int)
    found = nm.attacks.pgd(
        model, images, labels, eps, norm=norm, steps=2, **options
    )
    return (found.numpy() - 127.5) / (255 * eps)


def test_random_starts_fill_the_cube(constant):
    starts = start_of(constant, "linf", 300)
    count = starts.size
    assert np.abs(starts).max() <= 1.0 + 1e-6
    assert abs(starts.mean()) < 4 / math.sqrt(3 * count)
    # The square of such a number has mean 1/3 and variance 4/45.
    assert abs((starts**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / count)


def test_random_starts_fill_the_sphere(constant):
    starts = start_of(constant, "l2", 300)
    radii = lengths(starts)
    assert radii.max() <= 1.0 + 1e-5
    # The share of volume within the radius is uniform.
    assert abs((radii**SIZE).mean() - 0.5) < 4 / math.sqrt(12 * 300)
    directions = starts / radii[:, None, None, None]
    mean = lengths(directions.mean(0, keepdims=True))[0] ** 2
    assert mean < (1 + 4 * math.sqrt(2 / SIZE)) / 300


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_follow_seed_and_index_only(constant, norm):
    together = start_of(constant, norm, 6, seed=3)
    order = np.array([4, 1, 5])
    apart = start_of(constant, norm, 3, seed=3, indices=order)
    np.testing.assert_allclose(apart, together[order], atol=1e-6)
    others = [*start_of(constant, norm, 6, seed=4), *together]
    assert len({other.tobytes() for other in others}) == 12
    # Restarts begin elsewhere, in XLA's programs at the same places.
    draw = tf.function(BALLS.get(norm).draw, jit_compile=True)
    keys = [draws.key(3, restart, 0) for restart in (0, 1)]
    first, second = (draw(key, [4, 4, 3], 1.0) for key in keys)
    np.testing.assert_allclose(first, together[0], atol=1e-5)
    assert np.abs(first - second).max() > 0.1


def test_fgsm_from_a_random_start(plain):
    def attack(seed):
        return nm.attacks.fgsm(
            plain, IMAGES, LABELS, 8 / 255, random_start=True, seed=seed
        ).numpy()

    found = attack(5)
    np.testing.assert_array_equal(found, attack(5))
    assert (found != attack(6)).any()
    # A step of eps from a place in the cube: the sign is never undone.
    moved = (found - IMAGES) * np.sign(uphill(plain, LABELS))
    assert moved.min() >= -ROUNDING and moved.max() <= 8 + ROUNDING
    assert (moved < 7.9).any() and (moved > 7.9999).any()


# Models, labels, compilation.


def curved_network():
    """Layers that behave otherwise in training, with statistics of note."""

    def init(seed):
        return keras.initializers.RandomNormal(stddev=0.5, seed=seed)

    model = keras.Sequential(
        [
            keras.Input([4, 4, 3]),
            keras.layers.Rescaling(1 / 30, -4.0),
            keras.layers.Conv2D(
                4, 3, activation="tanh", kernel_initializer=init(1)
            ),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=init(2)),
        ]
    )
    model.layers[2].moving_variance.assign([0.1, 2.0, 0.5, 1.0])
    return model


class Unbuilt(keras.Model):
    """A subclassed model, not built, whose call knows no `training`."""

    def __init__(self):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(2)

    def call(self, images):
        return self.dense(self.flatten(images / 255.0))


def test_a_model_is_left_as_it_is_and_xla_finds_the_same():
    model = curved_network()
    weights = model.get_weights()
    options = dict(eps=0.1, norm="l2", restarts=2, steps=3)
    once, again, compiled = (
        nm.attacks.pgd(model, IMAGES, LABELS, jit_compile=jit, **options)
        for jit in (False, False, True)
    )
    np.testing.assert_array_equal(once, again)
    # A sign may differ where a gradient is nearly zero; starts never do.
    assert (np.abs(compiled - once) < 0.01).mean() > 0.99
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)
    found = nm.attacks.fgsm(Unbuilt(), IMAGES, LABELS, 0.1)
    assert (np.abs(found - IMAGES) > 25.4).all()


def test_restarts_find_more_and_never_lose_a_miss():
    """Per image; among equals the loss only grows."""
    model = curved_network()
    images = RNG.uniform(50, 200, [64, 4, 4, 3]).astype("float32")
    labels = model(images).numpy().argmax(-1)

    def measured(restarts):
        found = nm.attacks.pgd(
            model, images, labels, 6 / 255, restarts=restarts, steps=2
        )
        scores, int32 = model(found), tf.constant(labels, tf.int32)
        return (
            objective.missed(scores, int32).numpy(),
            objective.cross_entropy(scores, int32).numpy(),
        )

    missed, loss = measured(1)
    for restarts in (2, 5):
        more_missed, more_loss = measured(restarts)
        assert (more_missed >= missed).all()
        assert 0.1 < more_missed.mean() < 0.9
        same = more_missed == missed
        assert (more_loss[same] >= loss[same] - 1e-5).all()
        assert (more_loss > loss + 1e-5).any()
        missed, loss = more_missed, more_loss


def test_one_hot_labels_are_labels(plain):
    expected = nm.attacks.fgsm(plain, IMAGES, LABELS, 0.1)
    one_hot = np.eye(2)[LABELS], np.eye(2, dtype=int)[LABELS]
    for labels in (*one_hot, LABELS[:, None], tf.constant(LABELS)):
        found = nm.attacks.fgsm(plain, IMAGES, labels, 0.1)
        np.testing.assert_array_equal(found, expected)


def test_batches_share_one_trace_and_models_can_go():
    calls = []
    network = linear()

    def classifier(images):
        calls.append(images.shape)
        return network(images)

    def attack(count, eps, steps, restarts, seed, classifier=classifier):
        nm.attacks.pgd(
            classifier,
            IMAGES[:count],
            LABELS[:count],
            eps,
            steps=steps,
            restarts=restarts,
            seed=seed,
        )
        return len(calls)

    attack(6, 0.1, 2, 2, 0)
    # Sizes of batches traced once more, for any size.
    traced = attack(5, 0.1, 2, 2, 0)
    for options in ((3, 0.2, 2, 2, 0), (6, 0.2, 3, 4, 7)):
        assert attack(*options) == traced
    model = linear()
    nm.attacks.fgsm(model, IMAGES, LABELS, 0.1)
    gone = weakref.ref(classifier), weakref.ref(model)
    del classifier, attack, model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"eps": -0.1}, "eps=-0.1 must be a number of at least 0"),
        ({"eps": 4}, "such as 4/255"),
        ({"eps": "4/255"}, "must be a number"),
        ({"eps": 7.0, "norm": "l2"}, "largest distance of two images, 6.9"),
        ({"norm": [1]}, "Unknown norm '[1]'"),
        ({"loss": "hinge"}, "Known: cross_entropy, log_odds"),
        ({"steps": 0}, "steps=0 must be a whole number from 1"),
        ({"steps": 2.0}, "steps=2.0"),
        ({"restarts": 0}, "restarts=0"),
        ({"restarts": 2, "random_start": False}, "2 times the same"),
        ({"step_size": 0.0}, "step_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"random_start": "yes"}, "random_start='yes'"),
        ({"from_logits": 1.5}, "from_logits=1.5"),
        ({"indices": [0, 1]}, "indices must be 6 ints"),
        ({"labels": LABELS + 1}, "Label 2 is not one of the model's classes"),
        ({"labels": LABELS - 1}, "Label -1"),
        ({"labels": LABELS[:4]}, "one per image"),
        ({"labels": LABELS.astype(float)}, "labels as ints"),
        ({"labels": np.full([6, 2], 0.5)}, "a single 1"),
        ({"images": IMAGES[0]}, "got shape"),
        ({"images": IMAGES[:0]}, "at least one"),
        ({"images": IMAGES - 127.5}, "pixels in 0..255"),
        ({"images": IMAGES * np.nan}, "pixels in 0..255"),
        ({"images": IMAGES / 255}, "as of pixels in 0..1: multiply them"),
        ({"images": IMAGES.astype(int)}, "uint8 or floats"),
        ({"images": IMAGES[:, :3]}, "takes inputs"),
        ({"model": "model.keras"}, "got str: load the model"),
        ({"model": lambda x: x}, "one output per class"),
        ({"model": lambda x: [x]}, "one output per class"),
        ({"model": lambda x: tf.fill([6, 2], 1.0)}, "no gradient"),
        (
            {"model": lambda x: tf.reduce_sum(x, [1, 2])[:, :2] / 0.0},
            "not finite",
        ),
    ],
)
def test_bad_input_is_said_in_one_line(plain, change, words):
    options = dict(model=plain, images=IMAGES, labels=LABELS, eps=0.1)
    assert_usage_error(lambda: nm.attacks.pgd(**{**options, **change}), words)


def test_what_cannot_be_attacked_is_said_in_one_line(plain):
    """Logits out of a softmax; tensors that are not there yet."""
    softmax = linear(activation="softmax")
    attack = nm.attacks.fgsm
    assert_usage_error(
        lambda: attack(softmax, IMAGES, LABELS, 0.1, from_logits=True),
        "ends in softmax",
    )
    step = tf.function(lambda images: attack(plain, images, LABELS, 0.1))
    assert_usage_error(lambda: step(tf.constant(IMAGES)), "attacks.search")
