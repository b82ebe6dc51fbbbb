"""Attacks against what other implementations find.

Foolbox is told that pixels lie in 0..1, so that eps is the literature's. It has
to be given int64 labels: other dtypes than those of TensorFlow's argmax need a
function that NumPy 2 no longer has.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.attacks import fgsm, objective, pgd


def test_gradient_and_images_of_the_reference(golden, trained_resnet20):
    """PGD flips signs of tiny gradients: compared by its loss, too."""
    oracle, model = golden("attacks_images.npz"), trained_resnet20
    images, labels = oracle["input"], tf.constant(oracle["labels"], tf.int32)
    loss, pixels = objective.cross_entropy, tf.cast(images, tf.float32)
    direction, scale = objective.ascent(loss, model, pixels, labels)
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
    found = pgd(model, images, labels, 4 / 255, random_start=False)
    expected = 255 * oracle["pgd10_eps4"]
    assert (np.abs(found - expected) < 0.01).mean() > 0.8
    scores = [model(x) for x in (found, expected)]
    assert objective.missed(scores[0], labels).numpy().all()
    losses = [loss(s, labels) for s in scores]
    np.testing.assert_allclose(*losses, rtol=0.02)


@pytest.fixture(scope="module")
def smooth():
    """No kinks, images that touch both ends of the range, its answers."""
    init = keras.initializers.RandomNormal(stddev=0.3, seed=3)
    inputs, layers = keras.Input([8, 8, 3]), keras.layers
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = layers.Conv2D(8, 3, kernel_initializer=init)(x)
    x = layers.Flatten()(layers.Activation("softplus")(x))
    model = keras.Model(inputs, layers.Dense(5, kernel_initializer=init)(x))
    images = np.random.default_rng(0).integers(0, 256, [64, 8, 8, 3], np.uint8)
    return model, images, model.predict(images, verbose=0).argmax(-1)


PGD = {"steps": 10, "rel_stepsize": 0.25}
LINF, L2 = [1 / 255, 2 / 255, 4 / 255], [0.05, 0.1, 0.2]


@pytest.mark.parametrize(
    "attack, options, name, theirs, radii",
    [
        (fgsm, {}, "LinfFastGradientAttack", {}, LINF),
        (pgd, {}, "LinfPGD", PGD, LINF),
        (pgd, {"norm": "l2"}, "L2PGD", PGD, L2),
    ],
)
def test_images_of_foolbox(
    smooth, monkeypatch, attack, options, name, theirs, radii
):
    # It imports GitPython, which refuses to where there is no git.
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    foolbox = pytest.importorskip("foolbox")
    model, images, labels = smooth
    scaled = tf.function(lambda x: model(255.0 * x), autograph=False)
    attacker = getattr(foolbox.attacks, name)(random_start=False, **theirs)
    victim = foolbox.TensorFlowModel(scaled, (0.0, 1.0), device="/CPU:0")
    given = tf.cast(images, tf.float32) / 255.0, tf.cast(labels, tf.int64)
    _, expected, missed = attacker(victim, *given, epsilons=radii)
    shares = missed.numpy().mean(-1)
    assert 0.1 < shares[0] < shares[-1] < 1.0
    options = {"random_start": False, **options}
    for radius, wanted, share in zip(radii, expected, shares):
        found = attack(model, images, labels, radius, **options)
        # Signs of tiny gradients may differ.
        near = np.abs(found.numpy() - 255.0 * wanted.numpy()) < 2e-3
        assert near.mean() > 0.999
        assert (model(found).numpy().argmax(-1) != labels).mean() == share
