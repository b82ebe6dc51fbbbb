"""Flags of adversarial training."""

import dataclasses

from noisymix_tf.checks import radius_in_grey_levels
from noisymix_tf.config.fields import (
    AT_LEAST_1,
    POSITIVE,
    POSITIVE_SHARE,
    Group,
    field,
)
from noisymix_tf.errors import UsageError

_PREFIX = "adversary_"


@dataclasses.dataclass(frozen=True)
class AdversaryConfig(Group):
    """Adversarial training, which any method can be combined with."""

    adversary: str = field(
        "none",
        "Attack on the clean view, or the only one, before it is mixed: pgd "
        "(projected gradient descent), fast (one step from a random start) or "
        "none.",
        choices=("none", "pgd", "fast"),
    )
    adversary_norm: str = field(
        "linf",
        "How far images are apart: linf (largest difference of a pixel) or l2 "
        "(Euclidean distance of whole images).",
        choices=("linf", "l2"),
    )
    adversary_eps: float = field(
        8.0,
        "Largest distance from the image, in grey levels of pixels 0 to 255, "
        "of which 8/255 stands for 8; of l2, the literature's 0.5 is 127.5.",
        in_grey_levels=True,
        range=POSITIVE,
    )
    adversary_steps: int = field(
        None,
        "Steps of the attack. Default: 7 of pgd; fast has one.",
        range=AT_LEAST_1,
        kind=int,
    )
    adversary_step_size: float = field(
        None,
        "Length of a step, in the units of --adversary_eps. Default: a quarter "
        "of it, of fast 1.25 times.",
        in_grey_levels=True,
        range=POSITIVE,
        kind=float,
    )
    adversary_random_start: bool = field(
        True, "Start at a random place in the ball, not at the image."
    )
    adversary_share: float = field(
        1.0,
        "Share of the batch that is attacked; the rest stays clean.",
        range=POSITIVE_SHARE,
    )

    def __post_init__(self):
        super().__post_init__()
        radius_in_grey_levels(
            "--adversary_eps", self.adversary_eps, self.adversary_norm
        )
        step = self.adversary_step_size
        if step is not None and step < self.adversary_eps / 100:
            raise UsageError(
                f"--adversary_step_size={step:g} must be in grey levels, as "
                f"--adversary_eps={self.adversary_eps:g} is: for {step:.4g} of "
                f"their range give {255 * step:.4g}."
            )
        if self.adversary == "fast" and self.adversary_steps not in (None, 1):
            raise UsageError(
                f"--adversary=fast takes one step, not "
                f"--adversary_steps={self.adversary_steps}; give "
                f"--adversary=pgd or leave the steps out."
            )

    def options(self):
        """The options given, by the names that the adversary has for them."""
        options = {
            field.name.removeprefix(_PREFIX): getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name.startswith(_PREFIX)
        }
        if self.adversary == "fast":
            del options["steps"]
        return {k: v for k, v in options.items() if v is not None}
