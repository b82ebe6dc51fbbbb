"""PuzzleMix: masks of blocks that show what is salient in both images."""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

from noisymix_tf.checks import radius_in_grey_levels
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.mixing import grid_labels, kind, puzzle_costs, transport
from noisymix_tf.mixing.kind import MIXINGS, Mixing
from noisymix_tf.options import AT_LEAST_1, SHARE, Range, between, option

# Blocks down and across, as published; those that divide the image are used.
GRIDS = (2, 4, 8, 16)
# Sweeps of the solver; see the distance to the optimum in its tests.
_SWEEPS = 20
# An adversarial step is longer than the radius by this, of 255, as published.
_BEYOND = 2.0
_WEIGHT = between(0, 1_000_000)
_SIDE = Range(lambda v: v == -1 or v >= 1, "-1 or at least 1")


class PuzzlePlan(NamedTuple):
    """A `MixPlan` with a mask and with where pixels come from."""

    tap: "tf.Tensor"
    lam: "tf.Tensor"  # Once settled `[B]`, the means of the masks.
    permutation: "tf.Tensor"
    # Float32 `[4]` in [0, 1): which grid, whether the image and its partner are
    # attacked, and how much of the perturbation is used.
    chances: "tf.Tensor"
    # Float32 `[B, H, W]`, how much of a pixel is the image's own.
    mask: "tf.Tensor | None" = None
    # Int32 `[B, H * W]`, which pixel of the image comes to each place.
    own: "tf.Tensor | None" = None
    partner: "tf.Tensor | None" = None  # And of its partner.
    # Float32 `[B, H, W, C]`, what is added to the clean view at the tap.
    attack: "tf.Tensor | None" = None


@MIXINGS.register("puzzlemix")
@serializable
@dataclasses.dataclass(eq=False)
class PuzzleMix(Mixing):
    """Joins two images so that the salient parts of both are seen.

    Each step divides the images into 2 x 2, 4 x 4, 8 x 8 or 16 x 16 blocks. A
    mask says how much of each block is the image's own; it shows much saliency,
    has few and smooth seams, and about the share `lam ~ Beta(alpha, alpha)` of
    the image (`puzzle_costs.py`, solved by `grid_labels.py`). Then blocks move
    so that salient ones are shown (`transport.py`). The labels get the pixels'
    shares: the mean of the mask.

    Saliency is the norm over the channels of the loss's gradient at the first
    tap, which must be the input or its normalisation. It costs one pass of the
    clean view through the network, as in evaluation, and back. All views are
    cut and moved alike. A trainer refuses examples that are no images of pixels
    0..255, or of an odd size, and another first tap.

    >>> PuzzleMix(labels=2).gamma
    0.5

    Reference: Kim et al., PuzzleMix, arXiv:2009.06962; defaults are those of
    its published code for CIFAR-100. ImageNet: `transport_size=-1` and
    `neigh_size=2`.
    """

    per_example: ClassVar = True

    PREFIX = "puzzle_"

    labels: int = option(
        3,
        "Levels of a mask; 3: a block shows the image, its partner or "
        "half of both.",
        between(2, 4),
    )
    beta: float = option(
        1.2, "Weight of differing neighbouring levels.", _WEIGHT
    )
    gamma: float = option(
        0.5, "Weight of differing pixels at seams, relative to beta.", SHARE
    )
    eta: float = option(0.2, "Weight of the prior on the levels.", _WEIGHT)
    neigh_size: int = option(
        4, "Side of the patches compared at seams, in pixels.", AT_LEAST_1
    )
    transport: bool = option(
        True, "Move salient blocks to where they are seen."
    )
    transport_size: int = option(
        4,
        "Side of the blocks that move, in pixels; -1: that of the mask's.",
        _SIDE,
    )
    transport_eps: float = option(
        0.8,
        "Cost of a move as long as the image, in shares of its saliency.",
        _WEIGHT,
    )
    adversarial_probability: float = option(
        0.0,
        "Share of the steps that perturb an image adversarially, and likewise "
        "its partner; 0: none.",
        SHARE,
    )
    adversarial_eps: float = option(
        10.0,
        "Largest adversarial perturbation of a pixel, in grey levels of pixels "
        "0 to 255, of which 8/255 stands for 8.",
        between(0, 255),
        in_grey_levels=True,
    )

    def __post_init__(self):
        super().__post_init__()
        radius_in_grey_levels("adversarial_eps", self.adversarial_eps, "linf")
        self._functions = {}

    def check(self, shape) -> None:
        kind.check_images("PuzzleMix", shape)
        if None not in shape[:2] and not _grids(*shape[:2]):
            raise UsageError(
                f"PuzzleMix divides images into at least 2 x 2 blocks, but "
                f"they have {shape[0]} x {shape[1]} pixels; give images with "
                f"even sides (--image_size)."
            )

    def plan(self, seed, batch_size) -> PuzzlePlan:
        plan = super().plan(seed, batch_size)
        chances = tf.random.stateless_uniform([4], kind.folded(seed, kind.MORE))
        return PuzzlePlan(*plan, chances)

    def settle(self, plan, clean) -> PuzzlePlan:
        self.check(clean.images.shape[1:])
        kind.check_known("PuzzleMix", clean.images.shape[1:])
        features = clean.features(clean.images)
        if features.shape != clean.images.shape:
            raise UsageError(
                f"PuzzleMix mixes pixels, but the first tap has shape "
                f"{list(features.shape[1:])} where images have "
                f"{list(clean.images.shape[1:])}: let taps begin with 'input' "
                f"or the normalisation."
            )
        found = tf.cond(
            plan.lam < 1.0,
            lambda: self._joined(plan, clean, features),
            lambda: self._apart(features),
        )
        return plan._replace(**found)

    def mix(self, x, plan) -> "tf.Tensor":
        own = partner = x
        if plan.attack is not None:
            attacked = self._attacked(plan)
            own, partner = (_perturbed(x, plan.attack, on) for on in attacked)
        partner = kind.permute(partner, plan.permutation)
        if plan.own is not None:
            own = transport.moved(own, plan.own)
            partner = transport.moved(partner, plan.partner)
        weight = tf.cast(plan.mask[..., tf.newaxis], x.dtype)
        return weight * own + (1.0 - weight) * partner

    def _attacked(self, plan):
        """Whether the images are attacked, and whether the partners are."""
        return tf.unstack(plan.chances[1:3] < self.adversarial_probability)

    def _apart(self, features):
        """What is found in a step that does not mix."""
        batch = features.shape[0] or tf.shape(features)[0]
        height, width = features.shape[1:3]
        found = {"lam": tf.ones([batch])}
        found["mask"] = tf.ones([batch, height, width])
        if self.transport:
            still = tf.tile(tf.range(height * width)[tf.newaxis], [batch, 1])
            found |= {"own": still, "partner": still}
        if self.adversarial_probability:
            found["attack"] = tf.zeros_like(features)
        return found

    def _joined(self, plan, clean, features):
        """What is found in a step that mixes."""
        found = {}
        if self.adversarial_probability:
            attacked = tf.reduce_any(self._attacked(plan))
            gradient, found["attack"] = _look(
                clean, self.adversarial_eps, plan.chances[3], attacked
            )
        else:
            gradient = clean.gradient(features)
        saliency = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=-1))
        pixels = tf.cast(clean.images, tf.float32) / 255.0
        branches = [self._compiled(n) for n in _grids(*pixels.shape[1:3])]
        arguments = (saliency, pixels, plan.permutation, plan.lam)
        # Out of range by rounding, the last is taken.
        found |= tf.switch_case(
            tf.cast(plan.chances[0] * len(branches), tf.int32),
            [functools.partial(branch, *arguments) for branch in branches],
        )
        found["lam"] = tf.reduce_mean(found["mask"], [1, 2])
        return found

    def _compiled(self, grid):
        """`_arranged` for a grid, compiled even where the step is not."""
        # It is made of loops of small operations.
        if grid not in self._functions:
            arranged = functools.partial(self._arranged, grid)
            how = {"jit_compile": True, "autograph": False}
            self._functions[grid] = tf.function(arranged, **how)
        return self._functions[grid]

    def _arranged(self, grid, saliency, pixels, permutation, lam):
        """The mask, and where its pixels come from, for a grid of blocks."""
        given = self, grid, saliency, pixels, permutation, lam
        labels = grid_labels.solve(*puzzle_costs.costs(*given), sweeps=_SWEEPS)
        height, width = pixels.shape[1:3]
        level = tf.cast(labels, tf.float32) / (self.labels - 1)
        found = {"mask": _enlarged(level, height, width)}
        if self.transport:
            rows, columns = self._places(grid, height, width)
            shown = _enlarged(labels, rows, columns)
            share = puzzle_costs.shares(saliency, rows, columns)
            blocks = transport.sources(
                tf.concat([share, tf.gather(share, permutation)], 0),
                tf.concat([shown > 0, shown < self.labels - 1], 0),
                self.transport_eps,
            )
            pixels = transport.pixel_sources(blocks, height, width)
            found["own"], found["partner"] = tf.split(pixels, 2)
        return found

    def _places(self, grid, height, width):
        """Numbers of the blocks that move, down and across."""
        if self.transport_size == -1:
            return grid, grid
        block = height // grid, width // grid
        side = puzzle_costs.divisor(*block, self.transport_size)
        return height // side, width // side


