"""Operations on the colours of images, as Pillow does them.

Autocontrast, equalize, posterize, solarize and invert look at one value of one
channel at a time: each is a table of 256 entries, which maps the old value to
the new one. Colour, contrast, brightness and sharpness blend an image with a
degenerate one: grey, flat, black, or smoothed. They overlap with the
corruptions of the common benchmarks, so AugMix leaves them out unless asked for
all operations.
"""

import functools

import numpy as np

from noisymix_tf.augment import fixed
from noisymix_tf.lazy import tf

VALUES = 256


def histogram(images) -> "tf.Tensor":
    """Counts the values of uint8 `[..., H, W, C]`: int32 `[..., C, 256]`."""
    shape, channels = tf.shape(images)[:-3], images.shape[-1]
    bins, number = _bins(images)
    ones = tf.ones_like(bins)
    counts = tf.math.unsorted_segment_sum(ones, bins, number * VALUES)
    return tf.reshape(counts, tf.concat([shape, [channels, VALUES]], 0))


def apply_table(images, table) -> "tf.Tensor":
    """Looks values of uint8 `[..., H, W, C]` up in tables `[..., C, 256]`."""
    return tf.gather(tf.reshape(table, [-1]), _bins(images)[0])


def _bins(images):
    """Values told apart by image and channel, and how many channels in all."""
    shape = images.shape
    number = tf.reduce_prod(tf.shape(images)[:-3]) * shape[-1]
    rows = tf.range(number)
    if shape.rank == 4:
        rows = tf.reshape(rows, [-1, 1, 1, shape[-1]])
    return tf.cast(images, tf.int32) + VALUES * rows, number


def compose(second, first) -> "tf.Tensor":
    """What `first` `[C, 256]` does and then `second` `[C or 1, 256]`, uint8."""
    second = tf.broadcast_to(second, first.shape)
    return tf.gather(tf.reshape(second, [-1]), _entries(first))


def push(counts, table) -> "tf.Tensor":
    """The histogram `[C, 256]` of an image after a table, from that before."""
    bins, number = _entries(table), table.shape.num_elements()
    moved = tf.math.unsorted_segment_sum(counts, bins, number)
    return tf.reshape(moved, table.shape)


def _entries(table):
    """Values of a table `[C, 256]`, told apart by channel."""
    rows = tf.range(table.shape[0])[:, tf.newaxis]
    return tf.cast(table, tf.int32) + VALUES * rows


def identity_table() -> "tf.Tensor":
    """The table that changes nothing, uint8 `[1, 256]`."""
    return tf.cast(tf.range(VALUES), tf.uint8)[tf.newaxis]


