"""The operations of AugMix, equal to Pillow's, and rows of operations.

`OPERATIONS` lists the nine of the paper in the order of their indices in a
plan; `ALL_OPERATIONS` continues with the four that overlap with the common
corruptions. `apply` does rows of them, AugMix's chains or those of a policy.
It has two forms, which give the same pixels. One goes through the rows in a
loop and does what each asks for. The other is for accelerators, which like a
few large pieces of work better than many small ones: all images go through
every kind of operation at once, and keep what their own gave.
"""

import functools
import math
import typing

from noisymix_tf.augment import colors, fixed, geometry
from noisymix_tf.lazy import tf

# The index of no operation.
NOTHING = -1


class Law(typing.NamedTuple):
    """The law of a parameter: `start`, and a share of `reach` that is added."""

    reach: float | typing.Callable = 0  # Or of the height and the width.
    start: float = 0
    whole: typing.Callable | None = None  # What makes whole what is added.
    falls: bool = False  # Whether it is taken away instead.

    def at(self, magnitude, strongest, height, width) -> float:
        """A policy's parameter: the share of a magnitude in the strongest."""
        added = magnitude * self._most(height, width) / strongest
        added = self.whole(added) if self.whole else added
        return float(self.start - added if self.falls else self.start + added)

    def drawn(self, draws, severity, height, width) -> "tf.Tensor":
        """AugMix's, fixed-point, at levels from 0.1 to `severity`, of ten."""
        tenth = self._most(height, width) / 10
        added = fixed.number(0.1 * tenth)
        added += fixed.times(draws, (severity - 0.1) * tenth)
        added = fixed.floor(added) if self.whole else added
        start = fixed.number(self.start)
        return start - added if self.falls else start + added

    def _most(self, height, width):
        is_fixed = not callable(self.reach)
        return self.reach if is_fixed else self.reach(height, width)


class Operation(typing.NamedTuple):
    """One operation, and the law of its parameter, fixed-point `[...]`.

    It has a `table`, or a `place`, or an `image` function; one without any
    does nothing.
    """

    name: str  # As in Pillow, with underscores.
    law: Law = Law()
    signed: bool = False  # Whether half of the draws negate the parameter.
    unit: int = 1  # By what it is multiplied: small ones keep all bits.
    # As `colors.autocontrast`.
    table: typing.Callable | None = None
    # Function of the parameter, the height and the width to maps: see geometry.
    place: typing.Callable | None = None
    # Function of uint8 images `[..., H, W, C]` and the parameter to such. With
    # `place`: of one image; the same pixels, faster on a CPU.
    image: typing.Callable | None = None


def _moves(name, law, unit=1):
    move, place = geometry.MOVES[name]

    def image(pixels, parameter):
        return move(pixels, fixed.real(parameter) / unit)

    return Operation(name, law, True, unit, place=place, image=image)


FALLS = {"whole": math.floor, "falls": True}
_SHEAR = Law(0.3 * geometry.SHEAR_UNIT), geometry.SHEAR_UNIT
OPERATIONS = (
    Operation("autocontrast", table=colors.autocontrast),
    Operation("equalize", table=colors.equalize),
    Operation("posterize", Law(4, start=4, **FALLS), table=colors.posterize),
    _moves("rotate", Law(30, whole=math.floor)),
    Operation("solarize", Law(256, start=256, **FALLS), table=colors.solarize),
    _moves("shear_x", *_SHEAR),
    _moves("shear_y", *_SHEAR),
    _moves("translate_x", Law(lambda _, width: width / 3, whole=math.floor)),
    _moves("translate_y", Law(lambda height, _: height / 3, whole=math.floor)),
)
ENHANCEMENTS = ("color", "contrast", "brightness", "sharpness")
ALL_OPERATIONS = OPERATIONS + tuple(
    Operation(name, Law(1.8, start=0.1), image=getattr(colors, name))
    for name in ENHANCEMENTS
)


