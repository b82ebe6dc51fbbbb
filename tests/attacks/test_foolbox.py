"""Attacks against foolbox's, on the same models and images.

Foolbox measures eps in the units of the pixels, on a model of given bounds.
It has to be given int64 labels: other dtypes than those of TensorFlow's argmax
need a function that NumPy 2 no longer has.
"""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.attacks import objective

# Foolbox imports GitPython, which refuses to where there is no git.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
foolbox = pytest.importorskip("foolbox")

FOOLBOX = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
RADII = {
    "linf": [1 / 255, 2 / 255, 4 / 255],
    "l2": [0.05, 0.1, 0.2],
}


def smooth_network(activation=None):
    """Fixed weights, no kinks, and margins far from where float32 rounds."""
    initializer = keras.initializers.RandomNormal(stddev=0.3, seed=3)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            keras.layers.Conv2D(
                8, 3, activation="softplus", kernel_initializer=initializer
            ),
            keras.layers.Flatten(),
            keras.layers.Dense(
                5, activation=activation, kernel_initializer=initializer
            ),
        ]
    )
    return model


@pytest.fixture(scope="module")
def smooth():
    """A model, images that touch both ends of the range, and its answers."""
    model = smooth_network()
    images = np.random.default_rng(0).integers(0, 256, [128, 8, 8, 3])
    images = images.astype(np.uint8)
    labels = model.predict(images, verbose=0).argmax(-1)
    return model, images, labels


@pytest.fixture(scope="module")
def resnet20(trained_resnet20, golden):
    arrays = golden("resnet20_logits64.npz")
    return trained_resnet20, arrays["input"][:32], arrays["labels"][:32]


def wrap(model, pixel_max=255.0):
    """A model as foolbox sees it, of pixels from 0 to `pixel_max`."""
    classifier = tf.function(
        lambda x: model(x * (255.0 / pixel_max), training=False),
        autograph=False,
    )
    return foolbox.TensorFlowModel(
        classifier, bounds=(0.0, pixel_max), device="/CPU:0"
    )


def run(attack, wrapped, images, labels, radii):
    """What foolbox finds: grey levels and accuracy, each once per radius."""
    pixel_max = wrapped.bounds.upper
    _, found, missed = attack(
        wrapped,
        tf.cast(images, tf.float32) * (pixel_max / 255.0),
        tf.cast(labels, tf.int64),
        epsilons=[radius * pixel_max for radius in radii],
    )
    grey_levels = [x.numpy() * (255.0 / pixel_max) for x in found]
    return grey_levels, 1.0 - missed.numpy().mean(-1)


def evaluate(model, images, labels):
    """Mean cross-entropy, and accuracy."""
    scores = model(tf.cast(images, tf.float32), training=False)
    labels = tf.cast(labels, tf.int32)
    loss = objective.cross_entropy(scores, labels)
    missed = objective.missed(scores, labels)
    return loss.numpy().mean(), 1.0 - missed.numpy().mean()


def agreement(found, expected, tolerance=2e-3):
    """Share of pixels that agree; signs of tiny gradients may differ."""
    return (np.abs(found.numpy() - expected) < tolerance).mean()


# A smooth model, without random starts: the same images.


@pytest.mark.parametrize("pixel_max", [255.0, 1.0])
def test_fgsm_finds_the_same_images(smooth, pixel_max):
    model, images, labels = smooth
    expected, accuracies = run(
        foolbox.attacks.LinfFastGradientAttack(random_start=False),
        wrap(model, pixel_max),
        images,
        labels,
        RADII["linf"],
    )
    assert 0.9 > accuracies[0] > accuracies[-1] > 0.0
    for radius, wanted, accuracy in zip(RADII["linf"], expected, accuracies):
        found = nm.attacks.fgsm(model, images, labels, radius)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
        assert evaluate(model, found, labels)[1] == pytest.approx(accuracy)


