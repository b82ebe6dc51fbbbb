"""The views that flags name, and training on them."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import augment
from noisymix_tf.config import MethodConfig
from noisymix_tf.training.augmentation import augmentation
from noisymix_tf.training.losses import STABILITIES
from noisymix_tf.training.trainer import NoisyMix
from support.fit_models import QUIET, SIDE, B, K, classifier, model

FLAGS = {
    "augmix": {"augmix_severity": 1.0, "augmix_alpha": 0.5},
    "randaugment": {"randaugment_num_ops": 3, "randaugment_magnitude": 5.0},
    "gaussian": {"gaussian_level": 8.0},
}
AUGMIX = dict(severity=1.0, width=3, depth=-1, alpha=0.5, all_ops=False)
POLICY = {"cutout": 0}
RAND = {"num_ops": 3, "magnitude": 5.0, **POLICY}
NAMED = {
    "augmix": (augment.augmix_views, AUGMIX),
    "randaugment": (augment.rand_augment_views, RAND),
    "trivialaugment": (augment.trivial_augment_views, POLICY),
    "gaussian": (augment.gaussian_views, {"level": 8.0}),
}
for name in ("cifar10", "imagenet", "svhn"):
    options = {"policy": name, **POLICY}
    NAMED[f"autoaugment_{name}"] = augment.auto_augment_views, options


@pytest.mark.parametrize("views", NAMED)
def test_flags_name_a_function_of_views(views):
    function, options = NAMED[views]
    flags = {"views": views, **FLAGS.get(views, {})}
    made = augmentation(MethodConfig(**flags, stability="kl", num_views=4))
    assert made.func is function
    assert made.keywords == {**options, "num_views": 3}
    made = augmentation(MethodConfig(**flags, stability="none"))
    assert made.keywords == {**options, "num_views": 1, "clean": False}
    if "cutout" in options:
        made = augmentation(MethodConfig(**flags, policy_cutout=16))
        assert made.keywords["cutout"] == 16
    assert augmentation(MethodConfig(views="none", stability="none")) is None


@pytest.mark.parametrize("stability", STABILITIES.names())
def test_term_of_two_views_is_logged_and_weighed(stability):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, [B, 2, SIDE, SIDE, 3]).astype(np.float32)
    # All views pass in one batch, so that they share the batch statistics.
    both = np.concatenate([x[:, 0], x[:, 1]])
    logits = tf.split(classifier()(both, training=True), 2)
    p, q = (tf.nn.softmax(each).numpy() for each in logits)
    m = (p + q) / 2
    jsd = (p * np.log(p / m) + q * np.log(q / m)) / 2
    expected = {"kl": p * np.log(p / q), "jsd": jsd}[stability].sum(-1).mean()
    options = {"stability": stability, "jsd_weight": 3.0, **QUIET}
    subject = model("noisymix", run_eagerly=True, **options)
    y = rng.integers(0, K, B)
    logs = subject.fit(x, y, batch_size=B, verbose=0).history
    logs = {name: values[0] for name, values in logs.items()}
    assert set(logs) == {"loss", "cross_entropy", "accuracy", stability}
    np.testing.assert_allclose(logs[stability], expected, rtol=1e-4)
    total = logs["cross_entropy"] + 3 * logs[stability]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def test_stability_is_saved():
    config = NoisyMix(classifier(), stability="kl", jsd_weight=2.0).get_config()
    copy = NoisyMix.from_config(dict(config))
    assert (copy.stability, copy.jsd_weight) == ("kl", 2.0)
    del config["stability"]  # As of a trainer that was saved before.
    assert NoisyMix.from_config(config).stability == "jsd"
