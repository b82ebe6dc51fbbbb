"""A row of operations on one uint8 image, for AugMix's chains and policies."""

import functools

import tensorflow as tf

from noisymix_tf.augment import tables


def apply_steps(image, counts, operation, parameter, depth, operations):
    """Applies `depth` operations one after the other to one image.

    Operations on colour only join their table to a pending one. It reaches the
    pixels when an operation needs them, or at the end; until then the
    histogram, too, is carried through the table.

    Args:
        image: uint8 `[H, W, C]`.
        counts: Its histogram, int32 `[C, 256]`.
        operation: int32 `[D]`, indices into `operations`.
        parameter: float64 `[D]`, what each operation is given.
        depth: int32 scalar, how many of the D operations are done.
        operations: Sequence of `ops.Operation`; one that has neither a table
            nor an image function does nothing.

    Returns:
        uint8 `[H, W, C]`.
    """
    identity = tables.identity_table(image.shape[-1])

    def settle(pixels, pending, is_pending):
        return tf.cond(
            is_pending,
            lambda: tables.apply_table(pixels, pending),
            lambda: pixels,
        )

    def step(index, pixels, pending, is_pending, is_moved):
        def current_counts():
            before = tf.cond(
                is_moved, lambda: tables.histogram(pixels), lambda: counts
            )
            return tables.push(before, pending)

        def branch(each):
            if not each.table and not each.image:
                return pixels, pending, is_pending, is_moved
            if each.table:
                table = each.table(current_counts, parameter[index])
                return pixels, tables.compose(table, pending), True, is_moved
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
