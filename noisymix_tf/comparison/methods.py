"""What methods are called in a table, in the order of the paper's."""

# The rows of Erichson et al. (2022), arXiv:2202.01263, Table 1, with their
# relatives beside them. AugMix's relatives and NoisyMix's come before the
# method itself, so that the last row is NoisyMix.
TITLES = {
    "baseline": "Baseline",
    "adversarial": "Adversarial",
    "adversarial_fast": "Adversarial, fast",
    "adversarial_l2": "Adversarial, L2",
    "stylized": "Stylized",
    "stylized_joined": "Stylized, joined",
    "deepaugment": "DeepAugment",
    "autoaugment": "AutoAugment",
    "randaugment": "RandAugment",
    "trivialaugment": "TrivialAugment",
    "mixup": "Mixup",
    "manifold_mixup": "Manifold Mixup",
    "noise_injection": "Noise injection",
    "nfm": "NFM",
    "stability_training": "Stability training",
    "cutmix": "CutMix",
    "puzzlemix": "PuzzleMix",
    "augmix_no_jsd": "AugMix, no JSD",
    "augmix_two_views": "AugMix, two views",
    "augmix_manifold": "AugMix + manifold",
    "augmix": "AugMix",
    "noisymix_equal_noise": "NoisyMix, 1:1:1",
    "noisymix_two_views": "NoisyMix, two views",
    "noisymix_short": "NoisyMix, short",
    "noisymix": "NoisyMix",
}

BASELINE = "baseline"

_ORDER = {name: place for place, name in enumerate(TITLES)}


def title(method):
    """What a method is called: `"CutMix"`; an unknown one by its own name."""
    return TITLES.get(method, method.replace("_", " "))


def place(method):
    """Sorts methods into the order of the table, unknown ones to the end."""
    return _ORDER.get(method, len(_ORDER))
