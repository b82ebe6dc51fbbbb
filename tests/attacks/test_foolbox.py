"""Attacks against foolbox's, on a smooth model: the same images.

Foolbox is told that pixels lie in 0..1, so that eps is the literature's. It has
to be given int64 labels: other dtypes than those of TensorFlow's argmax need a
function that NumPy 2 no longer has.
"""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm

# Foolbox imports GitPython, which refuses to where there is no git.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
foolbox = pytest.importorskip("foolbox")

PGD = {"steps": 10, "rel_stepsize": 0.25}
LINF, L2 = [1 / 255, 2 / 255, 4 / 255], [0.05, 0.1, 0.2]


@pytest.fixture(scope="module")
def smooth():
    """No kinks, images that touch both ends of the range, its answers."""
    init = keras.initializers.RandomNormal(stddev=0.3, seed=3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            layers.Conv2D(8, 3, activation="softplus", kernel_initializer=init),
            layers.Flatten(),
            layers.Dense(5, kernel_initializer=init),
        ]
    )
    images = np.random.default_rng(0).integers(0, 256, [64, 8, 8, 3])
    images = images.astype(np.uint8)
    return model, images, model.predict(images, verbose=0).argmax(-1)


@pytest.mark.parametrize(
    "ours, name, options, radii",
    [
        (nm.attacks.fgsm, "LinfFastGradientAttack", {}, LINF),
        (nm.attacks.pgd, "LinfPGD", PGD, LINF),
        (nm.attacks.pgd, "L2PGD", PGD, L2),
    ],
)
def test_it_finds_the_same_images(smooth, ours, name, options, radii):
    model, images, labels = smooth
    theirs = getattr(foolbox.attacks, name)(random_start=False, **options)
    scaled = tf.function(lambda x: model(255.0 * x), autograph=False)
    _, expected, missed = theirs(
        foolbox.TensorFlowModel(scaled, bounds=(0.0, 1.0), device="/CPU:0"),
        tf.cast(images, tf.float32) / 255.0,
        tf.cast(labels, tf.int64),
        epsilons=radii,
    )
    shares = missed.numpy().mean(-1)
    assert 0.1 < shares[0] < shares[-1] < 1.0
    options = {"norm": "l2"} if radii is L2 else {}
    for radius, wanted, share in zip(radii, expected, shares):
        found = ours(
            model, images, labels, radius, random_start=False, **options
        )
        # Signs of tiny gradients may differ.
        near = np.abs(found.numpy() - 255.0 * wanted.numpy()) < 2e-3
        assert near.mean() > 0.999
        assert (model(found).numpy().argmax(-1) != labels).mean() == share
