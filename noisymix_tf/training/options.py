"""Options of a training: its method, and its optimizer."""

import dataclasses
import math
from typing import NamedTuple

from noisymix_tf.adjustable import LEVELS
from noisymix_tf.attacks import ADVERSARIES
from noisymix_tf.augment import VIEWS
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.mixing.noise import SCALES
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    BELOW_1,
    NOT_EMPTY,
    POSITIVE,
    SHARE,
    Options,
    Range,
    option,
    text,
)

_FACTORS = Range(
    lambda v: bool(v) and all(factor >= 0 for factor in v),
    "a list of numbers of at least 0",
)


@dataclasses.dataclass(frozen=True)
class MethodConfig(Options):
    """A training method: views x mixing x noise x stability."""

    method: str = option(
        "custom",
        "Name of the method. On the command line, a known name reads its file "
        "in flags/method/; later flags override it.",
        first=True,
    )
    views: str = option(
        "augmix",
        "Augmentation that makes the views: augmix; a policy, which is "
        "autoaugment_cifar10, autoaugment_imagenet, autoaugment_svhn, "
        "randaugment or trivialaugment; prime; pixmix, ipmix (with "
        "mixing_dir); gaussian (noise on the pixels); or none.",
        choices=VIEWS,
    )
    stability: str = option(
        "jsd",
        "Stability term over the clean and the augmented views: jsd "
        "(Jensen-Shannon divergence), kl (mean divergence of the clean "
        "prediction from the others, as in stability training) or none (one "
        "view, the augmented one).",
        choices=("jsd", "kl", "none"),
    )
    jsd_weight: float = option(
        12.0, "Weight of the stability term, jsd or kl.", AT_LEAST_0
    )
    num_views: int = option(
        3,
        "Views that the stability term compares, the clean one included. "
        "Without a term there is one view.",
        AT_LEAST_1,
    )
    mixing: str = option(
        "manifold",
        "Mixing of examples: manifold (at a random tap), input, cutmix (a box) "
        "or puzzlemix (salient blocks), all three at the first tap, or none.",
        choices=MIXINGS,
    )
    taps: tuple[str, ...] = option(
        ("auto",),
        "Layers where mixing and noise may happen, in the order of the data "
        "flow; auto: behind the normalisation and the first three stages; "
        "auto:N: the first N of these.",
        NOT_EMPTY,
    )
    alpha: float = option(
        1.0,
        "Mixing coefficient ~ Beta(alpha, alpha); 0 means no mixing.",
        AT_LEAST_0,
    )
    additive_noise: float = option(0.5, "Level of additive noise.", AT_LEAST_0)
    multiplicative_noise: float = option(
        0.5, "Level of multiplicative noise.", AT_LEAST_0
    )
    noise_sparsity: float = option(
        0.65, "Share of entries without noise.", SHARE
    )
    noise_per_view: tuple[float, ...] = option(
        (1.0, 2.0, 3.0),
        "Factors of the additive level for the clean and the augmented views; "
        "the last also for those beyond it.",
        _FACTORS,
    )
    noise_per_tap: tuple[float, ...] = option(
        (1.0,),
        "Factors of both kinds of noise at each of --taps; the last also for "
        "those beyond it.",
        _FACTORS,
    )
    noise_scale: str | None = option(
        None,
        "Unit of additive noise: absolute (that of the features) or std "
        "(their standard deviation at each tap, measured in training). By "
        "default std where pretrained weights are trained on, else absolute.",
        choices=SCALES,
    )
    adversary: str = option(
        "none",
        "Adversarial training, which any method can be combined with: attack "
        "on the clean view, or the only one, before it is mixed: pgd "
        "(projected gradient descent), fast (one step from a random start) or "
        "none.",
        choices=ADVERSARIES,
    )
    ramps: tuple[str, ...] = option(
        (),
        "Levels that change during training, NAME:END:FROM:TO: alpha, "
        "additive_noise, multiplicative_noise or jsd_weight goes evenly from "
        "the value of its flag to END between the shares FROM and TO of the "
        "training. alpha:0:0.5:1 mixes less and less in the second half. A "
        "further ramp of the same level goes on from there.",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.stability != "none":
            self._check_views()
        idle = {
            "alpha": ("mixing", self.mixing),
            "jsd_weight": ("stability", self.stability),
        }
        for ramp in parse_ramps(self.ramps):
            flag, value = idle.get(ramp.name, ("", ""))
            if value == "none":
                raise UsageError(
                    f"--ramps changes {ramp.name}, which --{flag}=none has no "
                    f"use for; leave the ramp out, or give another --{flag}."
                )

    def _check_views(self):
        if self.views == "none" or self.num_views == 1:
            raise UsageError(
                f"--stability={self.stability} compares several views, and "
                f"--views={self.views} with --num_views={self.num_views} makes "
                f"one; give --views=augmix and --num_views=2 or more, or "
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


class Ramp(NamedTuple):
    """A level that goes evenly from where it stands to another."""

    name: str  # Of the level's flag.
    end: float  # Where it goes.
    first: float  # Share of the training after which it begins to change.
    last: float  # Share of the training after which it has arrived.


def parse_ramps(items) -> list[Ramp]:
    """Reads the items of --ramps, in the order given.

    Raises:
        UsageError: An item of another form, or one that begins before the one
            of the same level in front of it has ended.

    >>> parse_ramps(["alpha:0:0.5:1"])
    [Ramp(name='alpha', end=0.0, first=0.5, last=1.0)]
    """
    ramps, arrived = [], {}
    for item in items:
        ramp = _parse(item)
        if ramp.first < arrived.get(ramp.name, 0.0):
            raise UsageError(
                f"--ramps: {item!r} begins before the ramp of {ramp.name} in "
                f"front of it has ended; give one after the other."
            )
        arrived[ramp.name] = ramp.last
        ramps.append(ramp)
    return ramps


def _parse(item):
    name, *numbers = item.split(":")
    try:
        ramp = Ramp(name, *map(float, numbers))
        good = 0 <= ramp.end < math.inf and 0 <= ramp.first < ramp.last <= 1
    except (ValueError, TypeError):
        good = False
    if not good or name not in LEVELS:
        raise UsageError(
            f"--ramps: {item!r} must be NAME:END:FROM:TO, such as alpha:0:0.5:1"
            f": one of {', '.join(LEVELS)}; a number of at least 0; two shares "
            f"of the training, 0 <= FROM < TO <= 1."
        )
    return ramp


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Options):
    """An optimizer with a cosine schedule."""

    epochs: int = option(200, "Epochs.", AT_LEAST_1, first=True)
    batch_size: int = option(
        128,
        "Images a step; each counts once for all its views.",
        AT_LEAST_1,
        first=True,
    )
    learning_rate: float = option(
        0.1, "Learning rate at the start.", POSITIVE, first=True
    )
    final_learning_rate: float = option(
        1e-6, "Learning rate at the end of the cosine.", AT_LEAST_0
    )
    optimizer: str = option(
        "sgd",
        "Optimizer: sgd (as the reference), adamw or lion.",
        choices=("sgd", "adamw", "lion"),
    )
    momentum: float = option(
        0.9, "Momentum; of adamw and lion their beta_1.", BELOW_1
    )
    nesterov: bool = option(True, "Nesterov's momentum, of sgd.")
    weight_decay: float = option(
        5e-4,
        "Weight decay: with sgd of all trainable variables; with adamw and "
        "lion decoupled, and not of biases and what has one axis, such as "
        "scales and offsets of normalisation.",
        AT_LEAST_0,
    )
    weight_decay_mode: str = option(
        "l2",
        "With sgd, l2: in the gradient, as the reference; decoupled: as in "
        "AdamW.",
        choices=("l2", "decoupled"),
    )
    warmup_epochs: float = option(
        0.0,
        "Epochs in which the learning rate rises linearly from 0, before the "
        "cosine begins; part of --epochs.",
        AT_LEAST_0,
    )
    base_batch_size: int | None = option(
        None,
        "Batch size that the learning rate is meant for: it is multiplied by "
        "batch_size * accumulation_steps / base_batch_size. By default it is "
        "taken as it is.",
        AT_LEAST_1,
    )
    clip_norm: float = option(
        0.0,
        "Largest norm of the gradient of all weights together, without weight "
        "decay; a longer one is shortened to it. 0: no limit.",
        AT_LEAST_0,
    )
    accumulation_steps: int = option(
        1,
        "Batches whose gradients are averaged into one change of the weights, "
        "for large batches on small devices.",
        AT_LEAST_1,
    )
    steps_per_execution: int = option(
        1,
        "Steps that are run between two returns to Python; what is left of an "
        "epoch is run at its end.",
        AT_LEAST_1,
    )
    label_smoothing: float = option(
        0.0,
        "Share of each label that is spread evenly over all classes.",
        BELOW_1,
    )
    ema: float = option(
        0.0,
        "Decay of the exponential moving average of the weights, such as "
        "0.999; 0: no average.",
        BELOW_1,
    )
    evaluate_ema: bool = option(
        True, "With ema: measure, save and export the averaged weights."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise UsageError(
                f"--warmup_epochs={self.warmup_epochs} leaves nothing of "
                f"--epochs={self.epochs} for the cosine: warm up for less."
            )
