"""Attacks against what the reference implementation finds."""

import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf.attacks import objective


@pytest.fixture(scope="module")
def oracle(golden):
    return golden("attacks_images.npz")


def loss_and_miss(model, images, labels):
    """Cross-entropy in float64, and misses, by NumPy."""
    logits = np.asarray(model(np.asarray(images)), float)
    top = logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    own = logits[np.arange(len(labels)), labels]
    return total - own, logits.argmax(-1) != labels


def test_gradient_of_the_reference(trained_resnet20, oracle):
    direction, scale = objective.ascent(
        objective.cross_entropy,
        lambda x: trained_resnet20(x, training=False),
        tf.cast(oracle["input"], tf.float32),
        tf.cast(oracle["labels"], tf.int32),
    )
    expected = oracle["input_grad_sumCE"]
    error = np.abs(255.0 * direction * scale - expected)
    largest = np.abs(expected).max((1, 2, 3))
    assert (error.max((1, 2, 3)) < 1e-4 * largest).all()


def test_fgsm_images_of_the_reference(trained_resnet20, oracle):
    found = nm.attacks.fgsm(
        trained_resnet20, oracle["input"], oracle["labels"], 4 / 255
    )
    gradient = np.abs(oracle["input_grad_sumCE"])
    sure = gradient >= 1e-5 * gradient.max((1, 2, 3), keepdims=True)
    assert sure.mean() > 0.99
    np.testing.assert_allclose(
        found.numpy()[sure], 255 * oracle["fgsm_eps4"][sure], atol=1e-4
    )


def test_pgd_of_the_reference(trained_resnet20, oracle):
    """Signs of tiny gradients flip: compared by the loss it reaches."""
    images, labels = oracle["input"], oracle["labels"]
    found = nm.attacks.pgd(
        trained_resnet20, images, labels, 4 / 255, random_start=False
    )
    (loss, missed), (expected, _) = (
        loss_and_miss(trained_resnet20, x, labels)
        for x in (found, 255 * oracle["pgd10_eps4"])
    )
    assert missed.all()
    np.testing.assert_allclose(loss, expected, rtol=0.02)
    same = np.abs(found - 255 * oracle["pgd10_eps4"]) < 0.01
    assert same.mean() > 0.8
