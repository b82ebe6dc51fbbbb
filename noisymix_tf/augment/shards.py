"""One part of a batch draws what it would draw inside the whole batch.

Where a batch is spread over devices, each augments the images that it holds.
The numbers of the whole batch are a few bytes for each image, so that every
device draws them all and keeps its own rows: one device or eight, an image
gets the same views.
"""

import tensorflow as tf

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError

WHOLE = (0, 1)


def checked(shard):
    """Returns `(index, count)` of a shard, or says what is wrong with it.

    Args:
        shard: Should be a pair: the number of a part, from 0 (an int or a
            scalar tensor), and an int, how many equal parts the batch has.

    Raises:
        UsageError: It is no such pair.
    """
    ok = isinstance(shard, tuple | list) and len(shard) == 2
    ok = ok and is_whole(shard[1]) and shard[1] >= 1
    if ok and is_whole(shard[0]):
        ok = 0 <= shard[0] < shard[1]
    if not ok:
        raise UsageError(
            f"shard={shard!r} must be (index, count), such as (0, 2) for the "
            f"first half of a batch."
        )
    return shard[0], int(shard[1])


def rows(draws, index, count):
    """The rows of one part.

    Args:
        draws: Structure of tensors `[count * B, ...]`, for the whole batch.
        index: Scalar, the number of the part.
        count: Python int, how many equal parts there are.

    Returns:
        The structure with tensors `[B, ...]`.
    """
    if count == 1:
        return draws

    def part(tensor):
        size = tf.shape(tensor)[0] // count
        # Not `tf.slice`: XLA must know its start when it compiles.
        return tf.gather(
            tensor, tf.cast(index, size.dtype) * size + tf.range(size)
        )

    return tf.nest.map_structure(part, draws)
