"""Moves an image's salient blocks to where a mask shows the image.

Blocks ask for places in rounds, nearest first. A place goes to the block for
which moving there gains most, saliency shown less the cost of the way, and who
is turned away asks for the next one, as long as there is a gain. In the end
every place has at most one block, and every visible one has some.

Kim et al., PuzzleMix, arXiv:2009.06962, section 4. The published code also lets
blocks ask at a loss. A visible place never takes such a block, so that what is
seen is the same.
"""

import functools

import numpy as np

from noisymix_tf.lazy import tf


def sources(saliency, visible, eps) -> "tf.Tensor":
    """Which block comes to each place, int32 `[B, n, m]`, in row-major order.

    Of the `saliency`, float32 `[B, n, m]` of sum 1; of where the image is
    `visible`, bool `[B, n, m]`; and of the cost `eps` of a way as long as the
    grid. An invisible place to which none came has its own block.
    """
    rows, columns = saliency.shape[1:]
    count = rows * columns
    batch = tf.shape(saliency)[0]
    blocks = tf.broadcast_to(tf.range(count), [batch, count])
    choice, advanced = _bids(saliency, visible, eps, blocks)

    def asked(rank):
        """Who has each place, and who is turned away."""
        place, bid, gains = choice(rank)
        nowhere = batch * count
        place = tf.where(gains, place, nowhere)
        wins = gains & (bid == tf.gather(_least(bid, place, nowhere), place))
        holder = _least(blocks, tf.where(wins, place, nowhere), nowhere)
        return holder, gains & (tf.gather(holder, place) != blocks)

    def round(index, rank, _):
        rank = advanced(rank)
        _, loses = asked(rank)
        return index + 1, rank + tf.cast(loses, tf.int32), loses

    most = max(rows, columns) - 1
    start = tf.zeros_like(blocks), tf.ones([batch, count], tf.bool)
    _, rank, _ = tf.while_loop(
        lambda index, _, loses: (index < most) & tf.reduce_any(loses),
        round,
        (tf.constant(0), *start),
        maximum_iterations=most,
    )
    holder, _ = asked(advanced(rank))
    holder = tf.reshape(holder[:-1], [-1, count])
    taken = (holder >= 0) & (holder < count)
    return tf.reshape(tf.where(taken, holder, blocks), [-1, rows, columns])


def _bids(saliency, visible, eps, blocks):
    """What blocks ask for: functions of the rank of a place for each."""
    rows, columns = saliency.shape[1:]
    count = rows * columns
    gain = tf.reshape(saliency, [-1, count])
    is_visible = tf.reshape(visible, [-1])
    order, way = _order(rows, columns)
    # Bids are compared for equality. A difference of two numbers is the same
    # wherever XLA computes it anew; a product in it might be rounded or not.
    order, cost = tf.constant(order), tf.constant(eps * way, tf.float32)
    # Places of all images in one row; the one behind the last is nowhere.
    base = tf.range(tf.shape(saliency)[0])[:, tf.newaxis] * count

    def choice(rank):
        """The place of a rank, its bid, and whether there is a gain."""
        entry = blocks * count + tf.minimum(rank, count - 1)
        bid = tf.gather(cost, entry) - gain
        place = base + tf.gather(order, entry)
        return place, bid, (rank < count) & (bid < 0.0)

    def passes(rank):
        place, _, gains = choice(rank)
        return gains & ~tf.gather(is_visible, place)

    def advanced(rank):
        """The next rank, from this one on, of a visible place."""
        return tf.while_loop(
            lambda rank: tf.reduce_any(passes(rank)),
            lambda rank: (rank + tf.cast(passes(rank), tf.int32),),
            (rank,),
            maximum_iterations=count,
        )[0]

    return choice, advanced


def _least(values, place, count):
    """The least value of those with the same place, `[count + 1]`."""
    return tf.math.unsorted_segment_min(
        tf.reshape(values, [-1]), tf.reshape(place, [-1]), count + 1
    )


@functools.cache
def _order(rows, columns):
    """For each block all places, nearest first, int32 `[nm * nm]`; and the
    squares of the ways, as shares of the grid's length, float32.
    """
    count = rows * columns
    row, column = np.divmod(np.arange(count), columns)
    squared = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    order = np.argsort(squared, axis=1, kind="stable")
    way = np.take_along_axis(squared, order, 1) / (max(rows, columns) - 1) ** 2
    return order.ravel().astype(np.int32), way.ravel().astype(np.float32)


def pixel_sources(blocks, height, width) -> "tf.Tensor":
    """Which pixel comes to each place, `[B, H * W]`, of `sources` `[B, n, m]`.

    n and m divide the height and the width of the image.
    """
    rows, columns = blocks.shape[1:]
    down, across = height // rows, width // columns
    inside = np.arange(down)[:, None] * width + np.arange(across)
    corner = blocks // columns * down * width + blocks % columns * across
    pixels = corner[:, :, tf.newaxis, :, tf.newaxis] + inside[:, None]
    return tf.reshape(pixels, [-1, height * width])


def moved(x, pixels) -> "tf.Tensor":
    """Images `[V, B, H, W, C]` whose pixels come from `pixel_sources`."""
    views = x.shape[0]
    flat = tf.reshape(x, [-1, x.shape[2] * x.shape[3], x.shape[4]])
    sent = tf.gather(flat, tf.tile(pixels, [views, 1]), batch_dims=1)
    return tf.reshape(sent, [views, -1, *x.shape[2:]])
