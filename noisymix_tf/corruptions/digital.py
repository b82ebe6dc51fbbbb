"""Digital: contrast, elastic transform, pixelate, JPEG; extra: saturate."""

import io

import numpy as np

from noisymix_tf.corruptions.core import corruption
from noisymix_tf.corruptions.pictures import Pictures
from noisymix_tf.corruptions.warp import stretched


@corruption(
    "contrast",
    family="digital",
    cifar=(0.75, 0.5, 0.4, 0.3, 0.15),
    imagenet=(0.4, 0.3, 0.2, 0.1, 0.05),
    tiny=(0.4, 0.3, 0.2, 0.1, 0.05),
)
def contrast(images, factor, streams):
    """Pulls every value towards the mean of its channel."""
    unit = images / 255.0
    mean = unit.mean(axis=(1, 2), keepdims=True)
    return (unit - mean) * factor + mean


# The makers' constants are multiples of 244, not of 224.
_LARGE_SIDE = 244 / 224


@corruption(
    "elastic_transform",
    family="digital",
    cifar=(
        (0, 0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ),
    imagenet=tuple(
        tuple(_LARGE_SIDE * share for share in shares)
        for shares in (
            (2, 0.7, 0.1),
            (2, 0.08, 0.2),
            (0.05, 0.01, 0.02),
            (0.07, 0.01, 0.02),
            (0.12, 0.01, 0.02),
        )
    ),
    tiny=(
        (0, 0, 0.08),
        (0.05, 0.3, 0.06),
        (0.1, 0.08, 0.06),
        (0.1, 0.03, 0.03),
        (0.16, 0.03, 0.02),
    ),
)
def elastic_transform(images, shares, streams):
    """Moves three points of the image and wobbles what lies between pixels.

    Args:
        images: uint8 `[B, H, W, C]`.
        shares: Strength and smoothness of the wobbling, and the largest shift
            of the points, as shares of the shorter side of the image.
        streams: One per image.
    """
    height, width = images.shape[1:3]
    strength, smoothness, shift = (
        share * min(height, width) for share in shares
    )
    draws = streams.draw(
        lambda generator: generator.uniform(-1, 1, 6 + 2 * height * width)
    )
    shifts = shift * draws[:, :6].reshape(-1, 3, 2)
    noise = draws[:, 6:].reshape(-1, 2, height, width)
    return stretched(images, shifts, noise, strength, smoothness)


@corruption(
    "pixelate",
    family="digital",
    cifar=(0.95, 0.9, 0.85, 0.75, 0.65),
    imagenet=(0.6, 0.5, 0.4, 0.3, 0.25),
    tiny=(0.9, 0.8, 0.7, 0.6, 0.5),
)
def pixelate(images, factor, streams):
    """Averages down to a share of the size and enlarges with hard edges."""
    from PIL import Image

    height, width = images.shape[1:3]
    small = max(1, int(width * factor)), max(1, int(height * factor))

    def down_and_up(image):
        image = image.resize(small, Image.Resampling.BOX)
        return image.resize((width, height), Image.Resampling.BOX)

    return Pictures(images).changed(down_and_up)


@corruption(
    "jpeg_compression",
    family="digital",
    cifar=(80, 65, 58, 50, 40),
    imagenet=(25, 18, 15, 10, 7),
    tiny=(65, 58, 50, 40, 25),
)
def jpeg_compression(images, quality, streams):
    """Compresses as JPEG of a quality and decodes again."""
    from PIL import Image

    def round_trip(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return Pictures(images).changed(round_trip)


@corruption(
    "saturate",
    family="digital",
    extra=True,
    cifar=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    imagenet=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    tiny=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
)
def saturate(images, line, streams):
    """Maps the saturation of HSV linearly.

    With hue and value kept, the distance of every channel from the largest one
    grows by the factor by which the saturation does. A grey pixel has hue zero,
    which is red; an image of one channel has no saturation and stays as it is.

    Args:
        images: uint8 `[B, H, W, C]`.
        line: Factor and offset of the saturation.
        streams: Not used.
    """
    if images.shape[-1] == 1:
        return images
    factor, offset = line
    unit = images / 255.0
    value = unit.max(axis=-1, keepdims=True)
    span = value - unit.min(axis=-1, keepdims=True)
    saturation = np.divide(span, value, out=np.zeros_like(span), where=span > 0)
    wanted = np.clip(saturation * factor + offset, 0.0, 1.0)
    towards_red = np.array([0.0, 1.0, 1.0])
    distance = np.divide(
        value - unit,
        span,
        out=np.broadcast_to(towards_red, unit.shape).copy(),
        where=span > 0,
    )
    return value * (1.0 - wanted * distance)
