"""Colour operations as tables of 256 entries per channel.

Autocontrast, equalize, posterize and solarize look at one value of one channel
at a time, so each is a table that maps the old value to the new one. Values
stay uint8 from operation to operation, and every table equals Pillow's.
"""

import functools

import numpy as np
import tensorflow as tf

VALUES = 256


def histogram(image):
    """Counts every value of every channel.

    Args:
        image: uint8 `[H, W, C]`.

    Returns:
        int32 `[C, 256]`.
    """
    channels = image.shape[-1]
    bins = tf.cast(image, tf.int32) + VALUES * tf.range(channels)
    counts = tf.math.unsorted_segment_sum(
        tf.ones([image.shape.num_elements()], tf.int32),
        tf.reshape(bins, [-1]),
        channels * VALUES,
    )
    return tf.reshape(counts, [channels, VALUES])


def apply_table(image, table):
    """Replaces every value by its entry in the table.

    Args:
        image: uint8 `[H, W, C]`.
        table: `[C, 256]`, a row for each channel, or `[256]`; of any type.

    Returns:
        `[H, W, C]`, of the table's type.
    """
    entries = tf.cast(image, tf.int32)
    if table.shape.rank == 2:
        entries += VALUES * tf.range(image.shape[-1])
    return tf.gather(tf.reshape(table, [-1]), entries)


def compose(second, first):
    """The table that does what `first` and then `second` does.

    Args:
        second: uint8 `[C, 256]` or `[256]`.
        first: uint8 `[C, 256]`.

    Returns:
        uint8 `[C, 256]`.
    """
    return tf.transpose(apply_table(tf.transpose(first), second))


def push(counts, table):
    """The histogram of an image after a table, from the one before it.

    Args:
        counts: int32 `[C, 256]`.
        table: uint8 `[C, 256]`.

    Returns:
        int32 `[C, 256]`.
    """
    channels = counts.shape[0]
    bins = tf.cast(table, tf.int32) + VALUES * tf.range(channels)[:, tf.newaxis]
    moved = tf.math.unsorted_segment_sum(
        tf.reshape(counts, [-1]), tf.reshape(bins, [-1]), channels * VALUES
    )
    return tf.reshape(moved, [channels, VALUES])


def identity_table(channels):
    """The table that changes nothing, uint8 `[C, 256]`."""
    ramp = tf.cast(tf.range(VALUES), tf.uint8)
    return tf.tile(ramp[tf.newaxis], [channels, 1])


def autocontrast_table(counts):
    """Stretches each channel to the full range.

    The product is looked up, not computed: Pillow truncates
    `value * scale + offset` after rounding twice in double precision, while a
    compiler may fuse the two operations and round once.

    Args:
        counts: int32 `[C, 256]`, a `histogram`.

    Returns:
        uint8 `[C, 256]`; identity where a channel holds a single value.
    """
    present = counts > 0
    low = tf.argmax(present, axis=-1, output_type=tf.int32)
    high = VALUES - 1 - tf.argmax(present[:, ::-1], -1, output_type=tf.int32)
    scaled = tf.gather(tf.constant(_scaled_values()), high - low)
    offset = tf.gather(scaled, low, batch_dims=1)[:, tf.newaxis]
    stretched = tf.clip_by_value(scaled - offset, 0.0, 255.0)
    return tf.where(
        (high > low)[:, tf.newaxis],
        tf.cast(stretched, tf.uint8),
        identity_table(counts.shape[0]),
    )


def _scaled_values():
    """float64 `[256, 256]`: value (column) times 255 / range (row)."""
    span = np.maximum(np.arange(VALUES, dtype=np.float64), 1.0)
    return np.arange(VALUES) * (255.0 / span)[:, np.newaxis]


def equalize_table(counts):
    """Flattens the histogram of each channel.

    Args:
        counts: int32 `[C, 256]`, a `histogram`.

    Returns:
        uint8 `[C, 256]`; identity where a channel holds too few values.
    """
    present = counts > 0
    last = VALUES - 1 - tf.argmax(present[:, ::-1], -1, output_type=tf.int32)
    total = tf.reduce_sum(counts, axis=-1)
    step = (total - tf.gather(counts, last, batch_dims=1)) // 255
    step = step[:, tf.newaxis]
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    flat = (step // 2 + below) // tf.maximum(step, 1)
    return tf.where(
        step > 0,
        tf.cast(tf.minimum(flat, 255), tf.uint8),
        identity_table(counts.shape[0]),
    )


def posterize_table(bits):
    """Keeps the top `bits` (1 to 8) of a value, uint8 `[256]`."""
    return tf.gather(tf.constant(_posterize_tables()), tf.cast(bits, tf.int32))


def solarize_table(threshold):
    """Inverts values at or above `threshold` (0 to 256), uint8 `[256]`."""
    threshold = tf.cast(threshold, tf.int32)
    return tf.gather(tf.constant(_solarize_tables()), threshold)


def invert_table():
    """Replaces a value by 255 less the value, uint8 `[256]`."""
    return tf.cast(VALUES - 1 - tf.range(VALUES), tf.uint8)


@functools.cache
def _posterize_tables():
    """uint8 `[9, 256]`, one row per number of bits; row 0 is never used."""
    import keras_cv

    # A layer without a seed (or with 0) takes the global generator, refused
    # where operations must be deterministic. Nothing is drawn here.
    ramp = _ramp()
    tables = np.zeros([9, VALUES], np.uint8)
    with tf.init_scope():
        for bits in range(1, 9):
            layer = keras_cv.layers.Posterization(
                value_range=(0, 255), bits=bits, seed=1, dtype="float32"
            )
            tables[bits] = np.ravel(layer(ramp))
    return tables


@functools.cache
def _solarize_tables():
    """uint8 `[257, 256]`, one row per threshold."""
    import keras_cv

    thresholds = np.arange(257, dtype=np.float32).reshape([-1, 1, 1, 1])
    with tf.init_scope():
        layer = keras_cv.layers.Solarization(
            value_range=(0, 255),
            threshold_factor=(0, 255),
            seed=1,
            dtype="float32",
        )
        # One call for all thresholds: a sample of the batch for each.
        tables = layer.augment_images(
            tf.tile(_ramp()[tf.newaxis], [257, 1, 1, 1]),
            {"thresholds": thresholds, "additions": 0.0},
        )
        return np.reshape(tables, [257, VALUES]).astype(np.uint8)


def _ramp():
    return np.arange(VALUES, dtype=np.float32).reshape([1, VALUES, 1])
