"""PixMix: images mixed with pictures of rich structure, such as fractals.

Hendrycks et al. (2022), "PixMix: Dreamlike pictures comprehensively improve
safety measures", arXiv:2112.05135; constants of its published code
(andyzoujm/pixmix at f867e87).
"""

import dataclasses
import typing

from noisymix_tf import rng
from noisymix_tf.augment import fixed, geometry, mixing_set, ops
from noisymix_tf.augment.mixing_set import MixingSetOptions, mix, wide
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import AT_LEAST_1, POSITIVE, between, option


@dataclasses.dataclass(frozen=True)
class PixMixOptions(MixingSetOptions):
    """PixMix."""

    PREFIX = "pixmix_"

    rounds: int = option(
        4,
        "Most rounds of PixMix: in each, a picture or a changed copy of the "
        "image is mixed in.",
        AT_LEAST_1,
    )
    beta: float = option(
        3.0,
        "The larger, the less of each picture: its share is drawn from "
        "Beta(1, beta).",
        POSITIVE,
    )
    severity: float = option(
        3.0, "Severity of the operations on the image.", between(0.1, 10)
    )

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """Float32 views; see `views.made`."""
        shelf = self.shelf(images.shape)
        plan = part(_draw_plan(seed, batch, self, shelf, images.shape[1:3]))
        return _apply_plan(images, plan, shelf, dense)


@VIEWS.register("pixmix", options=PixMixOptions)
@serializable
def pixmix_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with PixMix views of it, made by one XLA program.

    Arguments, views and errors are as for `augmix_views`; `dense` views may
    differ in the last bits. Options are `mixing_dir`, a folder of pictures, all
    of which are kept in memory in the size of the images; `rounds`, `beta` and
    `severity`.
    """
    return made(PixMixOptions, images, seed, shard, dense, **options)


class Plan(typing.NamedTuple):
    """All that is random in a batch of PixMix views, axes `[B, V]`.

    R is the number of rounds; what comes first is the image or an operation
    on it, so that there are 1 + R operations.
    """

    operation: "tf.Tensor"  # int32 `[..., 1 + R]`; `NOTHING` where not used.
    parameter: "tf.Tensor"  # Fixed-point `[..., 1 + R]`.
    own: "tf.Tensor"  # bool `[..., R]`: the image itself is mixed in, changed.
    product: "tf.Tensor"  # bool `[..., R]`: multiplied, not added.
    powers: "tf.Tensor"  # float32 `[..., R, 2]`: of what is there, the other.
    done: "tf.Tensor"  # bool `[..., R]`.
    place: "tf.Tensor"  # int32 `[..., 3]`: picture, row, column.


def _draw_plan(seed, batch, options, shelf, size):
    seeds = tf.unstack(rng.split(seed, 5, by_name=True))
    steps = [*batch, 1 + options.rounds]
    draws = fixed.uniform(seeds[0], [*steps, 4])
    which, strength, way, used = tf.unstack(draws, axis=-1)
    operation = fixed.below(which, len(ops.OPERATIONS))
    parameter = ops.parameters(operation, strength, way, options.severity, size)
    used = used < fixed.ONE // 2
    rounds = [*batch, options.rounds]
    product = fixed.uniform(seeds[1], [*rounds, 1])[..., 0] < fixed.ONE // 2
    powers = mixing_set.draw_powers(seeds[2], rounds, options.beta)
    place = mixing_set.draw_places(seeds[3], batch, shelf, size)
    draws = fixed.uniform(seeds[4], [*batch, 1])
    done = tf.range(options.rounds) < fixed.below(draws, options.rounds + 1)
    needed = tf.concat([used[..., :1], used[..., 1:] & done], axis=-1)
    operation = tf.where(needed, operation, ops.NOTHING)
    own = used[..., 1:]
    return Plan(operation, parameter, own, product, powers, done, place)


def _apply_plan(images, plan, shelf, dense):
    """The views `[B, 1 + V, H, W, C]` of a `Plan` of axes `[B, V]`."""
    views = plan.place.shape[1]
    rows = [-1, views * plan.operation.shape[2], 1]
    shown = mixing_set.shown(shelf, plan.place, images.shape[1:])
    return ops.apply(
        images,
        tf.reshape(plan.operation, rows),
        tf.reshape(plan.parameter, rows),
        ops.OPERATIONS,
        geometry.bilinear if dense else None,
        _mixed,
        1 + views,
        (plan.own, plan.product, plan.powers, plan.done, shown),
        tf.float32,
    )


def _mixed(image, results, own, product, powers, done, shown):
    """An image `[..., H, W, C]` and its views, a list of such."""
    *_, views, rounds = done.shape
    unit = tf.cast(results, tf.float32) / 255.0
    shown = tf.cast(shown, tf.float32) / 255.0

    made = [tf.cast(image, tf.float32)]
    for view in range(views):
        first = view * (1 + rounds)
        mixed = unit[..., first, :, :, :]
        for step in range(rounds):
            changed = unit[..., first + 1 + step, :, :, :]
            other = tf.where(
                wide(own[..., view, step]), changed, shown[..., view, :, :, :]
            )
            a, b = tf.unstack(powers[..., view, step, :], axis=-1)
            way = wide(product[..., view, step])
            both = mix(mixed, other, wide(a), wide(b), way)
            mixed = tf.where(wide(done[..., view, step]), both, mixed)
        made.append(255.0 * mixed)
    return made
