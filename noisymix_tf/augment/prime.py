"""PRIME: random filters, colour curves and smooth deformations, mixed.

Modas et al. (2022), "PRIME: A few primitives can boost robustness to common
corruptions", arXiv:2112.13547; constants of its published code
(amodas/PRIME-augmentations at 0290f6b). A view is mixed of chains as AugMix's
are, but each step is drawn from distributions of maximum entropy over smooth
changes, not from a list of operations. There all images of a batch share a
deformation, a cut-off and a strength; here every step of every chain has its
own, of the same laws.
"""

import dataclasses
import functools
import math
import typing

import numpy as np

from noisymix_tf import philox, rng
from noisymix_tf.augment import fixed
from noisymix_tf.augment.augmix import draw_weights
from noisymix_tf.augment.views import VIEWS, WHOLE, made
from noisymix_tf.lazy import serializable, tf
from noisymix_tf.options import Options, option

_WIDTH, _DEPTH = 3, 3
# Terms of a curve that are added in one go.
_BLOCK = 10
# Largest deviation of a filter's values from those of the identity.
_FILTER_DEVIATION = 4.0


class Law(typing.NamedTuple):
    """What is drawn for images of a size."""

    curve: int  # Most waves of a colour curve.
    band: int | None  # How many of them, one after the other; None: all.
    heat: float  # Largest variance of their amplitudes.
    modes: int  # Most waves along a side of a deformation.


_LAWS = {
    "cifar": Law(100, None, 0.01, 100),
    "imagenet": Law(500, 20, 0.05, 500),
}


@dataclasses.dataclass(frozen=True)
class PrimeOptions(Options):
    """PRIME."""

    PREFIX = "prime_"

    constants: str = option(
        "auto",
        "Constants of PRIME: cifar (made for 32 pixels), imagenet (224), or "
        "auto by the images' size.",
        choices=("auto", *_LAWS),
    )

    def law(self, shape) -> Law:
        """The constants for images `[..., H, W, C]`."""
        usual = "cifar" if min(shape[-3:-1]) < 64 else "imagenet"
        return _LAWS[usual if self.constants == "auto" else self.constants]

    def views(self, images, seed, batch, part, dense) -> "tf.Tensor":
        """Float32 views; see `views.made`."""
        plan = part(_draw_plan(seed, batch))
        images = tf.cast(images, tf.float32)
        mixed = _dense if dense else _one_by_one
        made = mixed(images / 255.0, plan, self.law(images.shape))
        return tf.concat([images[:, tf.newaxis], 255.0 * made], axis=1)


@VIEWS.register("prime", options=PrimeOptions)
@serializable
def prime_views(
    images, seed, *, shard=WHOLE, dense=False, **options
) -> "tf.Tensor":
    """Returns each image with PRIME views of it, made by one XLA program.

    Arguments, views and errors are as for `augmix_views`; `dense` views may
    differ in the last bits, and by some grey levels on a GPU that multiplies in
    TF32. The option is `constants`.

    >>> images = tf.zeros([2, 8, 8, 3], tf.uint8)
    >>> prime_views(images, seed=[0, 1]).shape
    TensorShape([2, 3, 8, 8, 3])
    """
    return made(PrimeOptions, images, seed, shard, dense, **options)


class Plan(typing.NamedTuple):
    """All that is random in a batch of PRIME views, axes `[...]`."""

    kind: "tf.Tensor"  # int32 `[..., W, D]`, one of `_KINDS`, or none of them.
    seed: "tf.Tensor"  # int32 `[..., W, D, 2]`, of what a step draws.
    weights: "tf.Tensor"  # float32 `[..., W]`, convex weights of the chains.
    m: "tf.Tensor"  # float32 `[...]`, their share; the rest is the image.


def _draw_plan(seed, batch):
    kind_seed, step_seed, weight_seed = tf.unstack(rng.split(seed, 3, True))
    chains = [*batch, _WIDTH]
    draws = fixed.uniform(kind_seed, [*chains, _DEPTH + 1])
    depth = 1 + fixed.below(draws[..., :1], _DEPTH)
    kind = fixed.below(draws[..., 1:], len(_KINDS))
    kind = tf.where(tf.range(_DEPTH) < depth, kind, len(_KINDS))
    seeds = rng.seeds(step_seed, [*chains, _DEPTH], by_name=True)
    return Plan(kind, seeds, *draw_weights(weight_seed, batch, _WIDTH))


