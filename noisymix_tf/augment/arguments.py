"""What every augmentation asks of its arguments, and parts of batches.

Where a batch is spread over devices, each augments the images that it holds.
The numbers of the whole batch are a few bytes for each image, so that every
device draws them all and keeps its own rows: one device or eight, an image
gets the same views.
"""

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.registry import Registry

WHOLE = (0, 1)
# What makes views of images: functions as `augmix_views`, of the options that
# each is registered with. The flag `--views` names one.
VIEWS = Registry("views")
VIEWS.register("none")(None)


def checked(images):
    """Returns images as a tensor, or says what is wrong with them.

    They should be uint8 `[B, H, W, C]`, static but for B, C of 1 or 3.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8:
        raise UsageError(
            f"Augmentation takes uint8 images with pixels 0 to 255, got "
            f"{images.dtype.name}; augment before any conversion to float."
        )
    shape = images.shape
    if shape.rank != 4 or None in shape[1:] or shape[-1] not in (1, 3):
        raise UsageError(
            f"Augmentation takes a batch [B, H, W, C] of known height and "
            f"width with 1 or 3 channels, got shape {shape}; resize and batch "
            f"the images first."
        )
    return images


def checked_views(num_views):
    """Returns a number of views as an int, or says what is wrong with it."""
    if not is_whole(num_views) or num_views < 1:
        raise UsageError(
            f"num_views must be a whole number of views beside the clean "
            f"image, at least 1, got {num_views!r}."
        )
    return int(num_views)


def checked_shard(shard):
    """Returns `(index, count)` of a shard, or says what is wrong with it.

    It should be a pair: the number of a part, from 0 (an int or a scalar
    tensor), and an int, how many equal parts the batch has.
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
