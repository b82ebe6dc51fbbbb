"""Weather: snow, frost, fog, brightness; extra: spatter."""

import numpy as np

from noisymix_tf.corruptions.colour import value_and_shares
from noisymix_tf.corruptions.core import corruption
from noisymix_tf.corruptions.frost import crops, frosted
from noisymix_tf.corruptions.plasma import foggy, plasma
from noisymix_tf.corruptions.snow import snowfall
from noisymix_tf.corruptions.spatter import splashed


@corruption(
    "snow",
    family="weather",
    cifar=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    imagenet=(
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    tiny=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
)
def snow(images, flakes, streams):
    """Adds streaks of falling snow and whitens the scene.

    Args:
        images: uint8 `[B, H, W, C]`.
        flakes: Mean and deviation of a layer of noise, its magnification, the
            value below which there is no flake, radius and deviation of the
            motion, and the share of the image that is not whitened.
        streams: One per image.
    """
    mean, deviation, *rest = flakes
    shape = images.shape[1:3]
    noise, angles = zip(
        *(
            (generator.normal(mean, deviation, shape), generator.uniform(-1, 1))
            for generator in streams
        )
    )
    # Mostly downwards.
    angles = 45 * np.array(angles) - 90
    return snowfall(images, np.stack(noise), angles, *rest)


def _panes(stride, *weights):
    """The constants of frost, of weights in pairs and of one stride."""
    pairs = zip(weights[::2], weights[1::2])
    return tuple((*pair, stride) for pair in pairs)


@corruption(
    "frost",
    family="weather",
    options=("frost_folder",),
    cifar=_panes(5, 1, 0.2, 1, 0.3, 0.9, 0.4, 0.85, 0.4, 0.75, 0.45),
    imagenet=_panes(1, 1, 0.4, 0.8, 0.6, 0.7, 0.7, 0.65, 0.7, 0.6, 0.75),
    tiny=_panes(10 / 3, 1, 0.3, 0.9, 0.4, 0.8, 0.45, 0.75, 0.5, 0.7, 0.55),
)
def frost(images, pane, streams, frost_folder=None):
    """Lays a part of a picture of frost over the image.

    The pictures are drawn by this library, or come from the user's folder.

    Args:
        images: uint8 `[B, H, W, C]`.
        pane: Weights of the image and of the picture; by how much the picture
            is made smaller, without smoothing (five: to a fifth of its size).
        streams: One per image.
        frost_folder: Path of a folder of pictures, or None.
    """
    clear, icy, stride = pane
    height, width = images.shape[1:3]
    return frosted(
        images, crops(streams, height, width, stride, frost_folder), clear, icy
    )


@corruption(
    "fog",
    family="weather",
    cifar=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    imagenet=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    tiny=((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
)
def fog(images, clouds, streams):
    """Adds fractal clouds and dims the sum to the image's own maximum.

    The clouds are computed on the smallest square that the image fits in whose
    side is a power of two: 32 for CIFAR, 256 for 224 pixels.

    Args:
        images: uint8 `[B, H, W, C]`.
        clouds: Thickness, and smoothness as in `plasma`.
        streams: One per image.
    """
    thickness, smoothness = clouds
    side = 1 << (max(images.shape[1:3]) - 1).bit_length()
    uniform = streams.draw(lambda generator: generator.random(side**2 - 1))
    return foggy(images, plasma(uniform, smoothness), thickness)


@corruption(
    "brightness",
    family="weather",
    cifar=(0.05, 0.1, 0.15, 0.2, 0.3),
    imagenet=(0.1, 0.2, 0.3, 0.4, 0.5),
    tiny=(0.1, 0.2, 0.3, 0.4, 0.5),
)
def brightness(images, amount, streams):
    """Raises the value of HSV: daylight."""
    value, shares = value_and_shares(images / 255.0)
    return shares * np.minimum(value + amount, 1.0)


@corruption(
    "spatter",
    family="weather",
    extra=True,
    cifar=(
        (0.62, 0.1, 0.7, 0.7, 0.5, "water"),
        (0.65, 0.1, 0.8, 0.7, 0.5, "water"),
        (0.65, 0.3, 1, 0.69, 0.5, "water"),
        (0.65, 0.1, 0.7, 0.69, 0.6, "mud"),
        (0.65, 0.1, 0.5, 0.68, 0.6, "mud"),
    ),
    imagenet=(
        (0.65, 0.3, 4, 0.69, 0.6, "water"),
        (0.65, 0.3, 3, 0.68, 0.6, "water"),
        (0.65, 0.3, 2, 0.68, 0.5, "water"),
        (0.65, 0.3, 1, 0.65, 1.5, "mud"),
        (0.67, 0.4, 1, 0.65, 1.5, "mud"),
    ),
    tiny=(
        (0.62, 0.1, 0.7, 0.7, 0.6, "water"),
        (0.65, 0.1, 0.8, 0.7, 0.6, "water"),
        (0.65, 0.3, 1, 0.69, 0.6, "water"),
        (0.65, 0.1, 0.7, 0.68, 0.6, "mud"),
        (0.65, 0.1, 0.5, 0.67, 0.6, "mud"),
    ),
)
def spatter(images, drops, streams):
    """Puts drops of water or of mud on the lens.

    Args:
        images: uint8 `[B, H, W, C]`.
        drops: Mean and deviation of a layer of noise, deviation of the blur
            that makes drops of it, the value below which there is none, the
            strength of water or the blur of mud, and which of the two.
        streams: One per image.
    """
    mean, deviation, *rest = drops
    shape = images.shape[1:3]
    noise = streams.draw(
        lambda generator: generator.normal(mean, deviation, shape)
    )
    return splashed(images, noise, *rest)