def _one_by_one(images, plan, law):
    """Views `[B, V, H, W, C]`; of each step only what it does is computed."""

    def of_view(index, own):
        image = tf.gather(images, index // plan.m.shape[1])[tf.newaxis]

        def of_chain(chain, mixed):
            def step(place, x):
                seed = own.seed[chain, place, tf.newaxis]
                steps = [lambda c=each: c(x, seed, law=law) for each in _KINDS]
                kind = own.kind[chain, place]
                return place + 1, tf.switch_case(kind, [*steps, lambda: x])

            more = lambda place, _: place < _DEPTH  # noqa: E731
            _, x = tf.while_loop(more, step, (0, image))
            return chain + 1, mixed + own.weights[chain] * x

        start = 0, tf.zeros_like(image)
        _, mixed = tf.while_loop(lambda c, _: c < _WIDTH, of_chain, start)
        return ((1.0 - own.m) * image + own.m * mixed)[0]

    flat = Plan(*(tf.reshape(p, [-1, *p.shape[2:]]) for p in plan))
    number = tf.shape(flat.m)[0]
    made = tf.map_fn(
        lambda each: of_view(*each),
        (tf.range(number), flat),
        fn_output_signature=tf.float32,
    )
    return tf.reshape(made, [-1, plan.m.shape[1], *images.shape[1:]])


def _dense(images, plan, law):
    """The same views, made of all images at once."""
    views = plan.m.shape[1]
    seeds = tf.reshape(plan.seed, [-1, _DEPTH, 2])
    kinds = tf.reshape(plan.kind, [-1, _DEPTH])
    x = tf.repeat(images, views * _WIDTH, axis=0)

    def step(place, x):
        done = x
        for kind, change in enumerate(_KINDS):
            here = tf.reshape(kinds[:, place] == kind, [-1, 1, 1, 1])
            done = tf.where(here, change(x, seeds[:, place], law=law), done)
        return place + 1, done

    _, x = tf.while_loop(lambda place, _: place < _DEPTH, step, (0, x))
    x = tf.reshape(x, [-1, views, _WIDTH, *images.shape[1:]])
    mixed = tf.reduce_sum(x * fixed.wide(plan.weights), axis=2)
    m = fixed.wide(plan.m)
    return (1.0 - m) * images[:, tf.newaxis] + m * mixed


def filtered(images, seeds, *, law) -> "tf.Tensor":
    """A random 3 x 3 filter, of images in [0, 1]; the border is black.

    Its values are normal around those of the identity, with a deviation from
    U(0, 4); as published, the identity is one pixel away.

    Args:
        images: float32 `[B, H, W, C]`.
        seeds: int32 `[B, 2]`.
        law: `Law` of images of this size.
    """
    del law
    uniform, normal = numbers(seeds, 1, 9)
    kernel = _FILTER_DEVIATION * uniform * normal
    kernel += tf.one_hot(8, 9)
    height, width = images.shape[1:3]
    padded, total = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]]), 0.0
    for place in range(9):
        row, column = divmod(place, 3)
        part = padded[:, row : row + height, column : column + width]
        total += fixed.wide(kernel[:, place]) * part
    return tf.clip_by_value(total, 0.0, 1.0)


