"""Checks of what users pass to attacks.

Each returns its argument in one form, or raises `UsageError`.
"""

import math

import numpy as np
import tensorflow as tf

from noisymix_tf import checks
from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError

_INT_MAX = 2**31 - 1


def images(images):
    """Images as a NumPy array, float32 `[B, H, W, C]` in 0..255."""
    images = _array("images", images)
    if images.ndim != 4 or not images.size:
        raise UsageError(
            f"Attacks take images [B, H, W, C], at least one, got shape "
            f"{list(images.shape)}: add the missing axis or skip the batch."
        )
    dtype = tf.as_dtype(images.dtype)
    if dtype != tf.uint8 and not dtype.is_floating:
        raise UsageError(
            f"Attacks take images as uint8 or floats, got {dtype.name}: cast "
            "pixels 0..255 to uint8 first."
        )
    images = images.astype(np.float32)
    low, high = images.min(), images.max()
    if not (low >= 0.0 and high <= 255.0):
        raise UsageError(
            f"Attacks take pixels in 0..255, got {low:g} to {high:g}: give "
            "them as they are before the model's own normalisation."
        )
    if dtype.is_floating and 0.0 < high <= 1.0:
        raise UsageError(
            f"Attacks take pixels in 0..255, got floats up to {high:g}, as of "
            "pixels in 0..1: multiply them by 255."
        )
    return images


def labels(labels, batch, num_classes):
    """Labels as a NumPy array, int32 `[batch]`, from numbers or one-hot."""
    labels = _array("labels", labels)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.shape == (batch, num_classes):
        ones = (labels == 1).sum(axis=-1) == 1
        if not (ones.all() and np.isin(labels, (0, 1)).all()):
            raise UsageError(
                "Attacks take one class per image, got one-hot labels that "
                "are not all 0 and a single 1: give the class numbers."
            )
        labels = labels.argmax(axis=-1)
    elif labels.shape not in ((batch,), (batch, 1)) or not whole:
        raise UsageError(
            f"Attacks take labels as ints [{batch}] or one-hot "
            f"[{batch}, {num_classes}], one per image, got {labels.dtype} of "
            f"shape {list(labels.shape)}."
        )
    low, high = labels.min(), labels.max()
    if low < 0 or high >= num_classes:
        raise UsageError(
            f"Label {low if low < 0 else high} is not one of the model's "
            f"classes, 0 to {num_classes - 1}: choose labels and a model that "
            "fit."
        )
    return labels.reshape([batch]).astype(np.int32)


def indices(indices, batch):
    """Places of the images in their dataset, int32; 0, 1... if None."""
    if indices is None:
        return np.arange(batch, dtype=np.int32)
    indices = _array("indices", indices)
    if (
        indices.shape != (batch,)
        or not np.issubdtype(indices.dtype, np.integer)
        or indices.min() < 0
        or indices.max() > _INT_MAX
    ):
        raise UsageError(
            f"indices must be {batch} ints of 0 to {_INT_MAX}, one per image, "
            f"got {indices.dtype} of shape {list(indices.shape)}."
        )
    return indices.astype(np.int32)


def radius(eps, span):
    """The radius of a ball as a fraction of the pixels' range, a float."""
    return checks.radius("eps", _real("eps", eps), span)


def step_size(step_size):
    """The length of a step as a fraction of the pixels' range, a float."""
    step_size = _real("step_size", step_size)
    if step_size <= 0.0:
        raise UsageError(
            f"step_size={step_size:g} must be above 0; leave it out for "
            "eps / 4."
        )
    return step_size


def grey_levels(name, value):
    """A distance in units of pixels 0..255, a float above 0."""
    if not is_real(value) or not 0.0 < value < math.inf:
        raise UsageError(
            f"{name}={value!r} must be a number of grey levels above 0."
        )
    return float(value)


def share(name, value):
    """A share that is not nothing, a float."""
    if not is_real(value) or not 0.0 < value <= 1.0:
        raise UsageError(
            f"{name}={value!r} must be a number above 0 and at most 1."
        )
    return float(value)


def whole_number(name, value, low):
    """A whole number from `low` to 2**31 - 1, as an int."""
    if not is_whole(value) or not low <= value <= _INT_MAX:
        raise UsageError(
            f"{name}={value!r} must be a whole number from {low} to {_INT_MAX}."
        )
    return int(value)


def flag(name, value, also=()):
    """True or False, or one of the values `also`."""
    if not isinstance(value, bool) and value not in also:
        known = ", ".join(map(str, (True, False, *also)))
        raise UsageError(f"{name}={value!r} must be one of {known}.")
    return value


def _real(name, value):
    if not is_real(value) or not math.isfinite(value):
        raise UsageError(
            f"{name}={value!r} must be a number, a fraction of the pixels' "
            "range such as 4/255."
        )
    return float(value)


def _array(name, value):
    if tf.is_tensor(value) and not hasattr(value, "numpy"):
        raise UsageError(
            f"{name} is a symbolic tensor: attack outside of tf.function, or "
            "call attacks.search inside of it."
        )
    return np.asarray(value)
