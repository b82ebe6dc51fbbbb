"""Colour operations as tables of 256 entries per channel.

Autocontrast, equalize, posterize and solarize look at one value of one channel
at a time, so each is a table that maps the old value to the new one. Values
stay uint8 from operation to operation, and every table equals Pillow's.
"""

import functools

import numpy as np

from noisymix_tf.augment import fixed
from noisymix_tf.lazy import tf

VALUES = 256


def histogram(images):
    """Counts the values of uint8 `[..., H, W, C]`: int32 `[..., C, 256]`."""
    shape, channels = tf.shape(images)[:-3], images.shape[-1]
    bins, number = _bins(images)
    ones = tf.ones_like(bins)
    counts = tf.math.unsorted_segment_sum(ones, bins, number * VALUES)
    return tf.reshape(counts, tf.concat([shape, [channels, VALUES]], 0))


def apply_table(images, table):
    """Replaces every value of uint8 `[..., H, W, C]` by its entry in a table.

    The table is `[..., C, 256]`, of any type, which is that of the result.
    """
    return tf.gather(tf.reshape(table, [-1]), _bins(images)[0])


def _bins(images):
    """Values told apart by image and channel, and how many channels in all."""
    shape = images.shape
    number = tf.reduce_prod(tf.shape(images)[:-3]) * shape[-1]
    rows = tf.range(number)
    if shape.rank == 4:
        rows = tf.reshape(rows, [-1, 1, 1, shape[-1]])
    return tf.cast(images, tf.int32) + VALUES * rows, number


def compose(second, first):
    """What `first` `[C, 256]` does and then `second` `[C or 1, 256]`, uint8."""
    second = tf.broadcast_to(second, first.shape)
    return tf.gather(tf.reshape(second, [-1]), _entries(first))


def push(counts, table):
    """The histogram `[C, 256]` of an image after a table, from that before."""
    bins, number = _entries(table), table.shape.num_elements()
    moved = tf.math.unsorted_segment_sum(counts, bins, number)
    return tf.reshape(moved, table.shape)


def _entries(table):
    """Values of a table `[C, 256]`, told apart by channel."""
    rows = tf.range(table.shape[0])[:, tf.newaxis]
    return tf.cast(table, tf.int32) + VALUES * rows


def identity_table():
    """The table that changes nothing, uint8 `[1, 256]`."""
    return tf.cast(tf.range(VALUES), tf.uint8)[tf.newaxis]


def autocontrast_table(counts):
    """Stretches each channel to the full range.

    Pillow truncates `value * scale + offset`, rounded twice in double
    precision: here, the exact products are subtracted as whole numbers, and
    what it would round up to the next one is. Takes a `histogram`; identity
    where a channel holds a single value.
    """
    low, high = _ends(counts)
    values = tf.range(VALUES)
    scales, roundings = map(tf.constant, _products())
    scale = tf.gather(scales, high - low)

    def product(value):
        rounding = tf.gather(roundings, (high - low) * VALUES + value)
        exact = tf.cast(value, tf.int64) * scale
        return exact + tf.cast(rounding, tf.int64)

    # What is added and does not fit comes out again in the difference.
    risen = product(tf.minimum(tf.maximum(values, low), high)) - product(low)
    half = tf.gather(tf.constant(_HALVES), fixed.shift(risen, fixed.BITS))
    stretched = tf.cast(fixed.shift(risen + half, fixed.BITS), tf.uint8)
    stretched = tf.where(values > high, tf.cast(255, tf.uint8), stretched)
    return tf.where(high > low, stretched, identity_table())


def _ends(counts):
    """The lowest and the highest value of each channel, int32 `[..., 1]`."""
    # One maximum for both: each is several kernels.
    ramp = tf.stack([VALUES - 1 - tf.range(VALUES), tf.range(VALUES)])
    present = counts[..., tf.newaxis, :] > 0
    ends = tf.reduce_max(tf.where(present, ramp, 0), axis=-1)
    return VALUES - 1 - ends[..., :1], ends[..., 1:]


# Half of the last bit of a double just below each whole number, fixed-point.
_HALVES = np.array([0] + [(1 << v.bit_length()) // 4 for v in range(1, VALUES)])


@functools.cache
def _products():
    """255 / range, int64 `[256]`, and what doubles add to its products.

    The second, int16 `[65536]`, is for a range and a value. It is small, so
    that nobody takes its reader for work that should be shared by threads.
    """
    span = np.maximum(np.arange(VALUES, dtype=np.float64), 1.0)
    scales, values = 255.0 / span[:, np.newaxis], np.arange(VALUES)
    exact = (scales * fixed.ONE).astype(np.int64)
    doubles = [int(each) for each in np.ravel(scales * values * fixed.ONE)]
    roundings = doubles - np.ravel(exact.astype(object) * values)
    return exact.ravel(), roundings.astype(np.int16)


def equalize_table(counts):
    """Flattens a `histogram`; identity where a channel holds few values."""
    _, high = _ends(counts)
    but_last = tf.where(tf.range(VALUES) < high, counts, 0)
    step = tf.reduce_sum(but_last, axis=-1, keepdims=True) // 255
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    # Nothing is negative, and a floor would cost a second division.
    flat = tf.truncatediv(step // 2 + below, tf.maximum(step, 1))
    flat = tf.cast(tf.minimum(flat, 255), tf.uint8)
    return tf.where(step > 0, flat, identity_table())


def posterize_table(bits):
    """Keeps the top 1 to 8 bits, fixed-point `[...]`: `[..., 1, 256]`."""
    kept = 256 - (256 >> np.arange(9))[:, np.newaxis]
    return _chosen(np.arange(VALUES) & kept, bits)


def solarize_table(threshold):
    """Inverts values from a fixed-point threshold (0 to 256) on, likewise."""
    values = np.arange(VALUES)
    kept = values < np.arange(VALUES + 1)[:, np.newaxis]
    return _chosen(np.where(kept, values, VALUES - 1 - values), threshold)


def _chosen(all_tables, number):
    index = fixed.shift(number, fixed.BITS)[..., tf.newaxis]
    return tf.gather(tf.constant(all_tables, tf.uint8), index)


def invert_table():
    """Replaces a value by 255 less the value, uint8 `[1, 256]`."""
    return VALUES - 1 - identity_table()
