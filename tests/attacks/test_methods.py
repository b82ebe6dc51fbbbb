"""Attacks against closed forms, oracles, and what they promise."""

import functools
import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import attacks, rng
from noisymix_tf.attacks import BALLS, fgsm, pgd, search
from noisymix_tf.attacks.search import ascent, cross_entropy
from noisymix_tf.attacks.victims import victim
from support.usage import assert_usage_error

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(100, 150, [6, 4, 4, 3]).astype("float32")
LABELS = np.array([0, 1, 1, 0, 1, 0])
SIZE = IMAGES[0].size


def linear(scale=1.0, num_classes=2, activation=None):
    """A linear classifier; its scores differ by about `scale`."""
    weights = np.random.default_rng(1).normal(size=[SIZE, num_classes])
    head = keras.layers.Dense(num_classes, activation=activation)
    normalize = keras.layers.Rescaling(1 / 127.5, offset=-1.0)
    layers = [keras.Input([4, 4, 3]), normalize, keras.layers.Flatten(), head]
    model = keras.Sequential(layers)
    head.kernel.assign(weights * scale)
    return model


def lengths(perturbation):
    return np.sqrt((np.asarray(perturbation, float) ** 2).sum((1, 2, 3)))


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_linear_model_in_the_maximum_norm(attack):
    """Also clipped, where p rounds to one, of new weights; of any labels."""
    model, kernel = linear(), linear().layers[-1].kernel
    images = IMAGES + np.where(IMAGES > 125, 100, -100)
    one_hot = np.eye(2)[LABELS]
    # What pixels to add so that the wrong one of two classes gains.
    uphill = np.sign(np.diff(kernel).ravel() * (1 - 2 * LABELS[:, None]))
    for scale, eps, loss, labels in (
        (0.01, 3 / 255, "cross_entropy", one_hot),
        (-1.0, 0.3, "cross_entropy", tf.constant(LABELS[:, None])),
        (10.0, 3 / 255, "log_odds", one_hot.astype(int)),
    ):
        model.layers[-1].kernel.assign(scale * kernel)
        options = dict(random_start=False, loss=loss)
        found = attack(model, images, labels, eps, **options)
        step = 255 * eps * np.sign(scale) * uphill.reshape(images.shape)
        wanted = (images + step).clip(0, 255)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_balls_in_closed_form():
    x = [[[[3.0, -4.0, 0.0]]], [[[0.5, 0.0, 0.0]]], [[[0.0, 0.0, 0.0]]]]
    x, unit = tf.constant(x), [0.6, -0.8, 0, 1, 0, 0, 0, 0, 0]
    cube, sphere = BALLS.get("linf"), BALLS.get("l2")
    for found, expected in (
        (cube.direction(x), [1, -1, 0, 1, 0, 0, 0, 0, 0]),
        (cube.project(x, 2.0), [2, -2, 0, 0.5, 0, 0, 0, 0, 0]),
        (sphere.direction(x), unit),
        (sphere.direction(1e-30 * x), unit),
        (sphere.direction(1e30 * x), unit),
        (sphere.project(x, 2.0), [1.2, -1.6, 0, 0.5, 0, 0, 0, 0, 0]),
        (sphere.project(x, 0.0), [0.0] * 9),
    ):
        np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-6)
    assert (cube.span(48), sphere.span(48)) == (1.0, math.sqrt(48))


