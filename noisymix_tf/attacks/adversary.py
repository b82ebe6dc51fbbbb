"""Adversaries to train against: which attack, on how much of a batch.

The search is the one that evaluation measures with (`search.py`).
"""

import keras
import tensorflow as tf

from noisymix_tf.attacks import checks, objective
from noisymix_tf.attacks.balls import BALLS
from noisymix_tf.attacks.search import PIXEL_MAX, Budget, search
from noisymix_tf.checks import radius_in_grey_levels
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

ADVERSARIES = Registry("adversary")
NONE = "none"


@keras.saving.register_keras_serializable("noisymix_tf")
class PGDAdversary:
    """Projected gradient descent from a random start: adversarial training.

    Distances are in grey levels of pixels 0..255. In the Euclidean norm they
    are those of a whole image: the literature's 0.5 for pixels in 0..1 is
    127.5.

    Args:
        eps: Radius of the ball, above 0. One that is small enough to be meant
            for pixels in 0..1, such as `4 / 255`, is refused.
        norm: `"linf"` or `"l2"`.
        steps: Number of steps, at least 1.
        step_size: Length of a step, above 0; `eps / 4` by default.
        random_start: Whether a search starts at a place drawn uniformly from
            the ball, or at the image.
        share: Share of the batch that is attacked, above 0 and at most 1; the
            rest stays clean. At least one image is attacked.

    Raises:
        UsageError: An argument out of its range; from a trainer, examples that
            are no images, or a radius that spans more than all of them.

    Example:

    >>> nm.NoisyMix(classifier, adversary=nm.attacks.PGDAdversary(eps=4))

    Reference: Madry et al., arXiv:1706.06083, section 4; the defaults are its
    attack for CIFAR-10. Mixed batches: Kurakin et al., arXiv:1611.01236.
    """

    relative_step = 0.25

    def __init__(
        self,
        eps=8.0,
        norm="linf",
        steps=7,
        step_size=None,
        random_start=True,
        share=1.0,
    ):
        BALLS.get(str(norm))
        self.norm = str(norm)
        self.eps = checks.grey_levels("eps", eps)
        radius_in_grey_levels("eps", self.eps, self.norm)
        self.steps = checks.whole_number("steps", steps, 1)
        self.step_size = (
            None
            if step_size is None
            else checks.grey_levels("step_size", step_size)
        )
        self.random_start = checks.flag("random_start", random_start)
        self.share = checks.share("share", share)

    def check(self, shape):
        """Refuses examples that cannot be attacked.

        Args:
            shape: Shape of an example; what is not known of it is None.

        Raises:
            UsageError: With the reason.
        """
        if len(shape) != 3:
            raise UsageError(
                f"An adversary moves the pixels of images [H, W, C], but an "
                f"example has shape {list(shape)}; leave out adversary."
            )
        if None in shape:
            return
        size = shape[0] * shape[1] * shape[2]
        span = PIXEL_MAX * BALLS.get(self.norm).span(size)
        if self.eps > span:
            raise UsageError(
                f"The adversary's eps={self.eps:g} is more than the largest "
                f"{self.norm} distance of two images, {span:g} grey levels; "
                f"give less."
            )

    def attack(self, score, images, labels, seed):
        """The batch with the first images replaced by adversarial ones.

        Args:
            score: Function from float32 images 0..255 to scores `[B, K]`.
            images: float32 `[B, H, W, C]`. Those that are attacked are first
                clipped to 0..255.
            labels: int32 `[B]`.
            seed: int32 scalar of at least 0. `attacks.pgd` with this seed, the
                same options and the attacked images finds the same.

        Returns:
            float32 `[B, H, W, C]`.
        """
        count = self._count(images.shape[0] or tf.shape(images)[0])
        attacked = tf.clip_by_value(images[:count], 0.0, PIXEL_MAX)
        step_size = self.step_size or self.relative_step * self.eps
        found = search(
            score,
            attacked,
            labels[:count],
            tf.range(count),
            Budget(self.eps, step_size, self.steps, seed=seed),
            ball=BALLS.get(self.norm),
            loss=objective.cross_entropy,
            random_start=self.random_start,
        )
        return tf.concat([found, images[count:]], axis=0)

    def _count(self, batch_size):
        """How many images of a batch are attacked."""
        if self.share == 1.0:
            return batch_size
        if isinstance(batch_size, int):
            return max(1, round(self.share * batch_size))
        part = tf.round(self.share * tf.cast(batch_size, tf.float32))
        return tf.maximum(1, tf.cast(part, tf.int32))

    def get_config(self):
        return {
            "eps": self.eps,
            "norm": self.norm,
            "steps": self.steps,
            "step_size": self.step_size,
            "random_start": self.random_start,
            "share": self.share,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("noisymix_tf")
class FastAdversary(PGDAdversary):
    """One step from a random start: fast adversarial training.

    It costs one more pass through the network and back for each step. Without
    the random start it is the fast gradient sign method, against which networks
    learn to mask their gradients.

    Args:
        eps, norm, random_start, share: As for `PGDAdversary`.
        step_size: Length of the step; `1.25 eps` by default.

    Raises:
        UsageError: As `PGDAdversary`.

    Example:

    >>> nm.NoisyMix(classifier, adversary=nm.attacks.FastAdversary(share=0.5))

    Reference: Wong et al., arXiv:2001.03994, algorithm 3; the defaults are
    those of its published code for CIFAR-10.
    """

    relative_step = 1.25

    def __init__(
        self, eps=8.0, norm="linf", step_size=None, random_start=True, share=1.0
    ):
        super().__init__(eps, norm, 1, step_size, random_start, share)

    def get_config(self):
        config = super().get_config()
        del config["steps"]
        return config


ADVERSARIES.register("pgd")(PGDAdversary)
ADVERSARIES.register("fast")(FastAdversary)


def resolve(adversary):
    """The adversary that an argument names.

    Args:
        adversary: `"none"`, a registered name, or an object such as
            `PGDAdversary`.

    Returns:
        The object, by name one with its default options; or None.

    Raises:
        UsageError: It is none of these.
    """
    if isinstance(adversary, PGDAdversary):
        return adversary
    names = (NONE, *ADVERSARIES.names())
    if adversary not in names:
        raise UsageError(
            f"adversary={adversary!r} must be one of {', '.join(names)}, or an "
            f"object such as nm.attacks.PGDAdversary(eps=4)."
        )
    return None if adversary == NONE else ADVERSARIES.get(adversary)()
