"""CutMix: a box of the partner's image in the example's own."""

from typing import NamedTuple

from noisymix_tf.lazy import serializable, tf
from noisymix_tf.mixing import kind
from noisymix_tf.mixing.kind import MIXINGS, Mixing


class BoxPlan(NamedTuple):
    """A `MixPlan` with a box; once settled, `1 - lam` is its share."""

    tap: "tf.Tensor"
    lam: "tf.Tensor"
    permutation: "tf.Tensor"
    centre: "tf.Tensor"  # Float32 `[2]` in [0, 1), down and across.
    inside: "tf.Tensor | None" = None  # Bool `[H, W]`, the box.


@MIXINGS.register("cutmix")
@serializable
class CutMix(Mixing):
    """Replaces a box of each image by that of its partner.

    The box has the image's proportions and the share `1 - lam` of its area,
    `lam ~ Beta(alpha, alpha)`, and lies anywhere around a uniformly drawn
    pixel. What sticks out of the image is cut off, and `lam` becomes the exact
    share of the pixels that are the image's own. One box for each step, shared
    by all images, views and devices, at the first tap.

    The published `probability` is 0.5 on CIFAR and 1.0 on ImageNet. A trainer
    refuses examples that are no images.

    >>> CutMix(probability=0.5).get_config()
    {'probability': 0.5}

    Reference: Yun et al., CutMix, arXiv:1905.04899, section 3.1, and its
    published code for the rounding.
    """

    def check(self, shape) -> None:
        kind.check_images("CutMix", shape)

    def plan(self, seed, batch_size) -> BoxPlan:
        plan = super().plan(seed, batch_size)
        centre = tf.random.stateless_uniform([2], kind.folded(seed, kind.MORE))
        return BoxPlan(*plan, centre)

    def settle(self, plan, clean) -> BoxPlan:
        shape = clean.features(clean.images).shape
        self.check(shape[1:])
        kind.check_known("CutMix", shape[1:])
        inside = box(plan.lam, plan.centre, *shape[1:3])
        share = tf.reduce_mean(tf.cast(inside, tf.float32))
        return plan._replace(lam=1.0 - share, inside=inside)

    def mix(self, x, plan) -> "tf.Tensor":
        partners = kind.permute(x, plan.permutation)
        return tf.where(plan.inside[:, :, tf.newaxis], partners, x)


def box(lam, centre, height, width) -> "tf.Tensor":
    """A box of the share `1 - lam`, less what sticks out: bool `[H, W]`."""
    side = tf.sqrt(1.0 - lam)
    rows = _interval(side, centre[0], height)
    return rows[:, tf.newaxis] & _interval(side, centre[1], width)


def _interval(share, centre, size):
    """The places within a share of an axis around its centre, bool `[size]`."""
    half = tf.cast(share * size, tf.int32) // 2
    # The largest float below one times a size may round to the size.
    middle = tf.minimum(tf.cast(centre * size, tf.int32), size - 1)
    place = tf.range(size)
    return (place >= middle - half) & (place < middle + half)
