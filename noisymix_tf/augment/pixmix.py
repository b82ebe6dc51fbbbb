"""PixMix: images mixed with pictures of rich structure, such as fractals.

Hendrycks et al. (2022), "PixMix: Dreamlike pictures comprehensively improve
safety measures", arXiv:2112.05135; constants of its published code
(andyzoujm/pixmix at f867e87). IPMix has its pictures and its ways to mix.
"""

import dataclasses
import functools
import typing

import numpy as np

from noisymix_tf import pictures, rng
from noisymix_tf.augment import colors, fixed, geometry, ops
from noisymix_tf.augment.fixed import wide
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import Image, serializable, tf
from noisymix_tf.options import AT_LEAST_1, POSITIVE, Options, between, option

# Pictures are read larger by this, and cropped at random.
_LARGER = 9 / 8
_MOST_BYTES = 4 << 30
_WHAT = "picture to mix with"


@dataclasses.dataclass(frozen=True)
class MixingSetOptions(Options):
    """Pictures that views are mixed with."""

    PREFIX = ""

    mixing_dir: str | None = option(
        None,
        "Folder of the pictures that views pixmix and ipmix mix with, also "
        "below it, read once in a process; python -m noisymix_tf fractals "
        "--output_dir=DIR draws some, in DIR/pictures.",
        tree=True,
        exists=True,
    )

    def shelf(self, shape) -> "tf.Tensor":
        """The pictures, uint8 `[M, H', W', 3]`, for images `[B, H, W, C]`."""
        if self.mixing_dir is None:
            raise UsageError(
                "These views need pictures to mix with: give mixing_dir, any "
                "folder of them; python -m noisymix_tf fractals draws some."
            )
        return _shelf(self.mixing_dir, *shape[1:3])


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
    powers = draw_powers(seeds[2], rounds, options.beta)
    place = draw_places(seeds[3], batch, shelf, size)
    draws = fixed.uniform(seeds[4], [*batch, 1])
    done = tf.range(options.rounds) < fixed.below(draws, options.rounds + 1)
    needed = tf.concat([used[..., :1], used[..., 1:] & done], axis=-1)
    operation = tf.where(needed, operation, ops.NOTHING)
    own = used[..., 1:]
    return Plan(operation, parameter, own, product, powers, done, place)


def _apply_plan(images, plan, shelf, dense):
    """The views `[B, 1 + V, H, W, C]` of a `Plan` of axes `[B, V]`."""
    crops = shown(shelf, plan.place, images.shape[1:])
    own = plan.own, plan.product, plan.powers, plan.done, crops
    rows = plan.operation[..., tf.newaxis], plan.parameter[..., tf.newaxis]
    resample = geometry.bilinear if dense else None
    return ops.apply(images, *rows, ops.OPERATIONS, resample, _mixed, own)


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


@functools.lru_cache(maxsize=2)
def _shelf(mixing_dir, height, width):
    from PIL import ImageOps

    found = pictures.paths_in(mixing_dir, _WHAT, below=True)
    height, width = round(height * _LARGER), round(width * _LARGER)
    needed = len(found) * height * width * 3
    if needed > _MOST_BYTES:
        raise UsageError(
            f"--mixing_dir={mixing_dir} holds {len(found):,} pictures, which "
            f"take {needed / 1e9:.1f} GB of memory in the size of the images: "
            f"give at most {len(found) * _MOST_BYTES // needed:,}."
        )
    fit = functools.partial(
        ImageOps.fit, size=(width, height), method=Image.Resampling.BILINEAR
    )
    shelf = np.stack([pictures.read(path, _WHAT, fit) for path in found])
    with tf.init_scope():
        return tf.constant(shelf)


def draw_places(seed, batch, shelf, size) -> "tf.Tensor":
    """A picture and a corner of a crop for each, int32 `[*batch, 3]`."""
    draws = fixed.uniform(seed, [*batch, 3])
    room = (whole - own + 1 for whole, own in zip(shelf.shape[1:3], size))
    limits = enumerate((len(shelf), *room))
    return tf.stack([fixed.below(draws[..., k], n) for k, n in limits], axis=-1)


def shown(shelf, places, shape) -> "tf.Tensor":
    """The crops at places `[B, V, 3]` for images (H, W, C), uint8."""
    made = tf.map_fn(
        functools.partial(_cropped, shelf, shape),
        tf.reshape(places, [-1, 3]),
        fn_output_signature=tf.uint8,
    )
    return tf.reshape(made, [-1, places.shape[1], *shape])


def _cropped(shelf, shape, place):
    picture = tf.gather(shelf, place[0])
    picture = tf.gather(picture, place[1] + tf.range(shape[0]), axis=0)
    picture = tf.gather(picture, place[2] + tf.range(shape[1]), axis=1)
    if shape[2] == 1:
        picture = tf.cast(colors.grey(picture), tf.uint8)
    return picture


def draw_powers(seed, shape, beta) -> "tf.Tensor":
    """Weights a of an image and b of what is mixed in, float32 `[*shape, 2]`.

    In half of the draws a is from Beta(beta, 1) and b from Beta(1, beta); in
    the others 1 more and negative ones of Beta(1, beta).
    """
    u = rng.uniform(seed, [*shape, 3], by_name=True)
    # Beta(beta, 1) is a power of a uniform number, Beta(1, beta) its rest to 1.
    root = u[..., :2] ** (1.0 / beta)
    near, far = root[..., 0], 1.0 - root[..., 1]
    both = tf.stack([near, far], -1), tf.stack([2.0 - near, -far], -1)
    return tf.where(u[..., 2:] < 0.5, *both)


def mix(image, other, a, b, is_product) -> "tf.Tensor":
    """Images in [0, 1] added around grey, or multiplied, with weights a and b.

    >>> float(mix(0.75, 0.5, 0.5, 0.9, False))
    0.625
    """
    added = (a * (2.0 * image - 1.0) + b * (2.0 * other - 1.0) + 1.0) / 2.0
    product = (2.0 * image) ** a * tf.maximum(2.0 * other, 1e-37) ** b / 2.0
    return tf.clip_by_value(tf.where(is_product, product, added), 0.0, 1.0)
