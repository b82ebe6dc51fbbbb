"""The views that flags name."""

import pytest

from noisymix_tf import augment
from noisymix_tf.config import Config
from noisymix_tf.training.augmentation import augmentation

# Flags, the function that they name, and its options.
AUGMIX = dict(severity=1.0, width=3, depth=-1, alpha=0.5, all_ops=False)
RAND = dict(num_ops=3, magnitude=5.0, scale="torchvision")
ALPHA = {"augmix_severity": 1.0, "augmix_alpha": 0.5}
OPS = {f"randaugment_{name}": value for name, value in RAND.items()}
NAMED = [
    ("augmix", ALPHA, augment.augmix_views, AUGMIX),
    ("randaugment", OPS, augment.rand_augment_views, RAND | {"cutout": 0}),
    ("trivialaugment", {}, augment.trivial_augment_views, {"cutout": 0}),
    ("gaussian", {"gaussian_level": 8}, augment.gaussian_views, {"level": 8}),
]
for name in ("cifar10", "imagenet", "svhn"):
    policy = augment.auto_augment_views, {"policy": name, "cutout": 0}
    NAMED.append((f"autoaugment_{name}", {}, *policy))


@pytest.mark.parametrize(("views", "flags", "function", "options"), NAMED)
def test_flags_name_a_function_of_views(views, flags, function, options):
    flags = {"views": views, **flags}
    made = augmentation(Config(**flags, stability="kl", num_views=4))
    assert made.func is function
    assert made.keywords == {**options, "num_views": 3}
    made = augmentation(Config(**flags, stability="none"))
    assert made.keywords == {**options, "num_views": 1, "clean": False}
    if "cutout" in options:
        made = augmentation(Config(**flags, policy_cutout=16))
        assert made.keywords["cutout"] == 16
    assert augmentation(Config(views="none", stability="none")) is None