@pytest.mark.parametrize("pixel_max", [255.0, 1.0])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_finds_the_same_images(smooth, norm, pixel_max):
    model, images, labels = smooth
    expected, accuracies = run(
        FOOLBOX[norm](steps=10, rel_stepsize=0.25, random_start=False),
        wrap(model, pixel_max),
        images,
        labels,
        RADII[norm],
    )
    assert 0.9 > accuracies[0] > accuracies[-1] > 0.0
    for radius, wanted, accuracy in zip(RADII[norm], expected, accuracies):
        found = nm.attacks.pgd(
            model, images, labels, radius, norm=norm, random_start=False
        )
        assert agreement(found, wanted) > 0.999
        assert evaluate(model, found, labels)[1] == pytest.approx(accuracy)


def test_a_softmax_changes_nothing(smooth):
    """Foolbox needs logits; from a model with softmax they are found."""
    model, images, labels = smooth
    with_softmax = smooth_network("softmax")
    with_softmax.set_weights(model.get_weights())
    (expected,), _ = run(
        FOOLBOX["linf"](steps=5, rel_stepsize=0.25, random_start=False),
        wrap(model),
        images,
        labels,
        [2 / 255],
    )
    found = nm.attacks.pgd(
        with_softmax, images, labels, 2 / 255, steps=5, random_start=False
    )
    assert agreement(found, expected) > 0.999


# The published ResNet-20, so sure that float32 rounds. The same accuracy, up
# to one of the 32 images.


def test_fgsm_of_the_published_network(resnet20):
    model, images, labels = resnet20
    expected, accuracies = run(
        foolbox.attacks.LinfFastGradientAttack(random_start=False),
        wrap(model),
        images,
        labels,
        RADII["linf"],
    )
    for radius, wanted, accuracy in zip(RADII["linf"], expected, accuracies):
        found = nm.attacks.fgsm(model, images, labels, radius)
        assert agreement(found, wanted) > 0.999
        assert abs(evaluate(model, found, labels)[1] - accuracy) <= 1 / 32


@pytest.mark.parametrize(
    "norm, radii", [("linf", [0.5 / 255, 1 / 255]), ("l2", [0.05, 0.1])]
)
def test_pgd_of_the_published_network(resnet20, norm, radii):
    """Compared by what it reaches: signs differ, and paths part with them."""
    model, images, labels = resnet20
    expected, accuracies = run(
        FOOLBOX[norm](steps=5, rel_stepsize=0.25, random_start=False),
        wrap(model),
        images,
        labels,
        radii,
    )
    options = dict(norm=norm, steps=5, random_start=False)
    for radius, wanted, accuracy in zip(radii, expected, accuracies):
        found = nm.attacks.pgd(model, images, labels, radius, **options)
        loss, our_accuracy = evaluate(model, found, labels)
        assert abs(our_accuracy - accuracy) <= 1 / 32
        assert loss == pytest.approx(evaluate(model, wanted, labels)[0], 0.01)


# Random starts: results of the same distribution.


@pytest.mark.parametrize("norm, radius", [("linf", 2 / 255), ("l2", 0.1)])
def test_random_starts_are_as_strong(smooth, norm, radius):
    """Few short steps, so that where they start matters."""
    model, images, labels = smooth
    repeats, step = 16, 0.2
    theirs = FOOLBOX[norm](steps=2, rel_stepsize=step, random_start=True)
    wrapped = wrap(model)

    def ours(**options):
        found = nm.attacks.pgd(
            model,
            images,
            labels,
            radius,
            norm=norm,
            steps=2,
            step_size=step * radius,
            **options,
        )
        return evaluate(model, found, labels)

    tf.random.set_seed(0)
    expected = np.array(
        [
            evaluate(
                model,
                *run(theirs, wrapped, images, labels, [radius])[0],
                labels,
            )
            for _ in range(repeats)
        ]
    )
    results = np.array([ours(seed=seed) for seed in range(repeats)])
    # Four standard errors of the mean loss and of the mean accuracy.
    variance = (expected.var(0) + results.var(0)) / (repeats - 1)
    bound = 4 * np.sqrt(variance)
    difference = np.abs(expected.mean(0) - results.mean(0))
    assert (difference <= bound).all()
    # Fine enough to tell a random start from none.
    without, _ = ours(random_start=False)
    assert bound[0] < 0.5 * (without - results.mean(0)[0])
