"""Colours of the things that corruptions put into images."""

import numpy as np


def luma(images):
    """Brightness `[..., 1]` of floats `[..., 3]` or `[..., 1]`."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., channel, None] for channel in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def paint(colour, channels):
    """A colour (R, G, B) of 0 to 255 as float32 in [0, 1] `[channels]`."""
    unit = np.array(colour, np.float32) / 255
    return unit if channels == 3 else luma(unit)


def value_and_shares(unit):
    """Value of HSV, and the channels as shares of it: to brighten images.

    With hue and saturation kept, every channel grows by the factor by which the
    largest one, the value, does; black, which has no hue, becomes grey.

    Args:
        unit: Floats in [0, 1] `[..., C]`.

    Returns:
        Value `[..., 1]` and shares `[..., C]`; ones where it is black.
    """
    value = unit.max(axis=-1, keepdims=True)
    shares = np.divide(unit, value, out=np.ones_like(unit), where=value > 0)
    return value, shares