def parameters(
    operation, strength, side, severity, size, operations=OPERATIONS
) -> "tf.Tensor":
    """AugMix's parameters of some operations, of one form with draws of both.

    Args:
        operation: int32, indices into `operations`.
        strength, side: Fixed-point draws, of the level and of the sign.
        severity: The level is drawn from U(0.1, severity).
        size: Height and width of the images.
        operations: Sequence of `Operation`.
    """
    parameter = tf.zeros_like(strength)
    for index, each in enumerate(operations):
        drawn = each.law.drawn(strength, severity, *size)
        if each.signed:
            drawn = tf.where(side < fixed.ONE // 2, -drawn, drawn)
        parameter = tf.where(operation == index, drawn, parameter)
    return parameter


def apply(
    images, operation, parameter, operations, resample, mix=None, own=()
) -> "tf.Tensor":
    """Applies rows of operations to each image, one after the other.

    Args:
        images: uint8 `[B, H, W, C]`, static but for B.
        operation: int32 `[B, V, ..., D]`, indices into `operations`: R rows of
            D; `NOTHING` does nothing, and what follows it in a row neither.
        parameter: Fixed-point, of the same shape: what each is given.
        operations: Sequence of `Operation`.
        resample: `geometry.bilinear` or `geometry.nearest`, for all images at
            once; None for the loop.
        mix: Function of an image, of the results `[R, H, W, C]` of its rows and
            of its `own`, tensors `[B, ...]`, to a list of the image and its V
            views; without the loop, of all, with an axis in front.

    Returns:
        uint8 `[B, R, H, W, C]`; what is mixed float32 `[B, 1 + V, H, W, C]`.
    """
    views, *_, depth = operation.shape[1:]
    number = math.prod(operation.shape[1:-1])
    operation = tf.reshape(operation, [-1, number, depth])
    parameter = tf.reshape(parameter, [-1, number, depth])
    count, dtype = (1 + views, "float32") if mix else (number, "uint8")
    mix = mix or (lambda _, results: tf.unstack(results, axis=-4))
    if resample is not None:
        made = _dense(images, operation, parameter, operations, resample)
        return tf.stack(mix(images, made, *own), axis=1)

    def of_image(index, written):
        image, *rows, mine = tf.nest.map_structure(
            lambda each: tf.gather(each, index),
            (images, operation, parameter, own),
        )
        counts = colors.histogram(image)
        results = tf.map_fn(
            lambda row: _one(image, counts, *row, operations),
            tuple(rows),
            fn_output_signature=tf.uint8,
        )
        # Each is written to its place at once, which saves copies.
        for place, each in enumerate(mix(image, results, *mine)):
            written = written.write(index * count + place, each)
        return index + 1, written

    batch, shape = tf.shape(images)[0], images.shape[1:]
    made = tf.TensorArray(dtype, batch * count, element_shape=shape)
    _, made = tf.while_loop(lambda index, _: index < batch, of_image, (0, made))
    size = -1 if images.shape[0] is None else images.shape[0]
    return tf.reshape(made.stack(), [size, count, *shape])


def _one(image, counts, operation, parameter, operations):
    """A row of operations on one image, of which the histogram is known.

    Tables are joined to a pending one, which reaches the pixels when an
    operation needs them, or at the end; until then the histogram, too, is
    carried through it.
    """
    identity = tf.repeat(colors.identity_table(), image.shape[-1], axis=0)
    depth = tf.reduce_sum(tf.cast(operation != NOTHING, tf.int32))

    def settle(pixels, pending, is_pending):
        return tf.cond(
            is_pending,
            lambda: colors.apply_table(pixels, pending),
            lambda: pixels,
        )

    def step(index, pixels, pending, is_pending, is_moved):
        def current_counts():
            before = tf.cond(
                is_moved, lambda: colors.histogram(pixels), lambda: counts
            )
            return tf.cond(
                is_pending,
                lambda: colors.push(before, pending),
                lambda: before,
            )

        def branch(each):
            if each.table:
                table = each.table(current_counts, parameter[index])
                return pixels, colors.compose(table, pending), True, is_moved
            if not each.image:
                return pixels, pending, is_pending, is_moved
            settled = settle(pixels, pending, is_pending)
            return each.image(settled, parameter[index]), identity, False, True

        state = tf.switch_case(
            operation[index],
            [functools.partial(branch, each) for each in operations],
        )
        return index + 1, *state

    _, *state, _ = tf.while_loop(
        lambda index, *_: index < depth,
        step,
        (0, image, identity, False, False),
    )
    return settle(*state)


def _dense(images, operation, parameter, operations, resample):
    """`[B, R, H, W, C]`, with all images at once."""
    rows, depth = operation.shape[1:]
    made = tf.repeat(images, rows, axis=0)
    steps = (tf.reshape(each, [-1, depth]) for each in (operation, parameter))
    for given in zip(*(tf.unstack(each, axis=1) for each in steps)):
        made = _dense_step(made, *given, operations, resample)
    return tf.reshape(made, [-1, rows, *images.shape[1:]])


def _dense_step(images, operation, parameter, operations, resample):
    """One operation `[N]` on each image `[N, H, W, C]`."""
    _, height, width, channels = images.shape
    counts = colors.histogram(images)
    table = tf.repeat(colors.identity_table(), channels, axis=0)
    maps = tf.constant(geometry.IDENTITY, tf.int64)
    blends = []
    for index, each in enumerate(operations):
        here = operation == index
        given = tf.where(here, parameter, 0)
        if each.table:
            made = each.table(lambda: counts, given)
            table = tf.where(fixed.wide(here, 2), made, table)
        elif each.place:
            made = each.place(given, height, width)
            maps = tf.where(fixed.wide(here, 1), made, maps)
        elif each.image:
            blends.append((each.image, here, given))
    # For each image a single one of these is not the identity.
    images = resample(colors.apply_table(images, table), maps)
    for blend, here, given in blends:
        images = tf.where(fixed.wide(here), blend(images, given), images)
    return images
