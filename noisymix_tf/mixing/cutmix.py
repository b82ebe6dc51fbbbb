"""CutMix: a box of the partner's image in the example's own."""

from typing import NamedTuple

from noisymix_tf.lazy import serializable, tf
from noisymix_tf.mixing.kind import (
    MIXINGS,
    Mixing,
    check_images,
    more_seed,
    permute,
)


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

    Args:
        probability: Share of the steps that mix, in [0, 1]. Published: 0.5 on
            CIFAR, 1.0 on ImageNet.

    Raises:
        UsageError: `probability` out of its range; from a trainer, examples
            that are no images.

    Example:

    >>> nm.NoisyMix(classifier, mixing=nm.mixing.CutMix(probability=0.5))

    Reference: Yun et al., CutMix, arXiv:1905.04899, section 3.1, and its
    published code for the rounding.
    """

    def check(self, shape):
        check_images("CutMix", shape)

    def plan(self, seed, batch_size):
        plan = super().plan(seed, batch_size)
        centre = tf.random.stateless_uniform([2], more_seed(seed))
        return BoxPlan(*plan, centre)

    def settle(self, plan, clean):
        shape = clean.features(clean.images).shape
        check_images("CutMix", shape[1:])
        inside = box(plan.lam, plan.centre, *shape[1:3])
        share = tf.reduce_mean(tf.cast(inside, tf.float32))
        return plan._replace(lam=1.0 - share, inside=inside)

    def mix(self, x, plan):
        return tf.where(
            plan.inside[:, :, tf.newaxis], permute(x, plan.permutation), x
        )


def box(lam, centre, height, width):
    """A box of the share `1 - lam` of an image, less what sticks out.

    Returns bool `[height, width]`, whose centre `[2]`, down and across, is in
    [0, 1).
    """
    side = tf.sqrt(1.0 - lam)
    rows, columns = (
        _interval(side, centre[axis], size)
        for axis, size in enumerate((height, width))
    )
    return rows[:, tf.newaxis] & columns[tf.newaxis]


def _interval(share, centre, size):
    """The places within a share of an axis around its centre, bool `[size]`."""
    half = tf.cast(share * size, tf.int32) // 2
    # The largest float below one times a size may round to the size.
    middle = tf.minimum(tf.cast(centre * size, tf.int32), size - 1)
    place = tf.range(size)
    return (place >= middle - half) & (place < middle + half)
