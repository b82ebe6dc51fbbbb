"""Attacks against what the reference implementation finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import models
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
    found = nm.attacks.pgd(
        trained_resnet20,
        oracle["input"],
        oracle["labels"],
        4 / 255,
        random_start=False,
    )
    (loss, missed), (expected, _) = (
        loss_and_miss(trained_resnet20, images, oracle["labels"])
        for images in (found, 255 * oracle["pgd10_eps4"])
    )
    assert missed.all()
    np.testing.assert_allclose(loss, expected, rtol=0.02)
    same = np.abs(found - 255 * oracle["pgd10_eps4"]) < 0.01
    assert same.mean() > 0.8


def test_half_precision_hides_nothing(golden, oracle):
    """Unscaled, half of such images' float16 gradients are all zero."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = models.build(
            "resnet20", mean=models.IMAGENET_MEAN, std=models.IMAGENET_STD
        )
    finally:
        keras.config.set_dtype_policy("float32")
    models.load_torch_weights(model, golden("resnet20_weights.npz"))
    images, labels = oracle["input"], oracle["labels"]
    found = nm.attacks.fgsm(model, images, labels, 4 / 255).numpy()
    inner = (images > 4) & (images < 251)
    assert (found != images)[inner].mean() > 0.99
    _, missed = loss_and_miss(model, found, labels)
    assert missed.mean() > 0.7
