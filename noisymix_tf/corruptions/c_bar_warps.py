"""C-bar: blur, and pixels that are moved."""

import numpy as np

from noisymix_tf.corruptions.c_bar import bar, places, sampled, side

_TURNS = 21


@bar(
    "circular_motion_blur",
    lambda generator, shape, level: (1.5 * level,),
    family="blur",
    cifar=(2.8, 3.6, 4.4, 5.2, 6.0),
    imagenet=None,
)
def circular_motion_blur(image, degrees) -> np.ndarray:
    """Averages over turns about the centre of up to some degrees."""
    from scipy import ndimage

    image = image.astype(np.float32) / 255
    # Turned with cubic splines, whose coefficients do not depend on the turn.
    planes = [
        ndimage.spline_filter(p, output="f4") for p in np.moveaxis(image, -1, 0)
    ]
    splines, total = np.stack(planes, axis=-1), np.zeros_like(image)
    turns = np.linspace(-1, 1, _TURNS)
    weights = np.exp(-2 * turns**2)
    for turn, weight in zip(turns, weights):
        own = {"reshape": False, "prefilter": False}
        total += weight * ndimage.rotate(splines, turn * degrees, **own)
    return total / weights.sum() * 255


def _apart(generator, shape, level):
    scales = [1.0, 1.0 + 0.025 * level, 1.0 + 0.05 * level]
    return (generator.permutation(scales)[: shape[-1]],)


@bar(
    "transverse_chromatic_abberation",
    _apart,
    family="blur",
    cifar=(1.0, 2.0, 5.0, 9.0, 10.0),
    imagenet=None,
)
def transverse_chromatic_abberation(image, scales) -> np.ndarray:
    """Magnifies each channel by another factor, and blurs it a little."""
    from scipy import ndimage

    changed, (height, width, _) = np.empty_like(image), image.shape
    for channel, scale in enumerate(scales):
        # Without the prefilter, as the benchmark: cubic splines that smooth.
        large = ndimage.zoom(image[..., channel], scale, prefilter=False)
        top, left = (
            (large.shape[0] - height) // 2,
            (large.shape[1] - width) // 2,
        )
        changed[..., channel] = large[top : top + height, left : left + width]
    return changed


def _twirls(generator, shape, level):
    number = 5 if side(shape) >= 64 else 3
    ways = generator.choice([1, -1], (number, number))
    return ways * level * np.pi / 20, 0.04 * level + 0.1


@bar(
    "pinch_and_twirl",
    _twirls,
    family="digital",
    cifar=(5.5, 6.0, 6.5, 8.5, 10.0),
    imagenet=None,
)
def pinch_and_twirl(image, angles, amount) -> np.ndarray:
    """Pulls and turns the discs of a grid, by angles `[n, n]` at the middle."""
    image = image.astype(np.float32)
    size = side(image.shape) // len(angles)
    radius = size / 2
    away = places((size, size)) - radius
    distance = np.hypot(*away) / radius
    is_in = (distance <= 1) & (np.round(distance * radius, 3) > 0)
    reach = np.where(is_in, distance, 1.0)
    pulled = away * np.sin(np.pi * 0.5 * reach) ** -amount
    for column, row in np.ndindex(angles.shape):
        turn = angles[column, row] * (1 - reach) ** 2
        cos, sin = np.cos(turn), np.sin(turn)
        down = pulled[0] * cos - pulled[1] * sin
        right = pulled[0] * sin + pulled[1] * cos
        moved = np.where(is_in, [down, right], away) + radius
        top, left = row * size, column * size
        square = np.s_[top : top + size, left : left + size]
        image[square] = sampled(image, moved[0] + top, moved[1] + left)
    return image


def _ripples(generator, shape, level):
    lengths = generator.uniform(0.1, 0.3, 2) * side(shape)
    phases = generator.uniform(0, 2 * np.pi, 2)
    return lengths, phases, 0.0025 * level * side(shape)


@bar(
    "ripple",
    _ripples,
    family="digital",
    cifar=(5.5, 6.0, 6.5, 7.5, 8.0),
    imagenet=None,
)
def ripple(image, lengths, phases, amplitude) -> np.ndarray:
    """Moves rows and columns to and fro, in a wave each."""
    moved = (
        own + amplitude * np.sin(2 * np.pi * own / length + phase)
        for own, length, phase in zip(places(image.shape), lengths, phases)
    )
    return sampled(image, *moved)


def _water(generator, shape, level):
    time = generator.uniform(0.5, 2.0)
    size = generator.uniform(0.75, 1.25) * side(shape)
    return time, size, 0.05 * level * side(shape), 0.2 * level


@bar(
    "caustic_refraction",
    _water,
    family="weather",
    cifar=None,
    imagenet=(2.35, 3.2, 4.9, 6.6, 9.15),
)
def caustic_refraction(image, time, size, lens, light) -> np.ndarray:
    """Looks through moving water: refracted, with bright caustics."""
    slopes = _slopes(caustics(image.shape, time, size))
    height = 1 / np.sqrt((slopes**2).sum(axis=0) + 1)
    tilt = np.sqrt(np.maximum(1 - height**2, 1e-30))
    # Of a ray from above that enters glass four times as dense.
    angle = np.arcsin(np.sin(np.arccos(height)) / 4)
    bent = np.cos(angle) * tilt - np.sin(angle) * height
    bent = np.where(height >= 1 - 1e-3, 0.0, bent)
    shifts = np.round(slopes * height / tilt * bent * lens, 3)
    seen = sampled(
        image.astype(np.float32) / 255, *places(image.shape) + shifts
    )
    seen += light * (slopes[0] - slopes[1])[..., None]
    return np.clip(seen, 0, 1) * 255


def caustics(shape, time, size) -> np.ndarray:
    """A pattern of light on the ground of water, `[H, W]`, smoothed."""
    from scipy import ndimage

    own = places(shape) / size % 1 * (2 * np.pi) - 250
    waves, total = own, 1.0
    for step in range(1, 6):
        at = time * (1 - 3.5 / step)
        down, right = waves
        waves = own + [
            np.cos(at - down) + np.sin(at + right),
            np.sin(at - right) + np.cos(at + down),
        ]
        bright = own[0] / np.sin(waves[0] + at), own[1] / np.cos(waves[1] + at)
        total += 1 / (np.hypot(*bright) * 0.005)
    pattern = abs(1.17 - (total / 5) ** 1.4) ** 8
    return ndimage.gaussian_filter(np.clip(pattern, 0, 1), 1)


def _slopes(pattern):
    """Differences of the pixels after and before, `[2, H, W]`; 0 outside."""
    padded = np.pad(pattern, 1)
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    return np.stack([down, padded[1:-1, 2:] - padded[1:-1, :-2]])
