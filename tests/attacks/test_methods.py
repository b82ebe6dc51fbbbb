"""Attacks against closed forms, and what they promise."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.attacks import BALLS, Budget, objective, search
from noisymix_tf.attacks.victims import victim
from noisymix_tf.errors import UsageError

ROUNDING = 1e-3  # Grey levels; a perturbation of Euclidean length 100 or so.
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(100, 150, [6, 4, 4, 3]).astype("float32")
LABELS = np.array([0, 1, 1, 0, 1, 0])
SIZE = IMAGES[0].size


def linear(scale=1.0, num_classes=2, activation=None, seed=1):
    """A linear classifier; its scores differ by about `scale`."""
    weights = np.random.default_rng(seed).normal(size=[SIZE, num_classes])
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


def uphill(model, labels):
    """Of two classes: what pixels to add so that the wrong one gains."""
    kernel = model.layers[-1].kernel.numpy()
    toward = (kernel[:, 1] - kernel[:, 0]).reshape([1, 4, 4, 3])
    return np.where(np.reshape(labels, [-1, 1, 1, 1]) == 0, toward, -toward)


def lengths(perturbation):
    return np.sqrt((np.asarray(perturbation, float) ** 2).sum((1, 2, 3)))


# Against closed forms.


@pytest.mark.parametrize("eps", [3 / 255, 0.3])
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("attack", [nm.attacks.fgsm, nm.attacks.pgd])
def test_linear_model_in_the_maximum_norm(attack, scale, eps):
    """Also where it is so sure that p rounds to one (scale 10)."""
    model = linear(scale)
    images = IMAGES + np.where(IMAGES > 125, 100, -100)
    expected = images + 255 * eps * np.sign(uphill(model, LABELS))
    loss = "log_odds" if scale > 1 else "cross_entropy"
    found = attack(model, images, LABELS, eps, random_start=False, loss=loss)
    np.testing.assert_allclose(
        found, np.clip(expected, 0, 255), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_linear_model_in_the_euclidean_norm(scale, activation):
    model = linear(scale, activation=activation)
    toward = uphill(model, LABELS)
    expected = IMAGES + 0.5 * 255 * toward / np.sqrt((toward[0] ** 2).sum())
    options = dict(eps=0.5, norm="l2")
    found = nm.attacks.pgd(
        model, IMAGES, LABELS, random_start=False, steps=5, **options
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
    # From anywhere in the ball, projected steps lead to the same place.
    found = nm.attacks.pgd(model, IMAGES, LABELS, steps=200, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("margin", [1.0, 5.0, 30.0, 300.0])
def test_log_odds_in_closed_form(margin):
    """Also where float32's log-softmax knows no right class any more."""
    logits = tf.constant([[margin, 1.0, 0.0]])
    labels = tf.constant([0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        loss = objective.log_odds(logits, labels)
        plain = objective.cross_entropy(logits, labels)
    q = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(loss, [math.log(math.e + 1) - margin], rtol=1e-5)
    gradient = tape.gradient(loss, logits).numpy()[0]
    np.testing.assert_allclose(gradient, [-1, q, 1 - q], rtol=1e-5)
    np.testing.assert_allclose(
        plain, np.log1p(np.exp(np.float64(loss))), atol=1e-6
    )
    rounded = tape.gradient(plain, logits).numpy()[0]
    if margin < 10:
        np.testing.assert_allclose(rounded / -rounded[0], gradient, rtol=1e-3)
    else:
        assert rounded[0] == 0.0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_probabilities_and_logits_give_the_same_attack(norm):
    """Softmax in sight, softmax hidden from the attack, and logits."""
    model = linear(0.1, num_classes=3)
    exported = tf.function(
        lambda x: tf.nn.softmax(model(x)), autograph=False
    ).get_concrete_function(tf.TensorSpec([None, 4, 4, 3]))
    classifiers = (
        model,
        linear(0.1, num_classes=3, activation="softmax"),
        lambda x: exported(x),
    )
    first, *others = (
        nm.attacks.pgd(classifier, IMAGES, LABELS, 0.1, norm=norm)
        for classifier in classifiers
    )
    assert [victim(c).nature(IMAGES)[1] for c in classifiers] == [
        True,
        False,
        False,
    ]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=0.01)


# The ball, the range, the starts.


@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("norm, eps", [("linf", 8 / 255), ("l2", 0.7)])
def test_ends_lie_in_the_ball_and_in_the_range(norm, eps, random_start):
    model = linear(num_classes=5)
    images = RNG.integers(0, 256, [32, 4, 4, 3], dtype=np.uint8)
    images[:8] = 255 * (images[:8] > 127)
    labels = RNG.integers(0, 5, 32)
    found = nm.attacks.pgd(
        model,
        images,
        labels,
        eps,
        norm=norm,
        step_size=eps,
        random_start=random_start,
    ).numpy()
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 255
    delta = found - images.astype(float)
    size = np.abs(delta).max((1, 2, 3)) if norm == "linf" else lengths(delta)
    assert (size <= 255 * eps + ROUNDING).all()
    assert (size[8:] > 0.5 * 255 * eps).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_radius_no_change(norm):
    images = IMAGES.astype("uint8")
    model = linear()
    for options in ({}, {"step_size": 0.1}, {"restarts": 2}):
        found = nm.attacks.pgd(model, images, LABELS, 0, norm=norm, **options)
        np.testing.assert_array_equal(found, images)
    found = nm.attacks.fgsm(model, images, LABELS, 0.0)
    np.testing.assert_array_equal(found, images)


def start_of(norm, count, eps=0.2, **options):
    """Where attacks on a constant classifier end: where they started."""
    return (
        nm.attacks.pgd(
            linear(0.0),
            np.full([count, 4, 4, 3], 127.5),
            np.zeros(count, int),
            eps,
            norm=norm,
            steps=2,
            **options,
        ).numpy()
        - 127.5
    ) / (255 * eps)


def test_random_starts_fill_the_cube():
    starts = start_of("linf", 300)
    count = starts.size
    assert np.abs(starts).max() <= 1.0 + 1e-6
    assert abs(starts.mean()) < 4 / math.sqrt(3 * count)
    # The square of such a number has mean 1/3 and variance 4/45.
    assert abs((starts**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / count)


def test_random_starts_fill_the_sphere():
    starts = start_of("l2", 300)
    radii = lengths(starts)
    assert radii.max() <= 1.0 + 1e-5
    # The share of volume within the radius is uniform.
    assert abs((radii**SIZE).mean() - 0.5) < 4 / math.sqrt(12 * 300)
    directions = starts / radii[:, None, None, None]
    mean = lengths(directions.mean(0, keepdims=True))[0] ** 2
    assert mean < (1 + 4 * math.sqrt(2 / SIZE)) / 300


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_follow_seed_and_index_only(norm):
    together = start_of(norm, 6, seed=3)
    order = np.array([4, 1, 5])
    apart = start_of(norm, 3, seed=3, indices=order)
    np.testing.assert_allclose(apart, together[order], atol=1e-6)
    np.testing.assert_array_equal(start_of(norm, 6, seed=3), together)
    compiled = start_of(norm, 6, seed=3, jit_compile=True)
    np.testing.assert_allclose(compiled, together, atol=1e-5)
    others = [*start_of(norm, 6, seed=4), *together]
    assert len({other.tobytes() for other in others}) == 12


def test_fgsm_from_a_random_start():
    model = linear()
    options = dict(eps=8 / 255, random_start=True)
    found = nm.attacks.fgsm(model, IMAGES, LABELS, seed=5, **options)
    again = nm.attacks.fgsm(model, IMAGES, LABELS, seed=5, **options)
    np.testing.assert_array_equal(found, again)
    other = nm.attacks.fgsm(model, IMAGES, LABELS, seed=6, **options)
    assert (found.numpy() != other.numpy()).any()
    # A step of eps from a place in the cube: the sign is never undone.
    moved = (found.numpy() - IMAGES) * np.sign(uphill(model, LABELS))
    assert moved.min() >= -ROUNDING and moved.max() <= 8 + ROUNDING
    assert (moved < 7.9).any() and (moved > 7.9999).any()


# Models, labels, compilation.


def noisy_network():
    """Layers that behave otherwise in training, with statistics of note."""
    model = keras.Sequential(
        [
            keras.Input([4, 4, 3]),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.layers[2].moving_variance.assign([0.1, 2.0, 0.5, 1.0])
    return model


class Plain(keras.Model):
    """A subclassed model, not built, whose call knows no `training`."""

    def __init__(self):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(2)

    def call(self, images):
        return self.dense(self.flatten(images / 255.0))


@pytest.mark.parametrize("make", [noisy_network, Plain])
def test_model_is_left_as_it_is(make):
    model = make()
    found = [
        nm.attacks.pgd(model, IMAGES, LABELS, 0.1, restarts=2) for _ in range(2)
    ]
    np.testing.assert_array_equal(*found)
    weights = model.get_weights()
    nm.attacks.pgd(model, IMAGES, LABELS, 0.1, norm="l2")
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)


def test_new_weights_count_at_once():
    model = linear()
    nm.attacks.fgsm(model, IMAGES, LABELS, 0.1)
    dense = model.layers[-1]
    dense.kernel.assign(-dense.kernel)
    found = nm.attacks.fgsm(model, IMAGES, LABELS, 0.1)
    expected = IMAGES + 25.5 * np.sign(uphill(model, LABELS))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_one_hot_labels_are_labels():
    model = linear()
    expected = nm.attacks.fgsm(model, IMAGES, LABELS, 0.1)
    for labels in (
        np.eye(2)[LABELS],
        np.eye(2, dtype=int)[LABELS],
        LABELS[:, None],
        tf.constant(LABELS),
    ):
        found = nm.attacks.fgsm(model, IMAGES, labels, 0.1)
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
    attack(5, 0.1, 2, 2, 0)
    # Sizes of batches traced once more, for any size.
    traced = attack(4, 0.1, 2, 2, 0)
    for options in ((3, 0.2, 2, 2, 0), (6, 0.2, 3, 4, 7), (1, 0, 9, 3, 1)):
        assert attack(*options) == traced
    gone = weakref.ref(classifier)
    del classifier, attack
    gc.collect()
    assert gone() is None
    model = linear()
    nm.attacks.fgsm(model, IMAGES, LABELS, 0.1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_compiled_by_xla_it_finds_the_same(norm, restarts):
    model = noisy_network()
    options = dict(eps=0.1, norm=norm, restarts=restarts, steps=3)
    plain = nm.attacks.pgd(model, IMAGES, LABELS, **options)
    compiled = nm.attacks.pgd(
        model, IMAGES, LABELS, jit_compile=True, **options
    )
    # A sign may differ where a gradient is nearly zero; starts never do.
    close = np.abs(compiled.numpy() - plain.numpy()) < 0.01
    assert close.mean() > 0.99


def test_search_inside_a_compiled_train_step():
    model = noisy_network()

    @tf.function(jit_compile=True)
    def worst(images, labels, step):
        return search(
            lambda x: model(x, training=False),
            images,
            labels,
            tf.range(6),
            Budget(eps=8.0, step_size=2.0, steps=3, restarts=1, seed=step),
            ball=BALLS.get("linf"),
            loss=objective.cross_entropy,
            random_start=True,
        )

    labels = tf.cast(LABELS, tf.int32)
    found = worst(tf.constant(IMAGES), labels, tf.constant(7))
    expected = nm.attacks.pgd(
        model, IMAGES, LABELS, 8 / 255, steps=3, step_size=2 / 255, seed=7
    )
    assert (np.abs(found - expected) < 0.01).mean() > 0.99


# Bad input.


@pytest.mark.parametrize(
    "change, message",
    [
        ({"eps": -0.1}, "eps=-0.1 must be a number of at least 0"),
        ({"eps": 4}, "such as 4/255"),
        ({"eps": "4/255"}, "must be a number"),
        ({"eps": float("nan")}, "must be a number"),
        ({"eps": 7.0, "norm": "l2"}, "largest distance of two images, 6.9"),
        ({"norm": [1]}, "Unknown norm '[1]'"),
        ({"norm": "l1"}, "Unknown norm 'l1'. Known: linf, l2"),
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
        (
            {"model": linear(activation="softmax"), "from_logits": True},
            "ends in softmax",
        ),
    ],
)
def test_bad_input_is_said_in_one_line(change, message):
    options = dict(model=linear(), images=IMAGES, labels=LABELS, eps=0.1)
    with pytest.raises(UsageError) as error:
        nm.attacks.pgd(**{**options, **change})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_symbolic_tensors_are_sent_to_search():
    model = linear()

    @tf.function
    def step(images):
        return nm.attacks.fgsm(model, images, LABELS, 0.1)

    with pytest.raises(UsageError, match=r"attacks\.search"):
        step(tf.constant(IMAGES))
