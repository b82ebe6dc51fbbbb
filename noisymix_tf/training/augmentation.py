"""The augmentation that a training method names."""

import functools

from noisymix_tf import augment


def augmentation(method):
    """The function from images and a seed to views, or `None` for none.

    Args:
        method: `MethodConfig`.
    """
    if method.views == "none":
        return None
    function, options = _named(method)
    if method.stability == "none":
        options |= {"num_views": 1, "clean": False}
    else:
        options["num_views"] = method.num_views - 1
    return functools.partial(function, **options)


def _named(method):
    """The function that makes the views, and its options."""
    if method.views == "augmix":
        return augment.augmix_views, {
            "severity": method.augmix_severity,
            "width": method.augmix_width,
            "depth": method.augmix_depth,
            "alpha": method.augmix_alpha,
            "all_ops": method.augmix_all_ops,
        }
    if method.views == "gaussian":
        return augment.gaussian_views, {"level": method.gaussian_level}
    cutout = {"cutout": method.policy_cutout}
    if method.views == "randaugment":
        return augment.rand_augment_views, {
            "num_ops": method.randaugment_num_ops,
            "magnitude": method.randaugment_magnitude,
            "scale": method.randaugment_scale,
            **cutout,
        }
    if method.views == "trivialaugment":
        return augment.trivial_augment_views, cutout
    policy = method.views.removeprefix("autoaugment_")
    return augment.auto_augment_views, {"policy": policy, **cutout}