def recoloured(images, seeds, *, law) -> "tf.Tensor":
    """Adds a random curve of its values to each channel; see `filtered`.

    It is a sum of `sin(k pi value)`, for k from 1 to a whole number of at most
    `law.curve`, or a band of these, of normal amplitudes of one variance.
    """
    channels, most = images.shape[-1], law.band or law.curve
    uniform, normal = numbers(seeds, 3, channels * most)
    count = _whole(uniform[:, 0], law.curve)
    first = _whole(uniform[:, 2], count) if law.band else tf.ones_like(count)
    count = tf.minimum(count - first + 1.0, float(most))
    amplitudes = tf.sqrt(law.heat * uniform[:, 1:2]) * normal
    amplitudes = tf.reshape(amplitudes, [-1, most, channels])
    wanted = tf.range(most, dtype=tf.float32) < count[:, tf.newaxis]
    amplitudes = tf.where(wanted[..., tf.newaxis], amplitudes, 0.0)
    # The imaginary part of a polynomial in exp(i pi value), by Horner's rule.
    turn = math.pi * images
    cos, sin = tf.cos(turn), tf.sin(turn)

    def terms(end, real, imaginary):
        for place in range(1, _BLOCK + 1):
            own = amplitudes[:, end - place, tf.newaxis, tf.newaxis]
            real, imaginary = (
                real * cos - imaginary * sin + own,
                real * sin + imaginary * cos,
            )
        return end - _BLOCK, real, imaginary

    last = tf.cast(tf.reduce_max(count), tf.int32)
    end = -(-last // _BLOCK) * _BLOCK
    start = end, tf.zeros_like(images), tf.zeros_like(images)
    _, real, imaginary = tf.while_loop(lambda k, *_: k > 0, terms, start)
    turn *= fixed.wide(first)
    curve = real * tf.sin(turn) + imaginary * tf.cos(turn)
    return tf.clip_by_value(images + curve, 0.0, 1.0)


def deformed(images, seeds, *, law) -> "tf.Tensor":
    """Moves pixels along a random smooth field; see `filtered`.

    Petrini et al., "Relative stability toward diffeomorphisms indicates
    performance in deep nets", arXiv:2105.02468: waves of normal amplitudes that
    fall with their frequency r as 1 / r, up to a cut-off, at a temperature
    between half a pixel of displacement and that at which pixels overtake each
    other. Borders stay where they are.
    """
    height, width = images.shape[1:3]
    if min(height, width) < 3:  # There is nothing but borders.
        return images
    modes = (height - 2) * (width - 2)
    uniform, normal = numbers(seeds, 3, 2 * modes)
    most = 2.0 + _whole(uniform[:, 0], law.modes - 2)
    # Beta(1/2, 1/2), the law of arcs.
    share, warmth = tf.unstack(
        tf.sin(math.pi / 2 * uniform[:, 1:]) ** 2, axis=1
    )
    cut = tf.minimum(tf.floor(share * (most - 1.0) + 2.0), most)
    log, side = tf.math.log(cut + 1e-6), min(height, width)
    least = 1.0 / (math.pi * side**2 * log)
    heat = tf.maximum(least, 4.0 / (math.pi**3 * cut**2 * log))
    heat = warmth * (heat - least) + least
    scale = tf.sqrt(
        heat[:, tf.newaxis, tf.newaxis] * _energies(cut, height, width, law)
    )
    normal = tf.reshape(normal, [-1, 2, height - 2, width - 2])
    rows, columns = _waves(height), _waves(width)
    field = scale[:, tf.newaxis] * normal
    field = tf.einsum("yi,bdij,xj->bdyx", rows, field, columns)
    return _moved(images, field[:, 0] * height, field[:, 1] * width)


# In the order of `Plan.kind`.
_KINDS = deformed, recoloured, filtered


@functools.cache
def _aliases(size, modes):
    """For each wave that `size` points can tell apart, those that look like it.

    A wave of i half periods is `sin(pi i x)`, at points x of 0 to 1; those of i
    and of 2 (size - 1) - i are equal there but for their sign. float32
    `[P, size - 2]`, infinite where there are less.
    """
    period, wave = 2 * (size - 1), np.arange(1, size - 1)
    found = [wave]
    for start in range(period, modes + period, period):
        found += [start - wave, start + wave]
    found = np.array([row for row in found if row.min() <= modes], np.float32)
    return np.where(found <= modes, found, np.float32(np.inf))


def _energies(cut, height, width, law):
    """Variances `[B, H - 2, W - 2]` of the amplitudes of waves up to a cut-off.

    A wave beyond what pixels can tell apart adds to one that looks like it: the
    law of the sum is exactly that of the reference, of fewer numbers.
    """
    rows, columns = _aliases(height, law.modes), _aliases(width, law.modes)
    squares = rows[:, None, :, None] ** 2 + columns[:, None] ** 2
    squares = tf.constant(squares.reshape(-1, height - 2, width - 2))
    inside = squares < fixed.wide((cut + 0.5) ** 2)
    return tf.reduce_sum(tf.where(inside, 1.0 / squares, 0.0), axis=1)


@functools.cache
def _waves(size):
    place = np.linspace(0, 1, size)[:, None]
    return np.sin(np.pi * place * np.arange(1, size - 1)).astype(np.float32)


def _moved(images, down, right):
    """Images whose pixels come from so far above and left, `[B, H, W]` each."""
    _, height, width, channels = images.shape
    rows = tf.range(height, dtype=tf.float32)[:, tf.newaxis] - down
    columns = tf.range(width, dtype=tf.float32) - right
    rows = tf.clip_by_value(rows, 0.0, height - 1.0)
    columns = tf.clip_by_value(columns, 0.0, width - 1.0)
    top, left = tf.floor(rows), tf.floor(columns)
    below, beside = fixed.wide(rows - top, 1), fixed.wide(columns - left, 1)
    top, left = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    pixels = tf.reshape(images, [-1, height * width, channels])

    def at(row, column):
        place = tf.reshape(row * width + column, [-1, height * width])
        read = tf.gather(pixels, place, batch_dims=1)
        return tf.reshape(read, [-1, height, width, channels])

    bottom = tf.minimum(top + 1, height - 1)
    after = tf.minimum(left + 1, width - 1)
    upper = at(top, left) * (1 - beside) + at(top, after) * beside
    lower = at(bottom, left) * (1 - beside) + at(bottom, after) * beside
    return upper * (1 - below) + lower * below


def numbers(seeds, uniforms, normals) -> tuple:
    """Uniform numbers in (0, 1) and standard normal ones, `[B, count]` each."""
    pairs = -(-normals // 2)
    u = philox.uniforms(seeds, uniforms + 2 * pairs)
    radius = tf.sqrt(-2.0 * tf.math.log(u[:, uniforms : uniforms + pairs]))
    angle = 2 * math.pi * u[:, uniforms + pairs :]
    both = [radius * tf.cos(angle), radius * tf.sin(angle)]
    return u[:, :uniforms], tf.concat(both, axis=1)[:, :normals]


def _whole(uniform, limit):
    """Whole numbers of 1 to a limit, as floats."""
    return tf.minimum(tf.floor(uniform * limit), limit - 1.0) + 1.0
