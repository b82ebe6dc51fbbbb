"""Flags of the training method."""

import dataclasses

from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    AUGMIX_SEVERITY,
    DEPTH,
    NOT_EMPTY,
    POSITIVE,
    SHARE,
    Group,
    field,
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
        "Augmentation that makes the views: augmix or none.",
        choices=("augmix", "none"),
    )
    stability: str = field(
        "jsd",
        "Stability term: jsd (a clean and two augmented views) or none (one "
        "view).",
        choices=("jsd", "none"),
    )
    jsd_weight: float = field(
        12.0, "Weight of the Jensen-Shannon term.", range=AT_LEAST_0
    )
    mixing: str = field(
        "manifold",
        "Mixing of examples: manifold (at a random tap), input (at the first "
        "tap) or none.",
        choices=("manifold", "input", "none"),
    )
    taps: tuple[str, ...] = field(
        ("auto",),
        "Layers where mixing and noise may happen, in the order of the data "
        "flow; auto: behind the normalisation and the first three stages.",
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
        "Factors of the additive level for the clean and the augmented views.",
        range=NOT_EMPTY,
        item=float,
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

    def __post_init__(self):
        super().__post_init__()
        if self.stability == "jsd" and self.views == "none":
            raise UsageError(
                "--stability=jsd compares several views, and --views=none "
                "makes one; give --views=augmix or --stability=none."
            )