def autocontrast(counts, _=None) -> "tf.Tensor":
    """The table that stretches each channel to the full range.

    As all functions of tables it takes a function that returns the `histogram`,
    and a fixed-point parameter, `[...]`, that other tables have; it returns
    uint8 `[..., C or 1, 256]`. Identity where a channel holds a single value.

    Pillow truncates `value * scale + offset`, rounded twice in double
    precision: here, the exact products are subtracted as whole numbers, and
    what it would round up to the next one is.
    """
    low, high = _ends(counts())
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
    that its reader is not taken for work that threads should share.
    """
    span = np.maximum(np.arange(VALUES, dtype=np.float64), 1.0)
    scales, values = 255.0 / span[:, np.newaxis], np.arange(VALUES)
    exact = (scales * fixed.ONE).astype(np.int64)
    doubles = [int(each) for each in np.ravel(scales * values * fixed.ONE)]
    roundings = doubles - np.ravel(exact.astype(object) * values)
    return exact.ravel(), roundings.astype(np.int16)


def equalize(counts, _=None) -> "tf.Tensor":
    """Flattens the histogram; identity where a channel holds few values."""
    counts = counts()
    _, high = _ends(counts)
    but_last = tf.where(tf.range(VALUES) < high, counts, 0)
    step = tf.reduce_sum(but_last, axis=-1, keepdims=True) // 255
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    # Nothing is negative, and a floor would cost a second division.
    flat = tf.truncatediv(step // 2 + below, tf.maximum(step, 1))
    flat = tf.cast(tf.minimum(flat, 255), tf.uint8)
    return tf.where(step > 0, flat, identity_table())


def posterize(_, bits) -> "tf.Tensor":
    """Keeps the top 1 to 8 bits."""
    kept = 256 - (256 >> np.arange(9))[:, np.newaxis]
    return _chosen(np.arange(VALUES) & kept, bits)


def solarize(_, threshold) -> "tf.Tensor":
    """Inverts values from a threshold of 0 to 256 on."""
    values = np.arange(VALUES)
    kept = values < np.arange(VALUES + 1)[:, np.newaxis]
    return _chosen(np.where(kept, values, VALUES - 1 - values), threshold)


def _chosen(all_tables, number):
    index = fixed.shift(number, fixed.BITS)[..., tf.newaxis]
    return tf.gather(tf.constant(all_tables, tf.uint8), index)


def invert(*_) -> "tf.Tensor":
    """Replaces a value by 255 less the value."""
    return VALUES - 1 - identity_table()


def color(images, factor) -> "tf.Tensor":
    """Blends uint8 `[..., H, W, C]` with the grey image, C of 1 or 3.

    A factor, fixed-point `[...]`, of 0 is grey, and of 1 the image itself; so
    it is for the three below.
    """
    return _blend(grey(images), images, factor)


def contrast(images, factor) -> "tf.Tensor":
    """Blends with the mean grey value of the image."""
    luma = tf.cast(grey(images), tf.int32)
    count = images.shape[-3] * images.shape[-2]
    total = tf.reduce_sum(luma, axis=[-3, -2, -1], keepdims=True)
    return _blend((2 * total + count) // (2 * count), images, factor)


def brightness(images, factor) -> "tf.Tensor":
    """Blends with black."""
    return _blend(0, images, factor)


def sharpness(images, factor) -> "tf.Tensor":
    """Blends with a smoothed image whose border is not smoothed."""
    return _blend(_smooth(images), images, factor)


def grey(images) -> "tf.Tensor":
    """ITU-R 601 luma in 16-bit fixed point, `[..., H, W, 1]`."""
    if images.shape[-1] == 1:
        return images
    weights = tf.constant([19595, 38470, 7471])
    luma = tf.cast(images, tf.int32) * weights
    return (tf.reduce_sum(luma, -1, keepdims=True) + 0x8000) // 0x10000


def _smooth(images):
    """Weighs the centre 5 and its eight neighbours 1."""
    height, width = images.shape[-3:-1]
    if height < 3 or width < 3:
        return images
    x = tf.cast(images, tf.int32)
    middle = x[..., 1:-1, 1:-1, :]
    rows = x[..., :-2, :, :] + x[..., 1:-1, :, :] + x[..., 2:, :, :]
    total = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    # Rounding to nearest in integers: a thirteenth is never a half.
    smooth = (2 * (total + 4 * middle) + 13) // 26
    row, column = tf.range(height)[:, tf.newaxis], tf.range(width)
    border = (row == 0) | (row == height - 1)
    border |= (column == 0) | (column == width - 1)
    margin = [[0, 0]] * (x.shape.rank - 3) + [[1, 1], [1, 1], [0, 0]]
    return tf.where(border[..., tf.newaxis], x, tf.pad(smooth, margin))


def _blend(degenerate, images, factor):
    """Truncated `degenerate + factor * (image - degenerate)`."""
    # Pillow works in single precision, and rounds the product.
    start = tf.cast(degenerate, tf.float32)
    factor = tf.cast(factor, tf.float32) / fixed.ONE
    change = tf.cast(images, tf.float32) - start
    value = fixed.rounded(fixed.wide(factor) * change) + start
    return tf.cast(tf.clip_by_value(value, 0.0, 255.0), tf.uint8)
