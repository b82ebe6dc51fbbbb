"""Published numbers, for the side of a user's own.

Table 1 of Erichson et al. (2022), arXiv:2202.01263; the corruption leaderboards
of RobustBench (github.com/RobustBench/robustbench). All are about the released
files of the benchmarks. RobustBench measures ImageNet on 5,000 images; its
means without noise are taken here from its table of single corruptions.
"""

import dataclasses

_PAPER = "Erichson et al. (2022), Table 1"
_BENCH = "RobustBench"
_PAPER_COLUMNS = (
    "clean",
    "c",
    "c_without_noise",
    "r",
    "p_mfr",
    "p_mfr_without_noise",
    "fgsm",
)
_BENCH_COLUMNS = ("clean", "c", "c_without_noise", "c_mce")


@dataclasses.dataclass(frozen=True)
class Published:
    """A published row.

    Attributes:
        method: Name of the method's flagfile.
        name: What the source calls it.
        network: The network.
        source: Where it is published.
        values: `{measure: per cent}`; flips and mCE in per cent of AlexNet's.
    """

    method: str
    name: str
    network: str
    source: str
    values: dict

    @property
    def title(self):
        """What tells it from all other published rows on a dataset."""
        short = self.source.rpartition(", ")[2]
        return f"{self.name} ({self.network}, {short})"


def of_dataset(dataset):
    """`Published` rows on a dataset, by its name; an empty tuple for none."""
    return _ROWS.get(dataset, ())


def _paper(method, name, *values):
    return Published(
        method, name, "ResNet-50", _PAPER, dict(zip(_PAPER_COLUMNS, values))
    )


def _bench(method, name, network, *values):
    return Published(
        method,
        name,
        network,
        _BENCH,
        {k: v for k, v in zip(_BENCH_COLUMNS, values) if v is not None},
    )


_IMAGENET = (
    _paper("baseline", "Baseline", 76.1, 39.2, 42.3, 36.2, 58.0, 57.8, 6.6),
    _paper(
        "adversarial",
        "Adversarially trained",
        *(63.9, 32.1, 35.4, 38.9, 33.3, 33.4, 43.1),
    ),
    _paper(
        "stylized",
        "Stylized ImageNet",
        *(74.9, 45.2, 46.6, 41.5, 54.4, 55.2, 7.8),
    ),
    _paper(
        "autoaugment", "AutoAugment", 77.6, 45.7, 47.3, 39.0, 56.5, 57.7, 9.9
    ),
    _paper("mixup", "Mixup", 77.5, 46.2, 48.4, 39.6, 56.4, 58.7, 23.5),
    _paper(
        "manifold_mixup",
        "Manifold Mixup",
        *(76.7, 43.9, 46.5, 39.7, 56.0, 58.2, 27.7),
    ),
    _paper("cutmix", "CutMix", 78.6, 41.0, 43.1, 34.8, 58.6, 59.9, 33.7),
    _paper("puzzlemix", "PuzzleMix", 78.7, 44.6, 46.4, 39.5, 55.5, 57.0, 28.4),
    _paper("augmix", "AugMix", 77.5, 48.3, 50.5, 41.0, 37.6, 37.2, 9.9),
    _paper("noisymix", "NoisyMix", 77.6, 52.3, 52.4, 45.7, 28.5, 29.7, 29.6),
    _bench("baseline", "Standard", "ResNet-50", None, 39.48, 42.14, 76.37),
    _bench(
        "stylized", "Stylized joined", "ResNet-50", None, 45.76, 46.78, 68.67
    ),
    _bench("augmix", "AugMix", "ResNet-50", None, 49.33, 50.48, 64.17),
    _bench(
        "deepaugment",
        "DeepAugment and AugMix",
        *("ResNet-50", None, 52.90, 51.57, 60.05),
    ),
    _bench("noisymix", "NoisyMix", "ResNet-50", 76.98, 52.47, 52.24, 60.46),
    _bench(
        "noisymix", "NoisyMix, tuned", "ResNet-50", 76.90, 53.28, 53.33, 59.43
    ),
)

_ROWS = {
    "imagenet": _IMAGENET,
    "cifar10": (
        _bench("baseline", "Standard", "WRN-28-10", 94.78, 73.46),
        _bench("augmix", "AugMix", "WRN-40-2", 95.08, 88.82),
        _bench("augmix", "AugMix", "ResNeXt-29", 95.83, 89.09),
        _bench("noisymix", "NoisyMix", "WRN-28-4", 96.73, 92.78, 92.51),
    ),
    "cifar100": (
        _bench("augmix", "AugMix", "WRN-40-2", 76.28, 64.11),
        _bench("augmix", "AugMix", "ResNeXt-29", 78.90, 65.14),
        _bench("noisymix", "NoisyMix", "WRN-28-4", 81.16, 72.06),
    ),
}
