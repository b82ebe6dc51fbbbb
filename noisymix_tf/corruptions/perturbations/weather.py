"""Weather: snow, spatter, brightness."""

import numpy as np

from noisymix_tf.corruptions.colour import paint, value_and_shares
from noisymix_tf.corruptions.core import TABLES
from noisymix_tf.corruptions.filters import gaussian_filter
from noisymix_tf.corruptions.perturbations.sequence import perturbation
from noisymix_tf.corruptions.snow import fallen, flakes, whitened
from noisymix_tf.corruptions.spatter import WATER, shade


@perturbation(
    "snow",
    family="weather",
    sets=("imagenet", "tiny", "cifar_extra"),
    cifar=(0.3, 2, 10, 2),
    imagenet=(0.3, 3, 14, 4),
    tiny=(0.28, 2, 10, 2.5),
)
def snow(images, fall, streams):
    """Flakes fall over a whitened image, every frame into another direction.

    Args:
        images: uint8 `[B, H, W, C]`.
        fall: Deviation of the layer of noise that flakes are cut from, and its
            magnification; radius and standard deviation of their motion blur
            in pixels.
        streams: One per image.
    """
    spread, magnification, radius, deviation = fall
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.standard_normal(shape))
    layer = flakes(0.05 + spread * noise, magnification, threshold=0.5)
    scene = whitened(images / 255.0, kept=0.85)
    for frame in range(31):
        yield fallen(scene, layer, radius, deviation, 4 * frame - 150)


@perturbation(
    "spatter",
    family="weather",
    sets=("cifar", "imagenet_extra", "tiny_extra"),
    cifar=(0.6, 0.265, 1.75, 0.7, (0.8, 0.2)),
    imagenet=(0.65, 0.27, 3.7, 0.69, (0.7, 0.15, 0.1, 0.05)),
    tiny=(0.6, 0.25, 1.75, 0.7, (0.8, 0.2)),
)
def spatter(images, drops, streams):
    """Drops of water run down the lens.

    A frame on which there is no drop is the image itself, where the
    benchmark's makers divide zero by zero and get a black frame (one of twenty
    with the constants of CIFAR).

    Args:
        images: uint8 `[B, H, W, C]`.
        drops: Mean and deviation of a layer of noise, deviation of the blur
            that makes drops of it, the value below which there is none, and
            the weights that move the layer down from frame to frame, from the
            pixel farthest above to the one farthest below.
        streams: One per image.
    """
    mean, deviation, smoothness, threshold, flow = drops
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.standard_normal(shape))
    liquid = (mean + deviation * noise)[..., None]
    liquid = gaussian_filter(liquid, smoothness)[..., 0]
    liquid = np.where(liquid < threshold, 0.0, liquid)
    unit = images.astype(np.float32) / 255
    water = np.float32(0.6) * paint(WATER, images.shape[-1])
    for _ in range(31):
        light = shade((liquid * 255).astype(np.uint8))[..., None]
        yield unit + light * water
        liquid = _moved_down(liquid, flow)


@perturbation(
    "brightness",
    family="weather",
    sets=TABLES,
    cifar=0.015,
    imagenet=0.02,
    tiny=0.02,
)
def brightness(images, step, streams):
    """Raises the value of HSV, from dusk to daylight.

    Args:
        images: uint8 `[B, H, W, C]`.
        step: Change from frame to frame, from -15 steps to 15.
        streams: Not used.
    """
    value, shares = value_and_shares(images / 255.0)
    for frame in range(-15, 16):
        yield shares * np.clip(value + step * frame, 0.0, 1.0)


def _moved_down(planes, weights):
    """Weighted sum of a pixel and those above and below; zero outside.

    Args:
        planes: float64 `[B, H, W]`.
        weights: From the pixel farthest above: one above and none below for
            two weights, two above and one below for four.
    """
    height, taps = planes.shape[1], len(weights)
    above = taps // 2
    padded = np.pad(planes, ((0, 0), (above, taps - 1 - above), (0, 0)))
    return sum(
        weight * padded[:, row : row + height]
        for row, weight in enumerate(weights)
    )