def _look(clean, radius, amount, attacked):
    """The gradient at the first tap, and what climbing it adds to the features.

    A step of the fast gradient sign method from a random start, in pixels, up
    to a `radius` times an `amount` in [0, 1] (section 5 of the paper, and its
    published code). The start is the image itself where nothing is `attacked`.
    What is at the tap grows with the pixels.
    """
    images = tf.cast(clean.images, tf.float32)

    def features(pixels):
        return clean.features(tf.cast(pixels, clean.images.dtype))

    start = tf.random.stateless_uniform(
        tf.shape(images), clean.seed, -radius, radius
    )
    # What leaves the range of pixels is no perturbation.
    start = tf.where(attacked, _clipped(images + start) - images, 0.0)
    gradient = clean.gradient(features(images + start))
    step = start + (radius + _BEYOND) * tf.sign(gradient)
    perturbation = amount * tf.clip_by_value(step, -radius, radius)
    perturbed = features(_clipped(images + perturbation))
    return gradient, perturbed - features(images)


def _clipped(images):
    return tf.clip_by_value(images, 0.0, 255.0)


def _perturbed(x, attack, is_attacked):
    """Views with a perturbation of the first, the clean one."""
    attack = tf.where(is_attacked, tf.cast(attack, x.dtype), 0)
    rest = [[0, 0] for _ in attack.shape]
    return x + tf.pad(attack[tf.newaxis], [[0, x.shape[0] - 1], *rest])


def _enlarged(blocks, height, width):
    """`[B, n, m]` with each block repeated, `[B, height, width]`."""
    rows, columns = blocks.shape[1:]
    blocks = tf.repeat(blocks, height // rows, axis=1)
    return tf.repeat(blocks, width // columns, axis=2)


def _grids(height, width):
    """The grids whose blocks fill an image."""
    return [n for n in GRIDS if height % n == 0 and width % n == 0]
