"""Digital: contrast, pixelate, JPEG; extra: saturate."""

import io

import numpy as np

from noisymix_tf.corruptions.core import corruption


@corruption(
    "contrast",
    family="digital",
    cifar=(0.75, 0.5, 0.4, 0.3, 0.15),
    imagenet=(0.4, 0.3, 0.2, 0.1, 0.05),
)
def contrast(images, factor, streams):
    """Pulls every value towards the mean of its channel."""
    unit = images / 255.0
    mean = unit.mean(axis=(1, 2), keepdims=True)
    return (unit - mean) * factor + mean


@corruption(
    "pixelate",
    family="digital",
    cifar=(0.95, 0.9, 0.85, 0.75, 0.65),
    imagenet=(0.6, 0.5, 0.4, 0.3, 0.25),
)
def pixelate(images, factor, streams):
    """Averages down to a share of the size and enlarges with hard edges."""
    from PIL import Image

    height, width = images.shape[1:3]
    small = max(1, int(width * factor)), max(1, int(height * factor))

    def down_and_up(image):
        image = image.resize(small, Image.Resampling.BOX)
        return image.resize((width, height), Image.Resampling.BOX)

    return _with_pillow(images, down_and_up)


@corruption(
    "jpeg_compression",
    family="digital",
    cifar=(80, 65, 58, 50, 40),
    imagenet=(25, 18, 15, 10, 7),
)
def jpeg_compression(images, quality, streams):
    """Compresses as JPEG of a quality and decodes again."""
    from PIL import Image

    def round_trip(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _with_pillow(images, round_trip)


@corruption(
    "saturate",
    family="digital",
    extra=True,
    cifar=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    imagenet=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
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


def _with_pillow(images, change):
    """Applies `change` to every image as a Pillow image, 8 bits in and out."""
    from PIL import Image

    changed = np.empty_like(images)
    # Pillow takes grey images without an axis for the channel.
    grey = images.shape[-1] == 1
    for index, image in enumerate(images[..., 0] if grey else images):
        result = change(Image.fromarray(image))
        changed[index] = np.asarray(result).reshape(changed.shape[1:])
    return changed
