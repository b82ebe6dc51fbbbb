"""What every augmentation asks of the images it is given."""

import tensorflow as tf

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def checked(images):
    """Returns the images as a tensor, or says what is wrong with them.

    Args:
        images: Should be uint8 `[B, H, W, C]`, static but for B, C of 1 or 3.

    Returns:
        uint8 tensor `[B, H, W, C]`.

    Raises:
        UsageError: The type or the shape is another.
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
