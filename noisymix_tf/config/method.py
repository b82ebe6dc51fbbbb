"""Flags of the training method."""

import dataclasses

from noisymix_tf.config import ramps
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    AUGMIX_SEVERITY,
    DEPTH,
    FACTORS,
    NOT_EMPTY,
    POSITIVE,
    RANDAUGMENT_MAGNITUDE,
    SHARE,
    Group,
    field,
    text,
)
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class MethodConfig(Group):
    """A training method: views x mixing x noise x stability."""

    method: str = field(
        "custom",
        "Name of the method. On the command line, a known name reads its file "
        "in flags/method/; later flags override it.",
    )
    views: str = field(
        "augmix",
        "Augmentation that makes the views: augmix; a policy, which is "
        "autoaugment_cifar10, autoaugment_imagenet, autoaugment_svhn, "
        "randaugment or trivialaugment; gaussian (noise on the pixels); or "
        "none.",
        choices=(
            "augmix",
            "autoaugment_cifar10",
            "autoaugment_imagenet",
            "autoaugment_svhn",
            "randaugment",
            "trivialaugment",
            "gaussian",
            "none",
        ),
    )
    stability: str = field(
        "jsd",
        "Stability term over the clean and the augmented views: jsd "
        "(Jensen-Shannon divergence), kl (mean divergence of the clean "
        "prediction from the others, as in stability training) or none (one "
        "view, the augmented one).",
        choices=("jsd", "kl", "none"),
    )
    jsd_weight: float = field(
        12.0, "Weight of the stability term, jsd or kl.", range=AT_LEAST_0
    )
    num_views: int = field(
        3,
        "Views that the stability term compares, the clean one included. "
        "Without a term there is one view.",
        range=AT_LEAST_1,
    )
    mixing: str = field(
        "manifold",
        "Mixing of examples: manifold (at a random tap), input, cutmix (a box) "
        "or puzzlemix (salient blocks), all three at the first tap, or none.",
        choices=("manifold", "input", "cutmix", "puzzlemix", "none"),
    )
    mixing_probability: float = field(
        1.0, "Share of the steps that mix.", range=SHARE
    )
    taps: tuple[str, ...] = field(
        ("auto",),
        "Layers where mixing and noise may happen, in the order of the data "
        "flow; auto: behind the normalisation and the first three stages; "
        "auto:N: the first N of these.",
        range=NOT_EMPTY,
    )
    alpha: float = field(
        1.0,
        "Mixing coefficient ~ Beta(alpha, alpha); 0 means no mixing.",
        range=AT_LEAST_0,
    )
    additive_noise: float = field(
        0.5, "Level of additive noise.", range=AT_LEAST_0
    )
    multiplicative_noise: float = field(
        0.5, "Level of multiplicative noise.", range=AT_LEAST_0
    )
    noise_sparsity: float = field(
        0.65, "Share of entries without noise.", range=SHARE
    )
    noise_per_view: tuple[float, ...] = field(
        (1.0, 2.0, 3.0),
        "Factors of the additive level for the clean and the augmented views; "
        "the last also for those beyond it.",
        range=FACTORS,
        item=float,
    )
    ramps: tuple[str, ...] = field(
        (),
        "Levels that change during training, NAME:END:FROM:TO: alpha, "
        "additive_noise, multiplicative_noise or jsd_weight goes evenly from "
        "the value of its flag to END between the shares FROM and TO of the "
        "training. alpha:0:0.5:1 mixes less and less in the second half. A "
        "further ramp of the same level goes on from there.",
    )
    augmix_severity: float = field(
        3.0, "Severity of AugMix's operations.", range=AUGMIX_SEVERITY
    )
    augmix_width: int = field(
        3, "Number of AugMix's augmentation chains.", range=AT_LEAST_1
    )
    augmix_depth: int = field(
        -1, "Operations in a chain; -1: random, 1 to 3.", range=DEPTH
    )
    augmix_alpha: float = field(
        1.0, "Concentration of AugMix's mixing weights.", range=POSITIVE
    )
    augmix_all_ops: bool = field(
        False,
        "Also use color, contrast, brightness and sharpness, which overlap "
        "with the corruptions of the evaluation.",
    )
    randaugment_num_ops: int = field(
        2, "Operations of RandAugment in a row.", range=AT_LEAST_1
    )
    randaugment_magnitude: float = field(
        9.0,
        "Magnitude of RandAugment's operations; 30 is AutoAugment's strongest.",
        range=RANDAUGMENT_MAGNITUDE,
    )
    randaugment_scale: str = field(
        "automl",
        "What RandAugment's magnitudes mean: automl (enhancements from 0.1 to "
        "1.9) or torchvision (from 1 to 1.9, in half of the draws to 0.1; "
        "whole magnitudes).",
        choices=("automl", "torchvision"),
    )
    policy_cutout: int = field(
        0,
        "Side in pixels of a grey square at a random place of every view of a "
        "policy; 0: none.",
        range=AT_LEAST_0,
    )
    gaussian_level: float = field(
        63.75,
        "Standard deviation of the noise of gaussian views, in units of pixels "
        "0 to 255.",
        range=AT_LEAST_0,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.stability != "none":
            self._check_views()
        self._check_ramps()

    def _check_views(self):
        if self.views == "none":
            raise UsageError(
                f"--stability={self.stability} compares several views, and "
                f"--views=none makes one; give --views=augmix or "
                f"--stability=none."
            )
        if self.num_views == 1:
            raise UsageError(
                f"--num_views=1 leaves --stability={self.stability} nothing to "
                f"compare the clean view with; give --num_views=2 or "
                f"--stability=none."
            )
        default = type(self).noise_per_view
        extra = self.noise_per_view[self.num_views :]
        if extra and self.noise_per_view != default:
            raise UsageError(
                f"--noise_per_view={text(self.noise_per_view)} has a factor "
                f"for each of {len(self.noise_per_view)} views, but "
                f"--num_views={self.num_views}: leave out {text(extra)}."
            )

    def _check_ramps(self):
        idle = {
            "alpha": ("mixing", self.mixing),
            "jsd_weight": ("stability", self.stability),
        }
        for ramp in ramps.parse(self.ramps):
            flag, value = idle.get(ramp.name, ("", ""))
            if value == "none":
                raise UsageError(
                    f"--ramps changes {ramp.name}, which --{flag}=none has no "
                    f"use for; leave the ramp out, or give another --{flag}."
                )
