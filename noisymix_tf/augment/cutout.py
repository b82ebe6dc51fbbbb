"""Cutout: a grey square at a random place of an image."""

from noisymix_tf.augment import fixed
from noisymix_tf.lazy import tf

# The published programs erase after the normalisation, where 0 is the mean.
GREY = 128


def draw_centres(seed, batch, height, width):
    """Row and column of each square's centre, int32 `[*batch, 2]`."""
    draws = fixed.uniform(seed, [*batch, 2])
    rows = fixed.below(draws[..., 0], height)
    return tf.stack([rows, fixed.below(draws[..., 1], width)], axis=-1)


def erase(images, centres, size):
    """Paints a square of each image grey, as much of it as lies in the image.

    Args:
        images: uint8 `[..., H, W, C]`.
        centres: int32 `[..., 2]`, row and column.
        size: Side of the squares in pixels, a Python int. A square reaches from
            `size // 2` before the centre to as far behind it, so that an odd
            size counts as the even one below.

    Returns:
        uint8 `[..., H, W, C]`.

    Reference: DeVries and Taylor, arXiv:1708.04552, and their published code.
    """

    def covered(length, middle):
        place = tf.range(length) - middle[..., tf.newaxis]
        return (place >= -(size // 2)) & (place < size // 2)

    rows = covered(images.shape[-3], centres[..., 0])
    columns = covered(images.shape[-2], centres[..., 1])
    inside = rows[..., tf.newaxis] & columns[..., tf.newaxis, :]
    grey = tf.constant(GREY, tf.uint8)
    return tf.where(inside[..., tf.newaxis], grey, images)
