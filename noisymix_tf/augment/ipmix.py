"""IPMix: chains of operations, or of patches mixed with a picture, are mixed.

Huang et al. (2023), "IPMix: Label-preserving data augmentation method for
training robust classifiers", arXiv:2310.04780; constants of its published code
(hzlsaber/IPMix at 050bcb6) for 32 pixels. A chain there rounds to 8 bits after
each patch, values out of range wrap around, and both views mix with the same
picture; here nothing is rounded, values are clipped, and each view has its own.
"""

import dataclasses
import typing

from noisymix_tf import philox, rng
from noisymix_tf.augment import colors, fixed, geometry, ops, pixmix
from noisymix_tf.augment.augmix import draw_weights
from noisymix_tf.augment.fixed import wide
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_1, POSITIVE, between, option

_STEPS = 3
_LEAST_PATCH = 4
# AugMix's but for autocontrast, and two more.
_OPERATIONS = (
    *(each for each in ops.OPERATIONS if each.name != "autocontrast"),
    ops.Operation("mirror", image=lambda pixels, _: tf.reverse(pixels, [-2])),
    ops.Operation("invert", table=colors.invert),
)
# How a patch is mixed: added, multiplied, or pixel by pixel, all channels of
# one alike or each by itself.
_WAYS = 4


@dataclasses.dataclass(frozen=True)
class IPMixOptions(pixmix.MixingSetOptions):
    """IPMix."""

    PREFIX = "ipmix_"

    width: int = option(
        3, "Number of IPMix's chains, each of 0 to 3 steps.", AT_LEAST_1
    )
    beta: float = option(
        3.0,
        "The larger, the less of a picture in a patch that is added or "
        "multiplied: its share is drawn from Beta(1, beta).",
        POSITIVE,
    )
    severity: float = option(
        3.0, "Severity of the operations of IPMix.", between(0.1, 10)
    )

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """Float32 views; see `views.made`."""
        shelf = self.shelf(images.shape)
        plan = part(_draw_plan(seed, batch, self, shelf, images.shape[1:3]))
        return _apply_plan(images, plan, shelf, dense)


