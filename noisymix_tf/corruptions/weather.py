"""Weather: brightness."""

import numpy as np

from noisymix_tf.corruptions.core import corruption


@corruption(
    "brightness",
    family="weather",
    cifar=(0.05, 0.1, 0.15, 0.2, 0.3),
    imagenet=(0.1, 0.2, 0.3, 0.4, 0.5),
)
def brightness(images, amount, streams):
    """Raises the value of HSV: daylight.

    With hue and saturation kept, every channel grows by the factor by which the
    largest one does; black, which has no hue, becomes grey.
    """
    unit = images / 255.0
    value = unit.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + amount, 1.0)
    share = np.divide(unit, value, out=np.ones_like(unit), where=value > 0)
    return share * brighter