def test_log_odds_in_closed_form_and_small_gradients_in_half_precision():
    """Also where float32's log-softmax knows no right class any more."""
    q, labels = 1 / (1 + math.exp(-1)), tf.constant([0])
    for margin in (1.0, 5.0, 30.0, 300.0):
        logits = tf.constant([[margin, 1.0, 0.0]])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(logits)
            loss = attacks.LOSSES.get("log_odds")(logits, labels)
            entropy = cross_entropy(logits, labels)
        expected = math.log(math.e + 1) - margin
        np.testing.assert_allclose(loss, [expected], rtol=1e-5)
        gradient = tape.gradient(loss, logits).numpy()[0]
        np.testing.assert_allclose(gradient, [-1, q, 1 - q], rtol=1e-5)
        soft = np.log1p(np.exp(np.float64(loss)))
        np.testing.assert_allclose(entropy, soft, atol=1e-6)
        own = tape.gradient(entropy, logits).numpy()[0]
        assert (own[0] == 0.0) == (margin > 10)
        if margin < 10:
            np.testing.assert_allclose(own / -own[0], gradient, rtol=1e-3)

    def score(x):
        return tf.cast(tf.cast(x[:, 0, 0], tf.float16), tf.float32)

    images = tf.constant([[[[0.0, 0.0, 0.0]]], [[[18.0, 0.0, 0.0]]]])
    given = cross_entropy, score, images, tf.constant([0, 0])
    direction, _ = ascent(*given)
    np.testing.assert_allclose(np.abs(direction).max((1, 2, 3)), 1, rtol=1e-2)


def test_probabilities_and_logits_give_the_same_attack():
    model = linear(0.1, num_classes=3)
    softmax = linear(0.1, num_classes=3, activation="softmax")
    exported = tf.function(lambda x: tf.nn.softmax(model(x)), autograph=False)
    exported = exported.get_concrete_function(tf.TensorSpec([None, 4, 4, 3]))
    models = model, softmax, lambda x: exported(x)
    first, *others = (pgd(m, IMAGES, LABELS, 0.1, norm="l2") for m in models)
    assert [victim(m).nature(IMAGES)[1] for m in models] == [True, False, False]
    np.testing.assert_allclose(others, [first] * 2, rtol=0, atol=0.01)
    # Of a model that is very sure, the softmax itself tells no direction.
    sure = [linear(300.0, 3, activation) for activation in (None, "softmax")]
    ends = [pgd(m, IMAGES, LABELS, 0.1, loss="log_odds") for m in sure]
    np.testing.assert_allclose(*ends, atol=0.01)


CONSTANT, SOFT = linear(0.0), tf.nn.softmax


def start_of(norm, count, **options):
    """Where attacks on a constant classifier end: where they started."""
    images, labels = np.full([count, 4, 4, 3], 127.5), np.zeros(count, int)
    options |= dict(norm=norm, steps=2)
    found = pgd(CONSTANT, images, labels, 0.2, **options).numpy()
    return (found - 127.5) / (255 * 0.2)