@VIEWS.register("ipmix", options=IPMixOptions)
@serializable
def ipmix_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with IPMix views of it, made by one XLA program.

    Arguments, views and errors are as for `pixmix_views`. Options are
    `mixing_dir`, `width`, `beta` and `severity`.
    """
    return made(IPMixOptions, images, seed, shard, dense, **options)


class Plan(typing.NamedTuple):
    """All that is random in a batch of IPMix views, axes `[B, V]`.

    There are W chains of D steps, of which each chain has either operations on
    the image or patches of the picture.
    """

    operation: "tf.Tensor"  # int32 `[..., W, D]`; `NOTHING` of patches.
    parameter: "tf.Tensor"  # Fixed-point `[..., W, D]`.
    patched: "tf.Tensor"  # bool `[..., W, D]`: a patch is mixed in.
    box: "tf.Tensor"  # int32 `[..., W, D, 4]`: top, left, bottom, right.
    way: "tf.Tensor"  # int32 `[..., W, D]`.
    powers: "tf.Tensor"  # float32 `[..., W, D, 2]`.
    share: "tf.Tensor"  # float32 `[..., W, D]`: of pixels that stay.
    seed: "tf.Tensor"  # int32 `[..., W, D, 2]`: of which pixels these are.
    weights: "tf.Tensor"  # float32 `[..., W]`, convex weights of the chains.
    m: "tf.Tensor"  # float32 `[...]`, their share; the rest is the image.
    place: "tf.Tensor"  # int32 `[..., 3]`: picture, row, column.


def _draw_plan(seed, batch, options, shelf, size):
    seeds = tf.unstack(rng.split(seed, 7, by_name=True))
    chains = [*batch, options.width]
    draws = fixed.uniform(seeds[0], [*chains, 2])
    is_patch = draws[..., :1] < fixed.ONE // 2
    count = fixed.below(draws[..., 1:], _STEPS + 1)
    done = tf.range(_STEPS) < count
    draws = fixed.uniform(seeds[1], [*chains, _STEPS, 10])
    which, strength, side, way, *box = tf.unstack(draws, axis=-1)
    operation = fixed.below(which, len(_OPERATIONS))
    how = strength, side, options.severity, size, _OPERATIONS
    parameter = ops.parameters(operation, *how)
    operation = tf.where(done & ~is_patch, operation, ops.NOTHING)
    shape = [*chains, _STEPS]
    return Plan(
        operation,
        parameter,
        done & is_patch,
        _boxes(box, size),
        fixed.below(way, _WAYS),
        pixmix.draw_powers(seeds[3], shape, options.beta),
        rng.uniform(seeds[6], shape, by_name=True),
        rng.seeds(seeds[2], shape, by_name=True),
        *draw_weights(seeds[4], batch, options.width),
        pixmix.draw_places(seeds[5], batch, shelf, size),
    )


def _boxes(draws, size):
    """Squares of 4, 8, 16... pixels, or in half of the draws parts of them.

    int32 `[..., 4]`, of six fixed-point draws `[...]` each.
    """
    which, top, left, is_part, *part = draws
    number = (min(size) // _LEAST_PATCH).bit_length()
    least = tf.constant(_LEAST_PATCH, tf.int32)
    side = tf.bitwise.left_shift(least, fixed.below(which, number))
    corner = [_up_to(d, n - side + 1) for d, n in zip((top, left), size)]
    # A side of 2 to that of the square.
    sides = [2 + _up_to(d, side - 1) for d in part]
    sides = [tf.where(is_part < fixed.ONE // 2, side, own) for own in sides]
    ends = [a + b for a, b in zip(corner, sides)]
    return tf.stack([*corner, *ends], axis=-1)


def _up_to(draws, limit):
    """Whole numbers from 0 to below an int32 limit of the same form."""
    share = tf.cast(fixed.shift(draws, fixed.BITS - 24), tf.int64)
    return tf.cast(fixed.shift(share * tf.cast(limit, tf.int64), 24), tf.int32)


def _apply_plan(images, plan, shelf, dense):
    """The views `[B, 1 + V, H, W, C]` of a `Plan` of axes `[B, V]`."""
    shown = pixmix.shown(shelf, plan.place, images.shape[1:])
    own = (plan.patched, plan.way, plan.share)
    own = *(part[..., tf.newaxis] for part in own), plan.box, plan.powers
    own = (*own, plan.seed), plan.weights, plan.m, shown
    rows = plan.operation, plan.parameter
    resample = geometry.bilinear if dense else None
    return ops.apply(images, *rows, _OPERATIONS, resample, _mixed, own)


def _mixed(image, results, own, weights, m, shown):
    """An image `[..., H, W, C]` and its views, a list of such.

    In loops, of which a chain without patches has no round.
    """
    views, width = weights.shape[-2:]
    clean = tf.cast(image, tf.float32)

    def of_view(view):
        picture = tf.cast(tf.gather(shown, view, axis=-4), tf.float32) / 255.0
        mine = [tf.gather(part, view, axis=-4) for part in own]
        shares = tf.gather(weights, view, axis=-2)

        def of_chain(index, total):
            rows = [tf.gather(part, index, axis=-3) for part in mine]
            count = tf.reduce_sum(tf.cast(rows[0], tf.int32), axis=[-2, -1])

            def step(place, chain):
                of_step = (tf.gather(row, place, axis=-2) for row in rows)
                return place + 1, _patched(chain, picture, *of_step)

            chain = tf.gather(results, view * width + index, axis=-4)
            chain = 0, tf.cast(chain, tf.float32) / 255.0
            most = tf.reduce_max(count)
            _, chain = tf.while_loop(lambda place, _: place < most, step, chain)
            share = wide(tf.gather(shares, index, axis=-1))
            return index + 1, total + share * chain

        start = 0, tf.zeros_like(clean)
        _, total = tf.while_loop(lambda i, _: i < width, of_chain, start)
        share = wide(tf.gather(m, view, axis=-1))
        return (1.0 - share) * clean + 255.0 * share * total

    made = tf.map_fn(of_view, tf.range(views), fn_output_signature=tf.float32)
    return [clean, *tf.unstack(made)]


def _patched(chain, picture, wanted, way, share, box, powers, seed):
    """A chain in which one box is mixed with the picture."""
    wanted, way, share = wanted[..., 0], way[..., 0], share[..., 0]
    height, width, channels = chain.shape[-3:]
    top, left, bottom, right = (wide(end) for end in tf.unstack(box, axis=-1))
    rows = tf.range(height)[:, tf.newaxis, tf.newaxis]
    columns = tf.range(width)[:, tf.newaxis]
    inside = (rows >= top) & (rows < bottom) & (columns >= left)
    inside &= (columns < right) & wide(wanted)
    a, b = (wide(power) for power in tf.unstack(powers, axis=-1))
    mixed = pixmix.mix(chain, picture, a, b, wide(way == 1))
    drawn = philox.uniforms(
        tf.reshape(seed, [-1, 2]), height * width * channels
    )
    drawn = tf.reshape(drawn, tf.shape(chain))
    drawn = tf.where(wide(way == 3), drawn, drawn[..., :1])
    chosen = tf.where(drawn < wide(share), chain, picture)
    mixed = tf.where(wide(way >= 2), chosen, mixed)
    return tf.where(inside, mixed, chain)
