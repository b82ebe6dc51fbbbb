"""Flags of PuzzleMix."""

import dataclasses

from noisymix_tf.checks import radius_in_grey_levels
from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    LEVELS,
    PIXELS,
    SHARE,
    SIDE,
    Group,
    field,
)

_PREFIX = "puzzle_"


@dataclasses.dataclass(frozen=True)
class PuzzleMixConfig(Group):
    """PuzzleMix, which --mixing=puzzlemix asks for."""

    puzzle_labels: int = field(
        3,
        "Levels of a mask; 3: a block shows the image, its partner or "
        "half of both.",
        range=LEVELS,
    )
    puzzle_beta: float = field(
        1.2, "Weight of differing neighbouring levels.", range=AT_LEAST_0
    )
    puzzle_gamma: float = field(
        0.5,
        "Weight of differing pixels at seams, relative to --puzzle_beta.",
        range=SHARE,
    )
    puzzle_eta: float = field(
        0.2, "Weight of the prior on the levels.", range=AT_LEAST_0
    )
    puzzle_neigh_size: int = field(
        4, "Side of the patches compared at seams, in pixels.", range=AT_LEAST_1
    )
    puzzle_transport: bool = field(
        True, "Move salient blocks to where they are seen."
    )
    puzzle_transport_size: int = field(
        4,
        "Side of the blocks that move, in pixels; -1: that of the mask's.",
        range=SIDE,
    )
    puzzle_transport_eps: float = field(
        0.8,
        "Cost of a move as long as the image, in shares of its saliency.",
        range=AT_LEAST_0,
    )
    puzzle_adversarial_probability: float = field(
        0.0,
        "Share of the steps that perturb an image adversarially, and likewise "
        "its partner; 0: none.",
        range=SHARE,
    )
    puzzle_adversarial_eps: float = field(
        10.0,
        "Largest adversarial perturbation of a pixel, in grey levels of pixels "
        "0 to 255, of which 8/255 stands for 8.",
        range=PIXELS,
        in_grey_levels=True,
    )

    def __post_init__(self):
        super().__post_init__()
        radius_in_grey_levels(
            "--puzzle_adversarial_eps", self.puzzle_adversarial_eps, "linf"
        )

    def options(self):
        """The options by the names that the kind of mixing gives them."""
        return {
            field.name.removeprefix(_PREFIX): getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