def test_random_starts_fill_the_ball():
    starts = start_of("linf", 300)
    assert np.abs(starts).max() <= 1.0 + 1e-6
    assert abs(starts.mean()) < 4 / math.sqrt(3 * starts.size)
    assert abs((starts**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / starts.size)
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
    others = [*start_of(norm, 6, seed=4), *together]
    assert len({other.tobytes() for other in others}) == 12
    # Restarts begin elsewhere, in XLA's programs at the same places.
    draw = tf.function(BALLS.get(norm).draw, jit_compile=True)
    keys = [rng.stream(3, restart, "attack", 0) for restart in (0, 1)]
    first, second = (draw(key, [4, 4, 3], 1.0) for key in keys)
    np.testing.assert_allclose(first, together[0], atol=1e-5)
    assert np.abs(first - second).max() > 0.1
    if norm == "linf":
        found = fgsm(CONSTANT, IMAGES, LABELS, 0.1, random_start=True)
        np.testing.assert_array_less(0, np.abs(found - IMAGES).max((1, 2, 3)))


@pytest.fixture(scope="module")
def curved():
    """Layers that behave otherwise in training, with statistics of note."""
    first, last = (keras.initializers.RandomNormal(0, 0.5, k) for k in (1, 2))
    layers, norm = keras.layers, keras.layers.BatchNormalization()
    inputs = keras.Input([4, 4, 3])
    x = layers.Rescaling(1 / 30, -4.0)(inputs)
    x = norm(layers.Conv2D(4, 3, 1, "same", kernel_initializer=first)(x))
    x = layers.Flatten()(layers.Dropout(0.5, seed=1)(keras.ops.tanh(x)))
    norm.moving_variance.assign([0.1, 2.0, 0.5, 1.0])
    return keras.Model(inputs, layers.Dense(3, kernel_initializer=last)(x))


def test_a_model_is_left_as_it_is_and_xla_finds_the_same(curved):
    weights = curved.get_weights()
    options = dict(eps=0.1, norm="l2", restarts=2, steps=3, step_size=0.2)
    attack = functools.partial(pgd, curved, IMAGES, LABELS, **options)
    once, again, compiled = attack(), attack(), attack(jit_compile=True)
    np.testing.assert_array_equal(once, again)
    assert (np.abs(lengths(once - IMAGES) - 25.5) < 1e-2).all()
    # A sign may differ where a gradient is nearly zero; starts never do.
    assert (np.abs(compiled - once) < 0.01).mean() > 0.99
    assert all(map(np.array_equal, weights, curved.get_weights()))


def test_restarts_find_more_and_never_lose_a_miss(curved):
    images = RNG.uniform(50, 200, [64, 4, 4, 3]).astype("float32")
    labels = curved(images).numpy().argmax(-1)

    def measured(restarts):
        # Unlike the cross-entropy it may be negative.
        options = dict(restarts=restarts, steps=2, loss="log_odds")
        scores = curved(pgd(curved, images, labels, 6 / 255, **options))
        loss = cross_entropy(scores, tf.constant(labels)).numpy()
        return scores.numpy().argmax(-1) != labels, loss

    missed, loss = measured(1)
    more_missed, more_loss = measured(4)
    assert (more_missed >= missed).all()
    assert 0.1 < more_missed.mean() < 0.9
    same = more_missed == missed
    assert (more_loss[same] >= loss[same] - 1e-5).all()
    assert (more_loss > loss + 1e-5).any()

    def missed_share(restarts):
        """Of starts alone, where the loss would rather have no miss."""
        given = curved, images, tf.constant(labels), tf.range(64)
        options = dict(ball=BALLS.get("linf"), random_start=True)
        options["loss"] = lambda *given: -cross_entropy(*given)
        budget = attacks.Budget(20.0, 1e-3, 1, restarts)
        found = search(*given, budget, **options)
        return (curved(found).numpy().argmax(-1) != labels).mean()

    assert missed_share(5) > missed_share(1)


def test_batches_share_one_trace_and_models_can_go():
    class Unbuilt(keras.Model):  # Its call knows no `training`.
        def call(self, images):
            return keras.ops.mean(images, axis=(1, 2))

    calls, model = [], Unbuilt()

    def classifier(images):
        calls.append(images.shape)
        return keras.ops.mean(images, axis=(1, 2))

    def attack(count, classifier=classifier, eps=0.1, **options):
        pgd(classifier, IMAGES[:count], LABELS[:count], eps, **options)
        return len(calls)

    attack(6, steps=2, restarts=2)
    # Sizes of batches traced once more, for any size.
    traced = attack(5, steps=2, restarts=2)
    assert attack(3, eps=0.2, steps=3, restarts=4, seed=7) == traced
    fgsm(model, IMAGES, LABELS, 0.1)
    gone = weakref.ref(classifier), weakref.ref(model)
    del classifier, attack, model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_bad_input_is_said_in_one_line():
    options = dict(model=CONSTANT, images=IMAGES, labels=LABELS, eps=0.1)
    for change, words in (
        ({"eps": 7.0, "norm": "l2"}, "largest distance of two images, 6.9"),
        ({"norm": [1]}, "Unknown norm '[1]'"),
        ({"loss": "hinge"}, "Known: cross_entropy, log_odds"),
        ({"steps": 0}, "steps=0 must be a whole number from 1"),
        ({"restarts": 2, "random_start": False}, "2 times the same"),
        ({"step_size": 0.0}, "step_size=0"),
        ({"indices": [0, 1]}, "indices must be 6 ints"),
        ({"labels": LABELS - 1}, "labels must be class numbers [N] from 0"),
        ({"labels": LABELS + 1}, "Label 2 is not one of the model's classes"),
        ({"labels": LABELS[:4]}, "6 images but 4 labels"),
        ({"labels": np.full([6, 2], 0.5)}, "got float64 of shape [6, 2]"),
        ({"images": IMAGES[0]}, "got float32 [4, 4, 3] from"),
        ({"images": IMAGES[:0]}, "add an axis or skip the batch"),
        ({"images": IMAGES - 127.5}, "give them before normalisation"),
        ({"images": IMAGES / 255}, "multiply them by 255"),
        ({"images": IMAGES.astype(int)}, "cast them to uint8"),
        ({"images": IMAGES[:, :3]}, "images [4, 4, 3], these are [3, 4, 3]"),
        ({"model": "model.keras"}, "got str: load the model"),
        ({"model": lambda x: [x]}, "one output per class"),
        ({"model": lambda x: tf.fill([6, 2], 1.0)}, "no gradient"),
        ({"model": lambda x: x[:, 0, 0, :2] / 0.0}, "not finite"),
        ({"model": linear(1), "from_logits": False}, "model gives logits"),
        ({"model": lambda x: SOFT(x[:, 0, 0]), "from_logits": True}, "ends in"),
    ):
        assert_usage_error(functools.partial(pgd, **(options | change)), words)
    for name in ("steps", "step_size"):
        call = functools.partial(fgsm, **options, **{name: 1})
        assert_usage_error(call, f"{name}=1 is not for fgsm")
    step = tf.function(lambda images: fgsm(CONSTANT, images, LABELS, 0.1))
    assert_usage_error(lambda: step(tf.constant(IMAGES)), "attacks.search")


def test_gradient_and_images_of_the_reference(golden, trained_resnet20):
    oracle, model = golden("attacks_images.npz"), trained_resnet20
    images, labels = oracle["input"], tf.constant(oracle["labels"], tf.int32)
    loss, pixels = cross_entropy, tf.cast(images, tf.float32)
    direction, scale = ascent(loss, model, pixels, labels)
    gradient = oracle["input_grad_sumCE"]
    error = np.abs(255.0 * direction * scale - gradient)
    gradient = np.abs(gradient)
    largest = gradient.max((1, 2, 3), keepdims=True)
    assert (error < 1e-4 * largest).all()
    found = fgsm(model, images, labels, 4 / 255).numpy()
    sure = gradient >= 1e-5 * largest
    assert sure.mean() > 0.99
    expected = 255 * oracle["fgsm_eps4"]
    np.testing.assert_allclose(found[sure], expected[sure], atol=1e-4)


@pytest.mark.parametrize("norm, name", [("linf", "LinfPGD"), ("l2", "L2PGD")])
def test_images_of_foolbox(curved, monkeypatch, norm, name):
    """Of images that touch both ends of the range."""
    radii = [0.02, 0.05, 0.1] if norm == "l2" else [2 / 255, 4 / 255, 8 / 255]
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")  # There may be no git.
    foolbox = pytest.importorskip("foolbox")
    images = np.random.default_rng(0).integers(0, 256, [64, 4, 4, 3], np.uint8)
    labels = curved.predict(images, verbose=0).argmax(-1)
    scaled = tf.function(lambda x: curved(255.0 * x), autograph=False)
    options = {"random_start": False, "steps": 10}
    attack = getattr(foolbox.attacks, name)(rel_stepsize=0.25, **options)
    bridge = foolbox.TensorFlowModel(scaled, (0.0, 1.0), device="/CPU:0")
    # Labels of other dtypes need a function that NumPy 2 no longer has.
    given = tf.cast(images, tf.float32) / 255.0, tf.cast(labels, tf.int64)
    _, expected, missed = attack(bridge, *given, epsilons=radii)
    shares = missed.numpy().mean(-1)
    assert 0.1 < shares[0] < shares[-1] < 1.0
    for radius, wanted, share in zip(radii, expected, shares):
        found = pgd(curved, images, labels, radius, norm=norm, **options)
        near = np.abs(found.numpy() - 255.0 * wanted.numpy()) < 2e-3
        assert near.mean() > 0.999
        assert (curved(found).numpy().argmax(-1) != labels).mean() == share
