"""The views that flags name, and training on them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment
from noisymix_tf.config import MethodConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.training.augmentation import augmentation
from noisymix_tf.training.losses import STABILITIES
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import SIDE, B, K, classifier


@pytest.mark.parametrize(
    ("flags", "function", "options"),
    [
        (
            {"views": "augmix", "augmix_severity": 1.0},
            augment.augmix_views,
            {"severity": 1.0, "width": 3, "depth": -1, "alpha": 1.0},
        ),
        (
            {"views": "autoaugment_cifar10", "policy_cutout": 16},
            augment.auto_augment_views,
            {"policy": "cifar10", "cutout": 16},
        ),
        (
            {"views": "autoaugment_imagenet"},
            augment.auto_augment_views,
            {"policy": "imagenet", "cutout": 0},
        ),
        (
            {"views": "autoaugment_svhn"},
            augment.auto_augment_views,
            {"policy": "svhn", "cutout": 0},
        ),
        (
            {"views": "randaugment", "randaugment_num_ops": 3},
            augment.rand_augment_views,
            {"num_ops": 3, "magnitude": 9.0, "cutout": 0},
        ),
        (
            {"views": "trivialaugment"},
            augment.trivial_augment_views,
            {"cutout": 0},
        ),
        (
            {"views": "gaussian", "gaussian_level": 8.0},
            augment.gaussian_views,
            {"level": 8.0},
        ),
    ],
    ids=lambda value: value.get("views") if isinstance(value, dict) else None,
)
def test_flags_name_a_function_of_views(flags, function, options):
    if function is augment.augmix_views:
        options = {**options, "all_ops": False}
    made = augmentation(MethodConfig(**flags, stability="kl", num_views=4))
    assert made.func is function
    assert made.keywords == {**options, "num_views": 3}
    made = augmentation(MethodConfig(**flags, stability="none"))
    assert made.keywords == {**options, "num_views": 1, "clean": False}


def test_no_views():
    assert augmentation(MethodConfig(views="none", stability="none")) is None


def trainer(stability="kl", jit_compile=False, **options):
    subject = NoisyMix(
        classifier(),
        ["normalize", "relu"],
        stability=stability,
        **options,
    )
    subject.compile(
        optimizer=keras.optimizers.SGD(0.02),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return subject


PLAIN = {"mixing": "none", "additive_noise": 0.0, "multiplicative_noise": 0.0}


def batch(views):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, [B, views, SIDE, SIDE, 3]).astype(np.float32)
    return x, rng.integers(0, K, B)


@pytest.mark.parametrize("stability", STABILITIES.names())
def test_term_of_two_views_is_logged_and_weighed(stability):
    """Against the predictions of the untrained classifier."""
    x, y = batch(2)
    model = classifier()
    # All views pass in one batch, so that they share the batch statistics.
    both = np.concatenate([x[:, 0], x[:, 1]])
    logits = tf.split(model(both, training=True), 2)
    log_p, log_q = (tf.nn.log_softmax(each).numpy() for each in logits)
    p, q = np.exp(log_p), np.exp(log_q)
    log_m = np.log((p + q) / 2)
    expected = {
        "kl": (p * (log_p - log_q)).sum(-1),
        "jsd": ((p * (log_p - log_m)) + q * (log_q - log_m)).sum(-1) / 2,
    }[stability].mean()
    logs = trainer(stability, jsd_weight=3.0, **PLAIN).fit(
        x, y, batch_size=B, verbose=0
    )
    logs = {name: values[0] for name, values in logs.history.items()}
    assert set(logs) == {"loss", "cross_entropy", stability}
    np.testing.assert_allclose(logs[stability], expected, rtol=1e-4)
    np.testing.assert_allclose(
        logs["loss"], logs["cross_entropy"] + 3 * logs[stability], rtol=1e-5
    )


def test_stability_is_saved_and_has_to_be_known():
    subject = trainer("kl", jsd_weight=2.0)
    copy = NoisyMix.from_config(subject.get_config())
    assert (copy.stability, copy.jsd_weight) == ("kl", 2.0)
    config = subject.get_config()
    del config["stability"]  # As of a trainer that was saved before.
    assert NoisyMix.from_config(config).stability == "jsd"
    with pytest.raises(UsageError, match="Unknown stability 'js'"):
        trainer("js")


def test_views_made_in_a_compiled_step_with_mixing_and_noise():
    """Gaussian views and a stability term with NoisyMix's mixing and noise."""
    x, y = batch(1)
    images = x[:, 0].astype(np.uint8)
    views = functools.partial(augment.gaussian_views, num_views=1)
    subject = trainer(jit_compile=True, augment=views, jsd_weight=1.0)
    logs = subject.fit(images, y, batch_size=B, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all() and min(logs["kl"]) > 0
    # The step makes the views of its number, which differ from one another.
    first, second = subject.views_of(images, 0), subject.views_of(images, 1)
    np.testing.assert_array_equal(first[:, 0], images)
    assert not np.array_equal(first, second)
