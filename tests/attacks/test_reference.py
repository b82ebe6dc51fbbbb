"""Attacks against what the reference implementation finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import models
from noisymix_tf.attacks import objective

ROUNDING = 1e-3  # Grey levels; a perturbation of Euclidean length 100 or so.


def loss_and_miss(model, images, labels):
    """Cross-entropy in float64, and misses, by NumPy."""
    logits = np.asarray(model(np.asarray(images)), float)
    top = logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    own = logits[np.arange(len(labels)), labels]
    return total - own, logits.argmax(-1) != labels


def test_gradient_of_the_reference(trained_resnet20, golden):
    arrays = golden("attacks_images.npz")
    direction, scale = objective.ascent(
        objective.cross_entropy,
        lambda x: trained_resnet20(x, training=False),
        tf.cast(arrays["input"], tf.float32),
        tf.cast(arrays["labels"], tf.int32),
    )
    expected = arrays["input_grad_sumCE"]
    error = np.abs(255.0 * direction * scale - expected)
    for per_image, scale in zip(error, np.abs(expected).max((1, 2, 3))):
        assert per_image.max() < 1e-4 * scale


def test_fgsm_images_of_the_reference(trained_resnet20, golden):
    arrays = golden("attacks_images.npz")
    found = nm.attacks.fgsm(
        trained_resnet20, arrays["input"], arrays["labels"], 4 / 255
    )
    gradient = np.abs(arrays["input_grad_sumCE"])
    sure = gradient >= 1e-5 * gradient.max((1, 2, 3), keepdims=True)
    assert sure.mean() > 0.99
    np.testing.assert_allclose(
        found.numpy()[sure], 255 * arrays["fgsm_eps4"][sure], atol=1e-4
    )


def test_pgd_of_the_reference(trained_resnet20, golden):
    """Signs of tiny gradients flip: compared by the loss it reaches."""
    arrays = golden("attacks_images.npz")
    found = nm.attacks.pgd(
        trained_resnet20,
        arrays["input"],
        arrays["labels"],
        4 / 255,
        random_start=False,
    )
    loss, missed = loss_and_miss(trained_resnet20, found, arrays["labels"])
    expected, _ = loss_and_miss(
        trained_resnet20, 255 * arrays["pgd10_eps4"], arrays["labels"]
    )
    assert missed.all()
    np.testing.assert_allclose(loss, expected, rtol=0.02)


def measure(model, attack, images, labels, **options):
    losses, misses = [], []
    for start in range(0, len(images), 250):
        batch = slice(start, start + 250)
        found = attack(model, images[batch], labels[batch], **options)
        loss, missed = loss_and_miss(model, found, labels[batch])
        losses.append(loss)
        misses.append(missed)
    return (
        np.concatenate(losses).mean(),
        1.0 - np.concatenate(misses).mean(),
    )


@pytest.mark.parametrize("eps", [1, 2, 4, 8])
def test_fgsm_accuracy_of_the_reference(
    trained_resnet20, golden, cifar10_test, eps
):
    images, labels = (part[:1000] for part in cifar10_test)
    expected = golden("attacks_accuracy.json")[f"fgsm_eps{eps}"]
    loss, accuracy = measure(
        trained_resnet20, nm.attacks.fgsm, images, labels, eps=eps / 255
    )
    assert accuracy == pytest.approx(expected["acc"], abs=0.003)
    assert loss == pytest.approx(expected["ce"], rel=0.005)


@pytest.mark.slow
def test_pgd_accuracy_of_the_reference(trained_resnet20, golden, cifar10_test):
    images, labels = (part[:1000] for part in cifar10_test)
    expected = golden("attacks_accuracy.json")["pgd10_eps1"]
    loss, accuracy = measure(
        trained_resnet20,
        nm.attacks.pgd,
        images,
        labels,
        eps=1 / 255,
        random_start=False,
    )
    assert accuracy == pytest.approx(expected["acc"], abs=0.003)
    assert loss == pytest.approx(expected["ce"], rel=0.005)


def test_log_odds_find_what_rounding_hides(trained_resnet20, cifar10_test):
    """Of sure images float32's cross-entropy gives no useful gradient."""
    images, labels = (part[:1000] for part in cifar10_test)
    logits = trained_resnet20.predict(images, batch_size=250, verbose=0)
    margins = -objective.log_odds(tf.constant(logits), tf.constant(labels))
    sure = margins.numpy() > 18
    assert sure.sum() > 100
    accuracies = [
        measure(
            trained_resnet20,
            nm.attacks.fgsm,
            images[sure],
            labels[sure],
            eps=4 / 255,
            loss=loss,
        )[1]
        for loss in ("cross_entropy", "log_odds")
    ]
    assert accuracies[1] < 0.6 * accuracies[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_hides_nothing(golden, policy):
    """Unscaled, half of these images' float16 gradients are all zero."""
    keras.config.set_dtype_policy(policy)
    try:
        model = models.build(
            "resnet20", mean=models.IMAGENET_MEAN, std=models.IMAGENET_STD
        )
    finally:
        keras.config.set_dtype_policy("float32")
    models.load_torch_weights(model, golden("resnet20_weights.npz"))
    arrays = golden("resnet20_logits64.npz")
    images, labels = arrays["input"][:32], arrays["labels"][:32]
    found = nm.attacks.fgsm(model, images, labels, 4 / 255).numpy()
    inner = (images > 4) & (images < 251)
    assert (found != images)[inner].mean() > 0.99
    _, missed = loss_and_miss(model, found, labels)
    assert missed.mean() > 0.7


def test_pgd_and_restarts_find_more_than_fgsm(trained_resnet20, golden):
    arrays = golden("resnet20_logits64.npz")
    images, labels = arrays["input"][:16], arrays["labels"][:16]
    weights = [np.array(w) for w in trained_resnet20.get_weights()]
    options = dict(eps=0.5 / 255, steps=8)
    results = [
        loss_and_miss(trained_resnet20, found, labels)
        for found in (
            nm.attacks.fgsm(trained_resnet20, images, labels, options["eps"]),
            nm.attacks.pgd(trained_resnet20, images, labels, **options),
            nm.attacks.pgd(
                trained_resnet20, images, labels, restarts=2, **options
            ),
            nm.attacks.pgd(
                trained_resnet20, images, labels, restarts=4, **options
            ),
        )
    ]
    (fgsm, _), (one, missed_one), (two, missed_two), (four, missed_four) = (
        results
    )
    assert one.mean() > fgsm.mean()
    # Per image: a miss is never lost, and among equals the loss only grows.
    for loss, missed, more_loss, more_missed in (
        (one, missed_one, two, missed_two),
        (two, missed_two, four, missed_four),
    ):
        assert (more_missed >= missed).all()
        same = more_missed == missed
        assert (more_loss[same] >= loss[same] - 1e-5).all()
        assert (more_loss > loss + 1e-5).any()
    for before, after in zip(weights, trained_resnet20.get_weights()):
        np.testing.assert_array_equal(before, after)
