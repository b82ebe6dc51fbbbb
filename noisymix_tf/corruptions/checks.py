"""What users pass to `corrupt` and `perturb`: in one form, or refused."""

import numbers
import os

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError


def images(images):
    """Images as an array; uint8 `[B, H, W, C]`, C = 1 or 3, or refused."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise UsageError(
            f"Corruptions take uint8 images (0 to 255), got {images.dtype}: "
            "scale to 0..255 and cast to uint8 first."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UsageError(
            f"Corruptions take images [B, H, W, C] with C = 1 or 3, got shape "
            f"{list(images.shape)}: add the missing axis or transpose."
        )
    if not images.size:
        raise UsageError(
            f"Corruptions take at least one image with pixels, got shape "
            f"{list(images.shape)}: skip empty batches."
        )
    return images


def level(kind, level, levels):
    """A severity or a difficulty (`kind`) as an int; one of `levels`."""
    if not is_whole(level) or level not in levels:
        *most, last = map(str, levels)
        raise UsageError(
            f"{kind} {level!r} does not exist: "
            f"choose {', '.join(most)} or {last}."
        )
    return int(level)


def seed(seed):
    """A seed as an int; at least 0."""
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise UsageError(f"A seed is an int of at least 0, got {seed!r}.")
    return int(seed)


def indices(indices, batch):
    """Places of the images in their dataset, int `[batch]`; 0, 1... if None."""
    if indices is None:
        return np.arange(batch)
    indices = np.asarray(indices)
    if (
        indices.shape != (batch,)
        or not np.issubdtype(indices.dtype, np.integer)
        or indices.min() < 0
    ):
        raise UsageError(
            f"indices must be {batch} ints of at least 0, one per image, got "
            f"{indices.dtype} of shape {list(indices.shape)}."
        )
    return indices


def folder(folder):
    """A path as a string, or None."""
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise UsageError(
            f"frost_folder is the path of a folder of pictures, got {folder!r}."
        )
    return None if folder is None else os.fspath(folder)


def window(shape, crop):
    """The central square of a side, as slices of rows and columns."""
    height, width = shape[1:3]
    if crop is None:
        return slice(None), slice(None)
    if not is_whole(crop) or not 1 <= crop <= min(height, width):
        raise UsageError(
            f"crop must be an int from 1 to {min(height, width)}, the shorter "
            f"side of the images, or None, got {crop!r}."
        )
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return slice(top, top + crop), slice(left, left + crop)
