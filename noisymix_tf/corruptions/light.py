"""Light and colour: brightness, contrast; extra: saturate."""

from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS


@CORRUPTIONS.register(
    "brightness",
    family="weather",
    cifar=(0.05, 0.1, 0.15, 0.2, 0.3),
    imagenet=(0.1, 0.2, 0.3, 0.4, 0.5),
    tiny=(0.1, 0.2, 0.3, 0.4, 0.5),
)
def brightness(images, amount, streams) -> np.ndarray:
    """Raises the value of HSV: daylight."""
    value, shares = _value_and_shares(images / 255.0)
    return shares * np.minimum(value + amount, 1.0)


@PERTURBATIONS.register(
    "brightness", family="weather", cifar=0.015, imagenet=0.02, tiny=0.02
)
def brightness_film(images, step, streams) -> Iterator[np.ndarray]:
    """Raises the value of HSV, from dusk (-15 steps) to daylight (15)."""
    value, shares = _value_and_shares(images / 255.0)
    for frame in range(-15, 16):
        yield shares * np.clip(value + step * frame, 0.0, 1.0)


@CORRUPTIONS.register(
    "contrast",
    family="digital",
    cifar=(0.75, 0.5, 0.4, 0.3, 0.15),
    imagenet=(0.4, 0.3, 0.2, 0.1, 0.05),
    tiny=(0.4, 0.3, 0.2, 0.1, 0.05),
)
def contrast(images, factor, streams) -> np.ndarray:
    """Pulls every value towards the mean of its channel."""
    unit = images / 255.0
    mean = unit.mean(axis=(1, 2), keepdims=True)
    return (unit - mean) * factor + mean


@CORRUPTIONS.register(
    "saturate",
    family="digital",
    extra=True,
    cifar=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    imagenet=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    tiny=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
)
def saturate(images, line, streams) -> np.ndarray:
    """Maps the saturation of HSV linearly.

    With hue and value kept, the distance of every channel from the largest one
    grows by the factor by which the saturation does. A grey pixel has hue zero,
    which is red; an image of one channel has no saturation and stays as it is.

    line: Factor and offset of the saturation.
    """
    if images.shape[-1] == 1:
        return images
    factor, offset = line
    unit = images / 255.0
    value = unit.max(axis=-1, keepdims=True)
    span = value - unit.min(axis=-1, keepdims=True)
    saturation = np.divide(span, value, out=np.zeros_like(span), where=span > 0)
    wanted = np.clip(saturation * factor + offset, 0.0, 1.0)
    # Of a grey pixel: towards red.
    distance = np.tile([0.0, 1.0, 1.0], (*span.shape[:-1], 1))
    np.divide(value - unit, span, out=distance, where=span > 0)
    return value * (1.0 - wanted * distance)


def _value_and_shares(unit):
    """Value of HSV, and the channels as shares of it: to brighten images.

    With hue and saturation kept, every channel grows by the factor by which the
    largest one, the value, does; black, which has no hue, becomes grey.
    """
    value = unit.max(axis=-1, keepdims=True)
    shares = np.divide(unit, value, out=np.ones_like(unit), where=value > 0)
    return value, shares
