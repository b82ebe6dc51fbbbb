"""Adversaries to train against: which attack, on how much of a batch."""

import abc
import dataclasses
import math
from typing import ClassVar

from noisymix_tf import checks
from noisymix_tf.attacks.search import (
    BALLS,
    PIXEL_MAX,
    Budget,
    cross_entropy,
    search,
)
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_1, POSITIVE, Options, Range, option
from noisymix_tf.registry import Registry

ADVERSARIES = Registry("adversary")
ADVERSARIES.register("none")(None)
_SHARE = Range(lambda v: 0 < v <= 1, "above 0 and at most 1")


@dataclasses.dataclass(eq=False)
class Adversary(Options, abc.ABC):
    """An attack on the clean images of a train step, and its options.

    A new one is a dataclass in the registry `ADVERSARIES`, with a `PREFIX` for
    options of its own, and, to be saved with a trainer, in that of Keras.
    """

    PREFIX = "adversary_"

    def check(self, shape) -> None:
        """Refuses examples of a shape, in which None stands for any side."""
        if len(shape) != 3:
            raise UsageError(
                f"An adversary moves the pixels of images [H, W, C], but an "
                f"example has shape {list(shape)}; leave out adversary."
            )

    @abc.abstractmethod
    def attack(self, score, images, labels, seed) -> "tf.Tensor":
        """The batch with adversarial images in the place of clean ones.

        Args:
            score: Function from float32 images 0..255 to scores `[B, K]`.
            images, labels: float32 `[B, H, W, C]` and int32 `[B]`.
            seed: int32 scalar of at least 0.
        """


@ADVERSARIES.register("pgd")
@serializable
@dataclasses.dataclass(eq=False)
class PGDAdversary(Adversary):
    """Projected gradient descent from a random start: adversarial training.

    The search is that of `attacks.pgd`, on images clipped to 0..255, with
    distances in grey levels. A trainer refuses examples that are no images, and
    a radius that spans all of them.

    >>> PGDAdversary(eps=4).steps
    7

    Reference: Madry et al., arXiv:1706.06083, section 4; the defaults are its
    attack for CIFAR-10. Mixed batches: Kurakin et al., arXiv:1611.01236.
    """

    relative_step: ClassVar = 0.25
    eps: float = option(
        8.0,
        "Largest distance from the image, in grey levels of pixels 0 to 255, "
        "of which 8/255 stands for 8; of l2, the literature's 0.5 is 127.5.",
        in_grey_levels=True,
        range=POSITIVE,
    )
    norm: str = option(
        "linf",
        "How far images are apart: linf (largest difference of a pixel) or l2 "
        "(Euclidean distance of whole images).",
        choices=BALLS,
    )
    steps: int = option(7, "Steps of the attack; fast has one.", AT_LEAST_1)
    step_size: float | None = option(
        None,
        "Length of a step, in grey levels. Default: a quarter of the largest "
        "distance, of fast 1.25 times.",
        in_grey_levels=True,
        range=POSITIVE,
    )
    random_start: bool = option(
        True, "Start at a random place in the ball, not at the image."
    )
    share: float = option(
        1.0,
        "Share of the batch that is attacked; the rest stays clean. At least "
        "one image, the first, is attacked.",
        _SHARE,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.radius_in_grey_levels("eps", self.eps, self.norm)
        step = self.step_size
        if step is not None and step < self.eps / 100:
            raise UsageError(
                f"step_size={step:g} must be in grey levels, as "
                f"eps={self.eps:g} is: for {step:.4g} of their range give "
                f"{255 * step:.4g}."
            )

    def check(self, shape) -> None:
        super().check(shape)
        if None in shape:
            return
        span = PIXEL_MAX * BALLS.get(self.norm).span(math.prod(shape))
        if self.eps > span:
            raise UsageError(
                f"The adversary's eps={self.eps:g} is more than the largest "
                f"{self.norm} distance of two images, {span:g} grey levels; "
                f"give less."
            )

    def attack(self, score, images, labels, seed) -> "tf.Tensor":
        count, size = images.shape[0], tf.shape(images)[0]
        if self.share == 1.0:
            count = count or size
        elif count is None:
            part = tf.round(self.share * tf.cast(size, tf.float32))
            count = tf.maximum(1, tf.cast(part, tf.int32))
        else:
            count = max(1, round(self.share * count))
        step_size = self.step_size or self.relative_step * self.eps
        found = search(
            score,
            tf.clip_by_value(images[:count], 0.0, PIXEL_MAX),
            labels[:count],
            tf.range(count),
            Budget(self.eps, step_size, self.steps, seed=seed),
            ball=BALLS.get(self.norm),
            loss=cross_entropy,
            random_start=self.random_start,
        )
        return tf.concat([found, images[count:]], axis=0)


@ADVERSARIES.register("fast")
@serializable
@dataclasses.dataclass(eq=False)
class FastAdversary(PGDAdversary):
    """One step from a random start: fast adversarial training.

    Without the random start it is the fast gradient sign method, against which
    networks learn to mask their gradients.

    Reference: Wong et al., arXiv:2001.03994, algorithm 3; the defaults are
    those of its published code for CIFAR-10.
    """

    relative_step: ClassVar = 1.25
    steps: int = dataclasses.field(default=1, init=False)


def resolve(adversary) -> Adversary | None:
    """The `Adversary` that an argument is, or names; None of `"none"`."""
    if isinstance(adversary, Adversary):
        return adversary
    names = ADVERSARIES.names()
    if adversary not in names:
        raise UsageError(
            f"adversary={adversary!r} must be one of {', '.join(names)}, or an "
            f"object such as nm.attacks.PGDAdversary(eps=4)."
        )
    kind = ADVERSARIES.get(adversary)
    return None if kind is None else kind()
